// One connection against a real server: what it gets, and how it ends.
#include "archiver/firehose/ws_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/archive_fixture.h"
#include "tests/support/ws_collector.h"

namespace standpipe::test {
namespace {

using firehose::UpstreamUrl;
using firehose::WsClient;
using firehose::WsEnd;
using firehose::WsOptions;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::size_t kFiveMiB = 5'242'880;

// -- Handshake ------------------------------------------------------------------------------------

TEST(WsClientTest, AsksForTheCursorByNameAndOffersNoCompression) {
  ScriptedUpstream upstream(serving(1, 5));
  upstream.plan_next(ConnectionPlan().close_after(2, 1000));
  Collector collector;
  WsOptions options;
  options.user_agent = "standpipe/1.2.3";
  const WsEnd end = run(url_of(upstream), collector, options, Seq{3});
  EXPECT_EQ(kind_of(end), "closed") << end.detail;
  const ConnectionRecord seen = upstream.connection(0);
  EXPECT_EQ(seen.target, "/xrpc/com.atproto.sync.subscribeRepos?cursor=3");
  EXPECT_EQ(seen.header("host"), "127.0.0.1:" + std::to_string(upstream.port()));
  EXPECT_EQ(seen.header("user-agent"), "standpipe/1.2.3");
  EXPECT_EQ(seen.header("sec-websocket-extensions"), std::nullopt);
  EXPECT_EQ(seen.header("sec-websocket-protocol"), std::nullopt);
  EXPECT_THAT(collector.said(), ElementsAre("601 bytes", "601 bytes"));
  EXPECT_EQ(collector.last(), as_text(make_frame(5)));
}

TEST(WsClientTest, AnAnswerThatIsNoUpgradeIsGivenWithItsStatus) {
  ScriptedUpstream upstream;
  upstream.plan_next(ConnectionPlan::refuse(503, {{"Retry-After", "7"}}));
  upstream.plan_next(ConnectionPlan::refuse(429, {{"retry-after", "900"}}, "slow down"));
  upstream.plan_next(ConnectionPlan::refuse(404));
  upstream.plan_next(ConnectionPlan::refuse(200, {}, "hello"));
  const int statuses[] = {503, 429, 404, 200};
  const std::optional<milliseconds> retries[] = {milliseconds(7'000), milliseconds(900'000),
                                                 std::nullopt, std::nullopt};
  for (std::size_t i = 0; i < 4; ++i) {
    Collector collector;
    const WsEnd end = run(url_of(upstream), collector);
    EXPECT_EQ(kind_of(end), "http_status") << end.detail;
    EXPECT_EQ(end.http_status, statuses[i]);
    EXPECT_EQ(end.retry_after, retries[i]);
    EXPECT_FALSE(end.was_open);
  }
}

TEST(WsClientTest, AHandshakeThatNeverEndsEnds) {
  ScriptedUpstream upstream;
  upstream.plan_next(ConnectionPlan::never_answer());
  upstream.plan_next(ConnectionPlan::silent());
  WsOptions options;
  options.connect_deadline = milliseconds(150);
  Collector collector;
  const WsEnd end = run(url_of(upstream), collector, options);
  EXPECT_EQ(kind_of(end), "timeout");
  EXPECT_THAT(end.detail, HasSubstr("the handshake with 127.0.0.1"));
  // Nor does one of TLS.
  UpstreamUrl tls = url_of(upstream);
  tls.is_tls = true;
  const WsEnd second = run(tls, collector, options);
  EXPECT_EQ(kind_of(second), "timeout");
  EXPECT_THAT(second.detail, HasSubstr("the TLS handshake"));
}

TEST(WsClientTest, WhatIsNoHttpIsAProtocolErrorAndNoAnswerALostConnection) {
  ScriptedUpstream upstream;
  upstream.plan_next(ConnectionPlan::answer_raw("SSH-2.0-OpenSSH_9.2\r\n\r\n"));
  upstream.plan_next(ConnectionPlan::hang_up());
  Collector collector;
  EXPECT_EQ(kind_of(run(url_of(upstream), collector)), "protocol");
  EXPECT_EQ(kind_of(run(url_of(upstream), collector)), "lost");
}

TEST(WsClientTest, NobodyThereAndNoSuchHostAreToldApart) {
  std::string url;
  {
    const ScriptedUpstream gone;
    url = gone.url();
  }
  Collector collector;
  const WsEnd refused = run(repos_url(url), collector);
  EXPECT_EQ(kind_of(refused), "connect");
  EXPECT_THAT(refused.detail, HasSubstr("127.0.0.1"));
  WsOptions options;
  options.resolve = [](const std::string& host) -> Result<std::vector<std::string>> {
    return Error{Errc::not_found, "no " + host};
  };
  const WsEnd unknown = run(repos_url("ws://nowhere.example"), collector, options);
  EXPECT_EQ(kind_of(unknown), "resolve");
  EXPECT_EQ(unknown.detail, "no nowhere.example");
}

TEST(WsClientTest, EveryAddressOfAHostIsTried) {
  ScriptedUpstream upstream(serving(1, 1));
  WsOptions options;
  // The server listens at 127.0.0.1 alone.
  options.resolve = [](const std::string&) -> Result<std::vector<std::string>> {
    return std::vector<std::string>{"127.0.0.2", "127.0.0.3", "127.0.0.1"};
  };
  Collector collector(1);
  const WsEnd end =
      run(repos_url("ws://relay.example:" + std::to_string(upstream.port())), collector, options);
  EXPECT_EQ(kind_of(end), "handler") << end.detail;
  EXPECT_EQ(collector.opened().address, "127.0.0.1:" + std::to_string(upstream.port()));
  EXPECT_EQ(upstream.connection(0).header("host"),
            "relay.example:" + std::to_string(upstream.port()));
}

TEST(WsClientTest, LocalhostIsResolvedByTheSystem) {
  ScriptedUpstream upstream(serving(1, 1));
  Collector collector(1);
  const WsEnd end = run(repos_url("ws://localhost:" + std::to_string(upstream.port())), collector);
  EXPECT_EQ(kind_of(end), "handler") << end.detail;
}

// -- Redirects ------------------------------------------------------------------------------------

TEST(WsClientTest, RedirectsAreFollowedWithTheCursor) {
  ScriptedUpstream behind(serving(1, 3));
  ScriptedUpstream front;
  for (const int status : {301, 302, 303, 307, 308}) {
    front.plan_next(ConnectionPlan::redirect(behind.url("/elsewhere"), status));
    Collector collector(1);
    const WsEnd end = run(url_of(front), collector, {}, Seq{2});
    EXPECT_EQ(kind_of(end), "handler") << status << end.detail;
    EXPECT_EQ(collector.opened().redirects, 1);
    EXPECT_EQ(to_string(collector.opened().url), behind.url("/elsewhere"));
    EXPECT_EQ(collector.last(), as_text(make_frame(3)));
  }
  for (const ConnectionRecord& seen : behind.connections()) {
    EXPECT_EQ(seen.target, "/elsewhere?cursor=2");
  }
}

TEST(WsClientTest, RedirectsThatDoNotEndAreNotFollowedForEver) {
  UpstreamOptions options;
  options.plan = [](std::size_t, const ConnectionRecord&) {
    return ConnectionPlan::redirect("/again");
  };
  ScriptedUpstream upstream(std::move(options));
  Collector collector;
  const WsEnd end = run(url_of(upstream), collector);
  EXPECT_EQ(kind_of(end), "redirect_loop");
  EXPECT_EQ(upstream.connections().size(), 6U);  // the first, and five more
}

TEST(WsClientTest, ARedirectWithoutAPlaceIsNotFollowed) {
  ScriptedUpstream upstream;
  upstream.plan_next(ConnectionPlan::refuse(302));
  upstream.plan_next(ConnectionPlan::redirect("ftp://127.0.0.1/"));
  Collector collector;
  EXPECT_EQ(kind_of(run(url_of(upstream), collector)), "redirect");
  EXPECT_EQ(kind_of(run(url_of(upstream), collector)), "redirect");
}

// -- Messages -------------------------------------------------------------------------------------

TEST(WsClientTest, FiveMebibytesAreDeliveredAndOneByteMoreIsPassedOverOnTheSameConnection) {
  ScriptedUpstream upstream(serving(1, 2));
  const Bytes begins_with(100, std::byte{0x61});
  upstream.plan_next(ConnectionPlan()
                         .oversize_after(1, kFiveMiB, begins_with)
                         .oversize_after(1, kFiveMiB + 1, begins_with)
                         .oversize_after(1, 20'000'000, begins_with, 7'777)
                         .oversize_after(1, kFiveMiB, begins_with, 100'000)
                         .close_after(2, 1008, "done"));
  Collector collector;
  const WsEnd end = run(url_of(upstream), collector);
  EXPECT_EQ(kind_of(end), "closed") << end.detail;
  EXPECT_THAT(collector.said(),
              ElementsAre("601 bytes", "5242880 bytes", "65536 of 5242881 bytes",
                          "65536 of 20000000 bytes", "5242880 bytes", "601 bytes"));
  EXPECT_EQ(collector.last(), as_text(make_frame(2)));
}

TEST(WsClientTest, TheHeadOfAnOversizeMessageIsItsBeginning) {
  ScriptedUpstream upstream;
  Bytes begins_with;
  for (int i = 0; i < 64 << 10; ++i) begins_with.push_back(static_cast<std::byte>(i % 251));
  upstream.plan_next(ConnectionPlan().oversize_after(0, 6'000'000, begins_with, 1'000));
  Collector collector(1);
  run(url_of(upstream), collector);
  EXPECT_EQ(collector.last(), as_text(begins_with));
}

TEST(WsClientTest, FragmentsPingsAndTextAreMessagesLikeOthers) {
  ScriptedUpstream upstream(serving(1, 3));
  upstream.plan_next(ConnectionPlan()
                         .fragment(2, 7, /*has_pings=*/true)
                         .text_after(2, "hello")
                         .text_after(2, "")
                         .ping_after(2, "are you there")
                         .close_after(3, 1001));
  Collector collector;
  const WsEnd end = run(url_of(upstream), collector);
  EXPECT_THAT(collector.said(),
              ElementsAre("601 bytes", "601 bytes", "text 5 bytes", "text 0 bytes", "601 bytes"))
      << end.detail;
  const Bytes payload = to_bytes(as_bytes("are you there"));
  EXPECT_THAT(upstream.connection(0).pongs, ::testing::Contains(payload));
}

// -- Ends -----------------------------------------------------------------------------------------

TEST(WsClientTest, ACloseFrameGivesItsCodeAndReason) {
  ScriptedUpstream upstream(serving(1, 1));
  upstream.plan_next(ConnectionPlan().close_after(1, 1008, "ConsumerTooSlow"));
  upstream.plan_next(ConnectionPlan().close_after(1));
  Collector collector;
  const WsEnd end = run(url_of(upstream), collector);
  EXPECT_EQ(kind_of(end), "closed");
  EXPECT_EQ(end.close_code, 1008);
  EXPECT_EQ(end.close_reason, "ConsumerTooSlow");
  EXPECT_TRUE(end.was_open);
  const WsEnd bare = run(url_of(upstream), collector);
  EXPECT_EQ(kind_of(bare), "closed");
  EXPECT_EQ(bare.close_code, 1005);
}

TEST(WsClientTest, ACloseFrameCountsThoughThePeerKeepsTheConnectionOpen) {
  ScriptedUpstream upstream(serving(1, 1));
  upstream.plan_next(ConnectionPlan().close_after(1, 1012, "restart").keep_open_at_end());
  WsOptions options;
  options.close_timeout = milliseconds(100);
  Collector collector;
  const WsEnd end = run(url_of(upstream), collector, options);
  EXPECT_EQ(kind_of(end), "closed") << end.detail;
  EXPECT_EQ(end.close_code, 1012);
}

TEST(WsClientTest, AConnectionThatEndsWithoutACloseFrameIsLost) {
  ScriptedUpstream upstream(serving(1, 2));
  upstream.plan_next(ConnectionPlan().cut_after(1));
  upstream.plan_next(ConnectionPlan().reset_after(1));
  upstream.plan_next(ConnectionPlan().cut_within(2, 100));
  for (int i = 0; i < 3; ++i) {
    Collector collector;
    const WsEnd end = run(url_of(upstream), collector);
    EXPECT_EQ(kind_of(end), "lost") << end.detail;
    EXPECT_TRUE(end.was_open);
    EXPECT_THAT(collector.said(), ElementsAre("601 bytes"));
  }
}

TEST(WsClientTest, WhatIsNoWebSocketFrameIsAProtocolError) {
  ScriptedUpstream upstream(serving(1, 1));
  upstream.plan_next(ConnectionPlan().raw_after(1, Bytes(16, std::byte{0xFF})));
  Collector collector;
  const WsEnd end = run(url_of(upstream), collector);
  EXPECT_EQ(kind_of(end), "protocol") << end.detail;
  EXPECT_THAT(collector.said(), ElementsAre("601 bytes"));
}

TEST(WsClientTest, APeerThatSaysNothingIsPingedAndGivenUpIfItDoesNotAnswer) {
  ScriptedUpstream upstream(serving(1, 1));
  upstream.plan_next(ConnectionPlan().stall_after(1));
  WsOptions options;
  options.idle_timeout = milliseconds(200);
  Collector collector;
  const WsEnd end = run(url_of(upstream), collector, options);
  EXPECT_EQ(kind_of(end), "idle") << end.detail;
  EXPECT_THAT(collector.said(), ElementsAre("601 bytes"));
}

TEST(WsClientTest, APeerThatAnswersPingsMayBeSilentForAsLongAsItLikes) {
  ScriptedUpstream upstream(serving(1, 1));
  upstream.plan_next(ConnectionPlan().pause_after(1));
  WsOptions options;
  options.idle_timeout = milliseconds(200);
  Collector collector;
  WsClient client(options);
  std::future<WsEnd> end = std::async(
      std::launch::async, [&] { return client.run(url_of(upstream), Seq{0}, collector); });
  upstream.wait_for(0, "six pings", [](const ConnectionRecord& seen) {
    return seen.pings.size() >= 6;  // three timeouts long
  });
  client.stop();
  EXPECT_EQ(kind_of(end.get()), "stopped");
}

class Thrower final : public firehose::WsHandler {
 public:
  explicit Thrower(std::function<void()> what) : throw_(std::move(what)) {}
  firehose::Flow on_open(const firehose::WsOpened&) override { return firehose::Flow::go_on; }
  firehose::Flow on_message(const firehose::WsMessage&) override {
    throw_();
    return firehose::Flow::go_on;
  }

 private:
  const std::function<void()> throw_;
};

TEST(WsClientTest, WhatAHandlerThrowsEndsTheConnectionAndLeavesNothingBehind) {
  ScriptedUpstream upstream(serving(1, 2));
  const auto end_of = [&](std::function<void()> what) {
    Thrower handler(std::move(what));
    WsClient client(WsOptions{});
    const WsEnd end = client.run(url_of(upstream), Seq{0}, handler);
    return kind_of(end) + ": " + end.detail;
  };
  EXPECT_EQ(end_of([] { throw std::runtime_error("what it says"); }), "protocol: what it says");
  EXPECT_EQ(end_of([] { throw 17; }),
            "protocol: a handler threw something that is no std::exception");
}

// -- stop() ---------------------------------------------------------------------------------------

TEST(WsClientTest, StopEndsItBeforeItBegins) {
  ScriptedUpstream upstream;
  WsClient client({});
  client.stop();
  Collector collector;
  EXPECT_EQ(kind_of(client.run(url_of(upstream), Seq{0}, collector)), "stopped");
  EXPECT_THAT(upstream.connections(), IsEmpty());
}

TEST(WsClientTest, StopEndsItWhileTheHostIsLookedUp) {
  std::promise<void> asked;
  std::promise<void> answer;
  std::promise<void> answered;
  WsOptions options;
  options.resolve = [&](const std::string&) -> Result<std::vector<std::string>> {
    asked.set_value();
    answer.get_future().wait();
    answered.set_value();
    return std::vector<std::string>{"127.0.0.1"};
  };
  {
    WsClient client(options);
    Collector collector;
    std::future<WsEnd> end = std::async(std::launch::async, [&] {
      return client.run(repos_url("ws://slow.example"), Seq{0}, collector);
    });
    asked.get_future().wait();
    client.stop();
    EXPECT_EQ(kind_of(end.get()), "stopped");
  }
  // Only now does the look-up end, when there is nobody left to be told.
  answer.set_value();
  answered.get_future().wait();
}

TEST(WsClientTest, StopEndsItInTheHandshakeAndWhileReading) {
  ScriptedUpstream upstream(serving(1, 1));
  upstream.plan_next(ConnectionPlan::never_answer());
  upstream.plan_next(ConnectionPlan().stall_after(1));
  for (std::size_t i = 0; i < 2; ++i) {
    WsClient client({});
    Collector collector;
    std::future<WsEnd> end = std::async(
        std::launch::async, [&] { return client.run(url_of(upstream), Seq{0}, collector); });
    upstream.wait_for(i, "a request", [&](const ConnectionRecord& seen) {
      return seen.has_request && (i == 0 || seen.is_stalled);
    });
    client.stop();
    EXPECT_EQ(kind_of(end.get()), "stopped") << i;
  }
}

TEST(WsClientTest, StopEndsItInTheMiddleOfAMessageWithoutEnd) {
  ScriptedUpstream upstream;
  upstream.plan_next(ConnectionPlan().oversize_after(0, 1ULL << 50, {}, 1 << 20));
  WsClient client({});
  Collector collector;
  std::future<WsEnd> end = std::async(
      std::launch::async, [&] { return client.run(url_of(upstream), Seq{0}, collector); });
  upstream.wait_for(0, "an upgrade", [](const ConnectionRecord& seen) { return seen.is_upgraded; });
  client.stop();
  EXPECT_EQ(kind_of(end.get()), "stopped");
  EXPECT_THAT(collector.said(), IsEmpty());
}

}  // namespace
}  // namespace standpipe::test
