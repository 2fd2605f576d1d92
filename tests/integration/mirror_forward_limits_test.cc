// What becomes of a request that is passed on when the upstream fails, or somebody goes too far.
#include <gmock/gmock.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "tests/support/certificates.h"
#include "tests/support/forward_fixture.h"
#include "tests/support/other_program.h"

namespace standpipe::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

using MirrorForwardLimits = MirrorForward;

// -- Upstreams that fail --------------------------------------------------------------------------

TEST_F(MirrorForwardLimits, AnUpstreamThatIsNotThereIs502) {
  given_mirror({"--upstream", "ws://127.0.0.1:" + std::to_string(free_port())});
  const HttpReply reply = get("getRepo?did=did:plc:a");
  expect_error(reply, 502, "UpstreamFailure");
  EXPECT_THAT(reply.body, HasSubstr("Connection refused"));
}

TEST_F(MirrorForwardLimits, AnUpstreamThatDoesNotSpeakHttpOrHangsUpIs502) {
  given_mirror_of_host();
  const std::string too_long = kOk + "X: " + std::string(70'000, 'x') + "\r\n\r\n";
  for (const std::string& answer :
       {std::string(), std::string("SSH-2.0-x\r\n"), kOk, kOk + "Content-Length: x\r\n\r\n",
        std::string("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"), too_long}) {
    SCOPED_TRACE(answer.substr(0, 40));
    auto answered = ask("listHosts");
    AskedByHand asked = host.take();
    asked.send(answer);
    asked.end();
    expect_error(answered.get(), 502, "UpstreamFailure");
  }
}

TEST_F(MirrorForwardLimits, AnInterimAnswerIsNotTheAnswer) {
  given_mirror_of_host();
  auto answered = ask("listHosts");
  host.take().send("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + kOk +
                   "Content-Length: 2\r\n\r\n{}");
  EXPECT_EQ(answered.get().body, "{}");
}

TEST_F(MirrorForwardLimits, AnAnswerThatEndsTooSoonIsNotTakenForWhole) {
  given_mirror_of_host();
  for (const std::string framing : {"Content-Length: 100", "Transfer-Encoding: chunked"}) {
    SCOPED_TRACE(framing);
    Asking asking(port(), kSync + "getRepo?did=did:plc:a");
    AskedByHand asked = host.take();
    asked.send(kOk + framing + "\r\n\r\n4\r\nhalf\r\n");
    EXPECT_THAT(asking.read_until("half\r\n"), HasSubstr("half"));
    asked.end();
    EXPECT_THAT(asking.read_until(""), Not(HasSubstr("0\r\n\r\n")));
    EXPECT_EQ(asking.ended, IoStatus::reset);
  }
}

TEST_F(MirrorForwardLimits, OverTlsTheUpstreamHasToBeWhoItSaysItIs) {
  CertificateAuthority authority;
  authority.write_certificate(dir / "ca.pem");
  UpstreamOptions options;
  options.tls = authority.for_loopback();
  options.http = [](const ConnectionRecord& request) -> std::optional<tools::play::HttpAnswer> {
    if (request.target.find("listHosts") == std::string::npos) return std::nullopt;
    return tools::play::HttpAnswer{200, {}, R"({"hosts":[]})"};
  };
  given_upstream(std::move(options));
  given_mirror();
  const HttpReply untrusted = get("listHosts");
  expect_error(untrusted, 502, "UpstreamFailure");
  EXPECT_THAT(untrusted.body, HasSubstr("TLS: "));
  stop();
  given_mirror({"--tls-ca", (dir / "ca.pem").string()});
  EXPECT_EQ(get("listHosts").body, R"({"hosts":[]})");
}

// -- Limits ---------------------------------------------------------------------------------------

TEST_F(MirrorForwardLimits, AnUpstreamThatDoesNotAnswerInTimeIs502) {
  given_mirror_of_host({"--forward-timeout", "50ms"});
  auto answered = ask("listRepos");
  AskedByHand asked = host.take();
  const HttpReply reply = answered.get();
  expect_error(reply, 502, "UpstreamFailure");
  EXPECT_THAT(reply.body, HasSubstr("within 50 ms"));
  asked.wait_for_end();
}

TEST_F(MirrorForwardLimits, AnAnswerThatStopsOrNeverEndsIsBrokenOff) {
  for (const auto& [pause, whole] : {std::pair("200ms", "1h"), std::pair("1h", "200ms")}) {
    SCOPED_TRACE(pause);
    given_mirror_of_host({"--forward-timeout", pause, "--forward-time", whole});
    Asking asking(port(), kSync + "getRepo?did=did:plc:a");
    AskedByHand asked = host.take();
    asked.send(kOk + "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    asking.read_until("");
    EXPECT_EQ(asking.ended, IoStatus::reset);
    asked.wait_for_end();
    stop();
  }
}

TEST_F(MirrorForwardLimits, AnAnswerThatIsTooLargeIsRefusedOrBrokenOff) {
  given_mirror_of_host({"--forward-bytes", "1000"});
  auto answered = ask("getRepo?did=did:plc:a");
  host.take().send(kOk + "Content-Length: 1001\r\n\r\n");
  const HttpReply reply = answered.get();
  expect_error(reply, 502, "UpstreamFailure");
  EXPECT_THAT(reply.body, HasSubstr("1000 bytes"));

  answered = ask("getRepo?did=did:plc:a");
  host.take().send(kOk + "Content-Length: 1000\r\n\r\n" + std::string(1000, 'x'));
  EXPECT_EQ(answered.get().body.size(), 1000u);

  Asking asking(port(), kSync + "getRepo?did=did:plc:a");
  AskedByHand asked = host.take();
  asked.send(kOk + "Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + std::string(1000, 'x') + "\r\n");
  asking.read_until("xx\r\n");
  asked.send("1\r\ny\r\n0\r\n\r\n");
  EXPECT_THAT(asking.read_until(""), Not(HasSubstr("y")));
  EXPECT_EQ(asking.ended, IoStatus::reset);
}

TEST_F(MirrorForwardLimits, SoManyAreAskedAtOnceInTotal) {
  given_mirror_of_host({"--forwards", "1"});
  auto first = ask("listRepos");
  AskedByHand asked = host.take();
  const HttpReply refused = get("listRepos");
  expect_error(refused, 503, "ServiceUnavailable");
  EXPECT_EQ(refused.header("Retry-After"), "5");
  asked.send(kOk + "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(first.get().status, 200);
  asked.wait_for_end();  // its place has been given back before
  auto next = ask("listRepos");
  host.take().send(kOk + "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(next.get().status, 200);
}

TEST_F(MirrorForwardLimits, SoManyAreAskedAtOnceForOneAddress) {
  given_mirror_of_host({"--forwards-per-address", "1"});
  auto first = ask("listRepos");
  AskedByHand asked = host.take();
  expect_error(get("listRepos"), 429, "RateLimitExceeded");
  SubscriberOptions elsewhere;
  elsewhere.source_address = "127.0.0.2";
  auto other = ask("listRepos", {}, elsewhere);
  host.take().send(kOk + "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(other.get().status, 200);
  asked.send(kOk + "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(first.get().status, 200);
}

TEST_F(MirrorForwardLimits, WhoLeavesIsNotAskedForAnyMore) {
  given_mirror_of_host({"--forward-timeout", "1h"});
  Asking before(port(), kSync + "listRepos");
  AskedByHand asked = host.take();
  before.leave();
  asked.wait_for_end();
  Asking within(port(), kSync + "listRepos");
  AskedByHand begun = host.take();
  begun.send(kOk + "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
  within.read_until("half\r\n");
  within.leave();
  begun.wait_for_end();
}

TEST_F(MirrorForwardLimits, WhoDoesNotReadIsNotReadAheadFor) {
  given_mirror_of_host({"--forward-timeout", "1h"});
  SubscriberOptions small;
  small.receive_buffer = 4096;
  Asking asking(port(), kSync + "getRepo?did=did:plc:a", small);
  AskedByHand asked = host.take();
  constexpr std::size_t kWhole = 256 << 20;
  asked.send(kOk + "Content-Length: " + std::to_string(kWhole) + "\r\n\r\n");
  // What the kernels of three sockets hold, and one piece.
  EXPECT_LT(asked.send_what_is_taken(kWhole, 300ms), std::size_t{32} << 20);
  asking.leave();
  asked.wait_for_end();
}

TEST_F(MirrorForwardLimits, AStopEndsWhatIsUnderWay) {
  given_mirror_of_host({"--forward-timeout", "1h"});
  Asking waiting(port(), kSync + "listRepos");
  AskedByHand asked = host.take();
  Asking reading(port(), kSync + "listRepos");
  AskedByHand begun = host.take();
  begun.send(kOk + "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
  reading.read_until("half\r\n");
  stop();
  asked.wait_for_end();
  begun.wait_for_end();
}

}  // namespace
}  // namespace standpipe::test
