// Short words for tests of what the server answers: served, expect_made, kFutureCursorFrame.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/hex.h"
#include "tests/support/mirror_fixture.h"

namespace standpipe::test {

// Payloads, byte for byte. Spec: protocol.md 1.3.
inline Bytes future_cursor_frame() {
  return hex(
      "a1626f7020 a2656572726f726c467574757265437572736f72"
      "676d65737361676575437572736f7220696e20746865206675747572652e");
}
inline Bytes consumer_too_slow_frame() {
  return hex(
      "a1626f7020 a2656572726f726f436f6e73756d6572546f6f536c6f77"
      "676d657373616765781853747265616d20636f6e73756d657220746f6f20736c6f77");
}
inline Bytes outdated_cursor_frame() {
  return hex(
      "a261746523696e666f626f7001 a2646e616d656e4f75746461746564437572736f72"
      "676d6573736167657838"
      "52657175657374656420637572736f72206578636565646564206c696d69742e20"
      "506f737369626c79206d697373696e67206576656e7473");
}

inline std::vector<Bytes> made_frames(std::int64_t first, std::int64_t last) {
  std::vector<Bytes> frames;
  for (std::int64_t seq = first; seq <= last; ++seq) frames.push_back(make_frame(seq));
  return frames;
}

// That `frames` are exactly make_frame(first) .. make_frame(last).
inline void expect_made(const std::vector<Bytes>& frames, std::int64_t first, std::int64_t last) {
  ASSERT_EQ(frames.size(), static_cast<std::size_t>(last - first + 1));
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const std::int64_t seq = first + static_cast<std::int64_t>(i);
    ASSERT_EQ(frames[i], make_frame(seq)) << "frame " << i << " is not seq " << seq;
  }
}

class ServeFixture : public MirrorFixture {
 protected:
  // Frames `first` to `last`, imported, and served by a process that only reads them.
  void given_served(std::int64_t first, std::int64_t last,
                    const std::vector<std::string>& arguments = {}) {
    given_imported(made_frames(first, last));
    given_server(arguments);
  }

  // All that comes before the pong to a ping: with a server that is idle, what it has to say.
  static void expect_nothing_more(Subscriber& subscriber) {
    EXPECT_THAT(subscriber.read_until_pong(), ::testing::IsEmpty());
  }

  // The subscriber is told `error`, byte for byte, and its connection ends as error frames do.
  static void expect_error_and_1008(Subscriber& subscriber, const Bytes& error,
                                    std::string_view name) {
    const Received first = subscriber.next();
    ASSERT_EQ(describe(first), describe(Received(error)));
    EXPECT_EQ(std::get<Bytes>(first), error);
    EXPECT_EQ(subscriber.next(), Received(Closed{1008, std::string(name)}));
    EXPECT_EQ(subscriber.wait_for_tcp_end(), (TcpEnd{}));
  }

  static void expect_close(Subscriber& subscriber, std::uint16_t code) {
    const Received last = subscriber.next();
    ASSERT_TRUE(std::holds_alternative<Closed>(last)) << describe(last);
    EXPECT_EQ(std::get<Closed>(last).code, code);
    EXPECT_EQ(subscriber.wait_for_tcp_end(), (TcpEnd{}));
  }

  // A handshake that is refused, by JSON of this status and this name.
  void expect_refusal(const std::string& target, int status, std::string_view error,
                      std::string_view message = "") const {
    SCOPED_TRACE(target.substr(0, 200));
    expect_json_error(Subscriber::connect(port(), target).handshake(), status, error, message);
  }
  static void expect_json_error(const HttpReply& reply, int status, std::string_view error,
                                std::string_view message = "") {
    EXPECT_EQ(reply.status, status);
    EXPECT_EQ(reply.header("Content-Type"), "application/json");
    const auto body = nlohmann::json::parse(reply.body, nullptr, false);
    ASSERT_FALSE(body.is_discarded()) << reply.body;
    EXPECT_EQ(body["error"], error);
    EXPECT_THAT(body["message"].get<std::string>(), ::testing::HasSubstr(std::string(message)));
  }
  static std::string repos(const std::string& query = "") {
    return std::string(kSubscribeRepos) + query;
  }
};

}  // namespace standpipe::test
