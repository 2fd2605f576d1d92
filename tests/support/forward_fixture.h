// A mirror whose upstream answers by hand, and those who ask it what only the upstream knows.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <future>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/host_by_hand.h"
#include "tests/support/http_exchange.h"
#include "tests/support/mirror_fixture.h"

namespace standpipe::test {

inline const std::string kSync = "/xrpc/com.atproto.sync.";
inline const std::string kOk = "HTTP/1.1 200 OK\r\n";

inline void expect_error(const HttpReply& reply, int status, const std::string& error) {
  EXPECT_EQ(reply.status, status) << reply.body;
  ASSERT_TRUE(nlohmann::json::accept(reply.body)) << reply.body;
  EXPECT_EQ(nlohmann::json::parse(reply.body)["error"], error) << reply.body;
  EXPECT_EQ(reply.header("Access-Control-Allow-Origin"), "*");
}

// A request whose answer is awaited elsewhere.
class Asking {
 public:
  Asking(std::uint16_t port, const std::string& target, SubscriberOptions options = {},
         const std::string& version = "HTTP/1.1")
      : stream_(connect_stream(port, options)) {
    const std::string head = "GET " + target + " " + version + "\r\nHost: mirror.example\r\n\r\n";
    EXPECT_TRUE(write_all(stream_, as_bytes(head), deadline_from_now()));
  }

  HttpExchange reply() { return read_reply(stream_, "GET", deadline_from_now()); }
  // All that comes up to `end` of it, or until the connection ends.
  std::string read_until(std::string_view end) {
    std::string text;
    std::array<std::byte, 4096> piece;
    while (text.find(end) == std::string::npos || end.empty()) {
      const IoResult read = stream_.read(piece);
      if (read.status == IoStatus::done) text += as_text(ByteView(piece).first(read.bytes));
      if (read.status == IoStatus::fin || read.status == IoStatus::reset) {
        ended = read.status;
        break;
      }
      if (read.status == IoStatus::would_block &&
          !test::wait_for(stream_, false, deadline_from_now())) {
        throw std::runtime_error("the mirror says no more: " + text);
      }
    }
    return text;
  }
  void leave() { stream_.close(); }

  std::optional<IoStatus> ended;

 private:
  NetStream stream_;
};

class MirrorForward : public MirrorFixture {
 protected:
  // A mirror of a host whose stream does not come, but whose answers do.
  void given_mirror_of_host(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.end(), {"--upstream", host.url()});
    given_mirror(std::move(arguments));
  }
  HttpReply get(const std::string& endpoint, const HttpCall& call = {}) const {
    return http_get(port(), kSync + endpoint, call);
  }
  std::future<HttpReply> ask(const std::string& endpoint, HttpCall call = {},
                             SubscriberOptions options = {}) const {
    return std::async(std::launch::async, [port = port(), endpoint, call, options] {
      return http_get(port, kSync + endpoint, call, options);
    });
  }

  HostByHand host;
};

}  // namespace standpipe::test
