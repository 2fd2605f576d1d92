// `standpipe tail URL`: a stream over the network, as it comes, once and in order.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "schema/frame.h"
#include "tests/support/certificates.h"
#include "tests/support/frames.h"
#include "tests/support/process.h"
#include "tests/support/scripted_upstream.h"
#include "tests/support/upstream_fixture.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::size_t kFiveMiB = 5'242'880;

// What --raw writes: u32 little-endian length, frame.
std::string raw_of(std::int64_t first, std::int64_t last) {
  std::string raw;
  for (std::int64_t seq = first; seq <= last; ++seq) {
    const Bytes frame = make_frame(seq);
    for (int shift = 0; shift < 32; shift += 8) {
      raw += static_cast<char>(frame.size() >> shift & 0xFFU);
    }
    raw += as_text(frame);
  }
  return raw;
}

class TailUrl : public ::testing::Test {
 protected:
  void given_upstream(UpstreamOptions options) {
    upstream = std::make_unique<ScriptedUpstream>(std::move(options));
  }
  std::vector<std::string> arguments(const std::vector<std::string>& more) const {
    std::vector<std::string> all{"tail", upstream->url()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Outcome tail(const std::vector<std::string>& more) const {
    return run_standpipe(arguments(more));
  }
  std::string target(std::size_t number) const { return upstream->connection(number).target; }

  std::unique_ptr<ScriptedUpstream> upstream;
};

TEST_F(TailUrl, RawIsByteForByteWhatCameUpToUntil) {
  given_upstream(holding(1, 50));
  const Outcome outcome = tail({"--cursor", "0", "--until", "40", "--raw"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_TRUE(outcome.out == raw_of(1, 40));
  EXPECT_EQ(target(0), "/xrpc/com.atproto.sync.subscribeRepos?until=40&cursor=0");
}

TEST_F(TailUrl, JsonIsALineForEachFrameAfterTheCursor) {
  given_upstream(holding(1, 10));
  const Outcome outcome = tail({"--cursor", "7", "--until", "10", "--json"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::vector<std::int64_t> seqs;
  std::size_t at = 0;
  for (std::size_t end = outcome.out.find('\n'); end != std::string::npos;
       at = end + 1, end = outcome.out.find('\n', at)) {
    seqs.push_back(json::parse(outcome.out.substr(at, end - at))["seq"]);
  }
  EXPECT_EQ(seqs, (std::vector<std::int64_t>{8, 9, 10}));
}

// A seq that is passed over need not come for the end to be seen.
TEST_F(TailUrl, UntilEndsAtTheFirstFrameBeyondIt) {
  UpstreamOptions options;
  options.frames = {{1, make_frame(1)}, {5, make_frame(5)}, {9, make_frame(9)}};
  given_upstream(std::move(options));
  const Outcome outcome = tail({"--cursor", "0", "--until", "7", "--raw"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(outcome.out == raw_of(1, 1) + raw_of(5, 5));
}

TEST_F(TailUrl, WhereItBeginsAndWhatIsWantedIsAskedOfTheServer) {
  given_upstream(holding(1, 5));
  {
    Process tailing(arguments({"--time", "2026-01-01T00:00:00.5Z", "--until", "5"}));
    upstream->wait_for_connections(1);  // which takes it for a live one
    tailing.signal(SIGTERM);
    EXPECT_EQ(tailing.wait().status, 0);
  }
  EXPECT_EQ(target(0),
            "/xrpc/com.atproto.sync.subscribeRepos?time=2026-01-01T00:00:00.500Z&until=5");
  EXPECT_EQ(tail({"--cursor", "2", "--until", "5", "--did", "did:plc:a", "--did", "did:web:b.c",
                  "--collection", "app.bsky.graph.*"})
                .status,
            0);
  EXPECT_EQ(target(1),
            "/xrpc/com.atproto.sync.subscribeRepos?until=5&wantedDids=did:plc:a&"
            "wantedDids=did:web:b.c&wantedCollections=app.bsky.graph.*&cursor=2");
}

TEST_F(TailUrl, WithoutACursorItIsWhatComesNext) {
  given_upstream(holding(1, 5));
  Process tailing(arguments({"--until", "7", "--raw"}));
  upstream->wait_for_connections(1);
  EXPECT_EQ(target(0), "/xrpc/com.atproto.sync.subscribeRepos");
  upstream->append(upstream_frames(6, 8));
  const Outcome outcome = tailing.wait();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(outcome.out == raw_of(6, 7));
}

// A server that knows nothing of filters sends everything.
TEST_F(TailUrl, FiltersAreAppliedHereToo) {
  given_upstream(holding(1, 30));
  const Bytes wanted = make_frame(17);
  const std::string did(scan_frame(wanted).envelope.did);
  const Outcome by_did = tail({"--cursor", "0", "--until", "30", "--did", did, "--raw"});
  EXPECT_TRUE(by_did.out == raw_of(17, 17)) << by_did.err;
  const Outcome none =
      tail({"--cursor", "0", "--until", "30", "--collection", "app.bsky.feed.like", "--raw"});
  EXPECT_EQ(none.status, 0) << none.err;
  EXPECT_EQ(none.out, "");
  const Outcome all =
      tail({"--cursor", "0", "--until", "30", "--collection", "app.bsky.feed.*", "--raw"});
  EXPECT_TRUE(all.out == raw_of(1, 30));
}

TEST_F(TailUrl, AfterACutItGoesOnWithoutLossAndWithoutRepeating) {
  UpstreamOptions rainbow = holding(1, 20);
  rainbow.cursor_mode = CursorMode::inclusive;  // and repeats one
  given_upstream(std::move(rainbow));
  upstream->plan_next(ConnectionPlan().reset_within(9, 200));
  upstream->plan_next(ConnectionPlan().repeat(3).close_after(5, 1012, "restart"));
  const Outcome outcome = tail({"--cursor", "0", "--until", "20", "--raw"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.out == raw_of(1, 20));
  EXPECT_THAT(outcome.err, AllOf(StartsWith("standpipe tail: "), HasSubstr("; again in ")));
  ASSERT_EQ(upstream->connections().size(), 3U);
  EXPECT_EQ(upstream->connection(1).cursor, 8);
  EXPECT_EQ(upstream->connection(2).cursor, 12);
}

TEST_F(TailUrl, AnErrorFrameEndsItWithItsText) {
  given_upstream(holding(1, 5));
  const Outcome outcome = tail({"--cursor", "6", "--raw"});  // FutureCursor
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, StartsWith("standpipe tail: the server says FutureCursor: "));
  EXPECT_EQ(upstream->connections().size(), 1U);
}

TEST_F(TailUrl, ConsumerTooSlowIsSaidAndItGoesOn) {
  // {"op":-1}{"error":"ConsumerTooSlow"}
  const Bytes slow = parse_hex("a1626f7020a1656572726f726f436f6e73756d6572546f6f536c6f77").value();
  given_upstream(holding(1, 10));
  upstream->plan_next(ConnectionPlan().binary_after(4, slow).close_after(4, 1008));
  const Outcome outcome = tail({"--cursor", "0", "--until", "10", "--raw"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.out == raw_of(1, 10));
  EXPECT_THAT(outcome.err, HasSubstr("standpipe tail: the server says ConsumerTooSlow"));
}

TEST_F(TailUrl, ARefusedRequestIsNotRepeated) {
  given_upstream(holding(1, 5));
  upstream->plan_next(ConnectionPlan::refuse(400, {}, R"({"error":"InvalidRequest"})"));
  const Outcome outcome = tail({"--cursor", "0"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, AllOf(StartsWith("standpipe tail: "), HasSubstr("400")));
  EXPECT_EQ(upstream->connections().size(), 1U);
}

TEST_F(TailUrl, WhatIsNoFrameIsToldAndPassedOver) {
  // {"op":1,"t":"#info"}{"name":"OutdatedCursor"}
  const Bytes info =
      parse_hex("a2626f700161746523696e666fa1646e616d656e4f75746461746564437572736f72").value();
  given_upstream(holding(1, 10));
  upstream->plan_next(ConnectionPlan()
                          .binary_after(1, info)
                          .text_after(2, "hello")
                          .oversize_after(4, kFiveMiB + 1)
                          .binary_after(6, to_bytes(as_bytes("junk"))));
  const Outcome outcome = tail({"--cursor", "0", "--until", "10", "--raw"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.out == raw_of(1, 10));
  EXPECT_EQ(upstream->connections().size(), 1U);
  EXPECT_EQ(outcome.err,
            "standpipe tail: the server says OutdatedCursor: \n"
            "standpipe tail: passed over a text message of 5 bytes\n"
            "standpipe tail: passed over a frame that is too large of 5242881 bytes\n"
            "standpipe tail: passed over what is no frame: header_malformed at byte 0\n");
}

TEST_F(TailUrl, ASignalEndsItWithStatusZero) {
  for (const int number : {SIGTERM, SIGINT}) {
    given_upstream(holding(1, 3));
    Process tailing(arguments({"--cursor", "0", "--json"}));
    // What comes is written at once, not when there is more of it.
    for (const int seq : {1, 2, 3}) EXPECT_EQ(json::parse(tailing.read_line())["seq"], seq);
    tailing.signal(number);
    const Outcome outcome = tailing.wait_with_open_input();
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(outcome.out, "");
  }
}

TEST_F(TailUrl, ASignalEndsTheWaitBeforeTheNextDial) {
  given_upstream(holding(1, 3));
  upstream->plan_next(ConnectionPlan::refuse(503, {{"Retry-After", "500"}}));
  Process tailing(arguments({"--cursor", "0", "--raw"}));
  upstream->wait_for_end(0);
  tailing.signal(SIGTERM);
  EXPECT_EQ(tailing.wait_with_open_input().status, 0);
}

TEST_F(TailUrl, TlsIsTrustedAsItIsTold) {
  const CertificateAuthority authority;
  const TempDir dir;
  authority.write_certificate(dir / "ca.pem");
  UpstreamOptions options = holding(1, 5);
  options.tls = authority.for_loopback();
  given_upstream(std::move(options));
  const Outcome outcome =
      tail({"--cursor", "0", "--until", "5", "--raw", "--tls-ca", (dir / "ca.pem").string()});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(outcome.out == raw_of(1, 5));
}

}  // namespace
}  // namespace standpipe::test
