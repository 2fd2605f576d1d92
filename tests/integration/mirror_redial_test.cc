// However a connection to upstream fails or ends, the next one goes on where the stream stands:
// the program itself, over sockets.

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/certificates.h"
#include "tests/support/mirror_status_fixture.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using MirrorRedial = MirrorStatusFixture;

// -- How a connection ends ------------------------------------------------------------------------

TEST_F(MirrorRedial, ACutAnywhereLosesNothingAndRepeatsNothing) {
  given_upstream(holding(1, 100));
  upstream().plan_next(ConnectionPlan().cut_after(0));
  upstream().plan_next(ConnectionPlan().cut_after(10));
  upstream().plan_next(ConnectionPlan().cut_within(5, 1));    // amid the header of 15
  upstream().plan_next(ConnectionPlan().cut_within(7, 300));  // amid 21
  upstream().plan_next(ConnectionPlan().reset_after(10));
  upstream().plan_next(ConnectionPlan().reset_within(5, 1));
  upstream().plan_next(ConnectionPlan().reset_within(7, 600));
  upstream().plan_next(ConnectionPlan().fragment(10, 3).cut_within(12, 50));
  given_watched_mirror();
  const json status = wait_for_newest(100);
  EXPECT_THAT(cursors(), ElementsAre(0, 0, 10, 14, 20, 30, 34, 40, 51));
  EXPECT_EQ(status["accepted"], 100);
  EXPECT_EQ(status["duplicates"], 0);
  EXPECT_EQ(status["connections"], 9);
  EXPECT_EQ(status["quarantined"], 0);
  EXPECT_THAT(gaps(), IsEmpty());
  expect_served(frames_between(1, 100));
}

TEST_F(MirrorRedial, EveryCloseCodeIsFollowedByAnotherDial) {
  const std::vector<std::uint16_t> codes{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                                         1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
  given_upstream(holding(1, 40));
  for (const std::uint16_t code : codes) {
    upstream().plan_next(ConnectionPlan().close_after(2, code, "go away"));
  }
  upstream().plan_next(ConnectionPlan().close_after(2));  // without a code
  given_watched_mirror();
  const json status = wait_for_newest(40);
  EXPECT_EQ(status["connections"], codes.size() + 2);
  EXPECT_EQ(status["accepted"], 40);
  EXPECT_EQ(status["duplicates"], 0);
  for (std::size_t i = 0; i < cursors().size(); ++i) {
    EXPECT_EQ(cursors()[i], static_cast<std::int64_t>(2 * i));
  }
  EXPECT_THAT(gaps(), IsEmpty());
  expect_served(frames_between(1, 40));
}

// Reserved bits, a reserved opcode, a masked frame, a ping that is too long, a close frame of one
// byte, a continuation of nothing, HTTP where there should be frames.
TEST_F(MirrorRedial, BytesThatAreNoWebSocketEndTheConnectionAlone) {
  const std::vector<std::string> garbage{"f20161",
                                         "83016f",
                                         "82810102030462",
                                         "897e0080",
                                         "8801e8",
                                         "800161",
                                         "485454502f312e31203230302044756e6e6f0d0a"};
  given_upstream(holding(1, 20));
  for (const std::string& hex : garbage) {
    upstream().plan_next(ConnectionPlan().raw_after(2, parse_hex(hex).value()).pause_after(2));
  }
  given_watched_mirror();
  const json status = wait_for_newest(20);
  EXPECT_EQ(status["connections"], garbage.size() + 1);
  EXPECT_THAT(cursors(), ElementsAre(0, 2, 4, 6, 8, 10, 12, 14));
  EXPECT_EQ(status["accepted"], 20);
  EXPECT_THAT(status["last_error"].get<std::string>(), HasSubstr("(protocol)"));
  expect_served(frames_between(1, 20));
}

TEST_F(MirrorRedial, AnUpstreamThatStallsIsLeftAndOneThatOnlyPausesIsNot) {
  given_upstream(holding(1, 20));
  upstream().plan_next(ConnectionPlan().stall_after(7));
  upstream().plan_next(ConnectionPlan().cut_within(4, 100));
  given_watched_mirror({"--idle-timeout", "300ms"});
  json status = wait_for_newest(20);
  EXPECT_THAT(cursors(), ElementsAre(0, 7, 10));
  wait_for_log("(idle)");
  // The third connection has nothing to say for longer than that, but answers our pings.
  upstream().wait_for(2, "four pings", [](const ConnectionRecord& one) {
    return one.pings.size() >= 4;  // 150 ms each
  });
  upstream().append(21, make_frame(21));
  status = wait_for_newest(21);
  EXPECT_EQ(status["connections"], 3);
  expect_served(frames_between(1, 21));
}

TEST_F(MirrorRedial, ARainbowsRepeatedFrameIsCountedAtEachReconnect) {
  UpstreamOptions rainbow = holding(1, 40);
  rainbow.cursor_mode = CursorMode::inclusive;
  given_upstream(std::move(rainbow));
  for (int i = 0; i < 3; ++i) upstream().plan_next(ConnectionPlan().cut_after(10));
  given_watched_mirror();
  const json status = wait_for_newest(40);
  EXPECT_THAT(cursors(), ElementsAre(0, 10, 19, 28));
  EXPECT_EQ(status["duplicates"], 3);
  EXPECT_EQ(status["accepted"], 40);
  EXPECT_THAT(gaps(), IsEmpty());
  expect_served(frames_between(1, 40));
  stop();
  given_watched_mirror();
  wait_for_count("duplicates", 1);
  upstream().append(41, make_frame(41));
  EXPECT_EQ(wait_for_newest(41)["duplicates"], 1);
  expect_served(frames_between(1, 41));
}

// -- How a dial fails -----------------------------------------------------------------------------

TEST_F(MirrorRedial, AHandshakeThatNeverEndsIsGivenUpAndTriedAgain) {
  given_upstream(holding(1, 5));
  upstream().plan_next(ConnectionPlan::never_answer());
  upstream().plan_next(ConnectionPlan::silent());
  given_watched_mirror({"--connect-timeout", "200ms"});
  const json status = wait_for_newest(5);
  EXPECT_EQ(status["dials_failed"], 2);
  EXPECT_EQ(status["connections"], 1);
  EXPECT_THAT(status["last_error"].get<std::string>(), HasSubstr("(timeout)"));
  expect_served(frames_between(1, 5));
}

TEST_F(MirrorRedial, WhatIsNoWebSocketAnswerIsSaidAndTriedAgain) {
  given_upstream(holding(1, 5));
  upstream().plan_next(ConnectionPlan::hang_up());
  upstream().plan_next(ConnectionPlan::answer_raw("SSH-2.0-OpenSSH_9.2p1\r\n"));
  upstream().plan_next(ConnectionPlan::answer_raw("HTTP/1.1 101 Switching Protocols\r\n\r\n"));
  upstream().plan_next(ConnectionPlan::refuse(200, {}, "<html>"));
  upstream().plan_next(ConnectionPlan::refuse(404));
  upstream().plan_next(ConnectionPlan::refuse(500));
  given_watched_mirror();
  const json status = wait_for_newest(5);
  EXPECT_EQ(status["dials_failed"], 6);
  EXPECT_EQ(status["connections"], 1);
  const std::string log = process().error_text();
  for (const char* said : {"HTTP 200", "HTTP 404", "HTTP 500", "dialling again in"}) {
    EXPECT_THAT(log, HasSubstr(said));
  }
  expect_served(frames_between(1, 5));
}

TEST_F(MirrorRedial, ARedirectIsFollowedWithTheCursor) {
  ScriptedUpstream real(holding(1, 10));
  UpstreamOptions options;
  options.plan = [&real](std::size_t, const ConnectionRecord&) {
    return ConnectionPlan::redirect(real.url("/xrpc/com.atproto.sync.subscribeRepos"), 302);
  };
  given_upstream(std::move(options));
  real.plan_next(ConnectionPlan().cut_after(4));
  given_watched_mirror();
  const json status = wait_for_newest(10);
  EXPECT_EQ(real.connection(0).cursor, 0);
  EXPECT_EQ(real.connection(1).cursor, 4);
  EXPECT_EQ(status["dials_failed"], 0);
  EXPECT_EQ(upstream().connections().size(), 2U);  // the next dial asks the same host again
  EXPECT_EQ(status["url"], upstream().url("/xrpc/com.atproto.sync.subscribeRepos"));
  expect_served(frames_between(1, 10));
}

TEST_F(MirrorRedial, ARedirectLoopIsLeftAfterAFewTurns) {
  given_upstream(holding(1, 5));
  const std::string here = upstream().url("/xrpc/com.atproto.sync.subscribeRepos");
  for (int i = 0; i < 12; ++i) upstream().plan_next(ConnectionPlan::redirect(here));
  given_watched_mirror();
  const json status = wait_for_newest(5);
  EXPECT_EQ(status["dials_failed"], 2);  // five redirects after the first request: six each
  EXPECT_THAT(status["last_error"].get<std::string>(), HasSubstr("(redirect_loop)"));
  expect_served(frames_between(1, 5));
}

TEST_F(MirrorRedial, RetryAfterIsWaitedForWhereItIsLongerThanOurOwnWait) {
  given_upstream(holding(1, 5));
  upstream().plan_next(ConnectionPlan::refuse(429, {{"Retry-After", "1"}}));
  given_watched_mirror();
  wait_for_state("down");
  EXPECT_EQ(health()["status"], "upstream_down");
  EXPECT_EQ(health()["streams"][0]["upstream"], "down");
  wait_for_log("dialling again in 1000 ms");
  const json status = wait_for_newest(5);
  EXPECT_EQ(status["dials_failed"], 1);
  EXPECT_THAT(status["last_error"].get<std::string>(), HasSubstr("HTTP 429"));
  expect_served(frames_between(1, 5));
}

TEST_F(MirrorRedial, WhileUpstreamIsAwayWhatIsThereIsServed) {
  UpstreamOptions options = holding(1, 10);
  options.plan = [](std::size_t number, const ConnectionRecord&) {
    return number == 0 ? ConnectionPlan().cut_after(10) : ConnectionPlan::refuse(503);
  };
  given_upstream(std::move(options));
  given_watched_mirror();
  wait_for_count("dials_failed", 2);
  EXPECT_EQ(health()["status"], "upstream_down");
  expect_served(frames_between(1, 10));
}

// Nobody listens there at all.
TEST_F(MirrorRedial, AnUpstreamThatIsNotThereIsDialledUntilItIs) {
  given_upstream(holding(1, 10));
  given_watched_mirror();
  wait_for_newest(10);
  given_upstream();  // at another port: the one that is followed is gone
  const json status = wait_for_count("dials_failed", 3);
  EXPECT_EQ(status["state"], "down");
  EXPECT_THAT(status["last_error"].get<std::string>(), HasSubstr("(connect)"));
  expect_served(frames_between(1, 10));
}

// -- TLS ------------------------------------------------------------------------------------------

class MirrorTls : public MirrorStatusFixture {
 protected:
  MirrorTls() { authority.write_certificate(dir / "ca.pem"); }

  void given_tls_upstream(TlsIdentity identity) {
    UpstreamOptions options = holding(1, 10);
    options.tls = std::move(identity);
    given_upstream(std::move(options));
  }

  CertificateAuthority authority;
};

TEST_F(MirrorTls, ACertificateOfAnAuthorityThatWasGivenIsGood) {
  given_tls_upstream(authority.for_loopback());
  upstream().plan_next(ConnectionPlan().reset_within(4, 100));
  given_watched_mirror({"--tls-ca", (dir / "ca.pem").string()});
  const json status = wait_for_newest(10);
  EXPECT_EQ(status["connections"], 2);
  EXPECT_EQ(status["dials_failed"], 0);
  expect_served(frames_between(1, 10));
}

TEST_F(MirrorTls, AnyOtherIsRefusedInOneClearLineAndTriedAgain) {
  struct Case {
    TlsIdentity identity;
    std::string said;
  };
  const std::vector<Case> cases{{authority.expired(), "certificate has expired"},
                                {authority.wrong_name(), "mismatch"},
                                {self_signed_identity(), "self-signed certificate"},
                                {CertificateAuthority().for_loopback(), "unable to get local"}};
  for (const Case& one : cases) {
    SCOPED_TRACE(one.said);
    given_tls_upstream(one.identity);
    given_watched_mirror({"--tls-ca", (dir / "ca.pem").string(), "--change-upstream"});
    const json status = wait_for_count("dials_failed", 2);
    EXPECT_EQ(status["state"], "down");
    EXPECT_EQ(status["newest"], 0);
    EXPECT_THAT(status["last_error"].get<std::string>(), HasSubstr(one.said));
    EXPECT_THAT(status["last_error"].get<std::string>(), HasSubstr("(tls)"));
    const std::string log = stop().err;
    EXPECT_THAT(log, HasSubstr("stream repos: cannot connect: "));
    EXPECT_THAT(log, HasSubstr(one.said));
    for (const ConnectionRecord& dialled : upstream().connections()) {
      EXPECT_FALSE(dialled.has_request);
    }
  }
}

}  // namespace
}  // namespace standpipe::test
