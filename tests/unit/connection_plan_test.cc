// Each fault of a ConnectionPlan, as Subscriber sees it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>

#include "tests/support/hex.h"
#include "tests/support/scripted_upstream.h"
#include "tests/support/upstream_fixture.h"

namespace standpipe::test {
namespace {

using ::testing::ElementsAre;

// What a subscriber from 0 gets of the frames 1 to 10, and how it ends.
struct Played {
  std::vector<std::int64_t> seqs;
  Received end;
};
Played play(ConnectionPlan plan) {
  ScriptedUpstream upstream(holding(1, 10));
  upstream.plan_next(std::move(plan));
  Subscriber subscriber = subscribed(upstream, 0);
  Played played;
  played.seqs = seqs_of(subscriber.read_to_end(&played.end));
  return played;
}

TEST(ConnectionPlan, RefusesWithAnyStatusHeadersAndBody) {
  ScriptedUpstream upstream;
  upstream.plan_next(ConnectionPlan::refuse(429, {{"Retry-After", "7"}}, "not now"));
  const Subscriber refused = subscribed(upstream, 0);
  EXPECT_EQ(refused.handshake().status, 429);
  EXPECT_EQ(refused.handshake().header("retry-after"), "7");
  EXPECT_EQ(refused.handshake().body, "not now");
  EXPECT_EQ(upstream.wait_for_end(0).end, ConnectionEnd::refused);
  upstream.plan_next(ConnectionPlan::redirect("ws://127.0.0.1:1/elsewhere"));
  const Subscriber redirected = subscribed(upstream, 0);
  EXPECT_EQ(redirected.handshake().status, 307);
  EXPECT_EQ(redirected.handshake().header("Location"), "ws://127.0.0.1:1/elsewhere");
}

TEST(ConnectionPlan, NeverAnswersOrHangsUpOrAnswersNonsense) {
  ScriptedUpstream upstream;
  SubscriberOptions impatient;
  impatient.deadline = std::chrono::milliseconds(50);
  upstream.plan_next(ConnectionPlan::silent());
  EXPECT_THROW(subscribed(upstream, 0, impatient), std::runtime_error);
  upstream.plan_next(ConnectionPlan::never_answer());
  EXPECT_THROW(subscribed(upstream, 0, impatient), std::runtime_error);
  upstream.wait_for_connections(2);
  EXPECT_FALSE(upstream.connection(0).has_request);
  EXPECT_TRUE(upstream.connection(1).has_request);
  EXPECT_FALSE(upstream.connection(1).is_upgraded);
  upstream.plan_next(ConnectionPlan::hang_up());
  Subscriber hung_up = subscribed(upstream, 0);
  EXPECT_EQ(hung_up.handshake().status, 0);
  EXPECT_EQ(hung_up.next(), Received(TcpEnd{false, 0}));
  upstream.plan_next(ConnectionPlan::answer_raw("SSH-2.0-OpenSSH_9.2\r\n"));
  EXPECT_EQ(exchange_raw(upstream.port(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            "SSH-2.0-OpenSSH_9.2\r\n");
}

TEST(ConnectionPlan, CutsBetweenFramesByFinOrRst) {
  const Played cut = play(ConnectionPlan().cut_after(3));
  EXPECT_THAT(cut.seqs, ElementsAre(1, 2, 3));
  EXPECT_EQ(cut.end, Received(TcpEnd{false, 0}));
  const Played reset = play(ConnectionPlan().reset_after(3));
  EXPECT_THAT(reset.seqs, ElementsAre(1, 2, 3));
  EXPECT_EQ(reset.end, Received(TcpEnd{true, 0}));
  const Played at_once = play(ConnectionPlan().cut_after(0));
  EXPECT_TRUE(at_once.seqs.empty());
  EXPECT_EQ(at_once.end, Received(TcpEnd{false, 0}));
}

TEST(ConnectionPlan, CutsWithinAFrameByFinOrRst) {
  for (const std::size_t bytes : {0U, 1U, 3U, 100U}) {
    const Played cut = play(ConnectionPlan().cut_within(2, bytes));
    EXPECT_THAT(cut.seqs, ElementsAre(1));
    EXPECT_EQ(cut.end, Received(TcpEnd{false, bytes}));
    const Played reset = play(ConnectionPlan().reset_within(2, bytes));
    EXPECT_THAT(reset.seqs, ElementsAre(1));
    EXPECT_EQ(reset.end, Received(TcpEnd{true, bytes}));
  }
}

TEST(ConnectionPlan, ClosesWithAnyCodeAndWaitsForTheAnswer) {
  const Played closed = play(ConnectionPlan().close_after(4, 1012, "RelayRestart"));
  EXPECT_THAT(closed.seqs, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(closed.end, Received(Closed{1012, "RelayRestart"}));
  EXPECT_EQ(play(ConnectionPlan().close_after(1)).end, Received(Closed{}));
  EXPECT_EQ(play(ConnectionPlan().close_after(1, 1000)).end, Received(Closed{1000, ""}));

  ScriptedUpstream upstream(holding(1, 2));
  upstream.plan_next(ConnectionPlan().close_after(1, 1001));
  Subscriber subscriber = subscribed(upstream, 0);
  subscriber.read_to_end();
  EXPECT_FALSE(subscriber.has_input());
  subscriber.send_close(1001, "so be it");
  EXPECT_EQ(subscriber.wait_for_tcp_end(), (TcpEnd{false, 0}));
  const ConnectionRecord record = upstream.wait_for_end(0);
  EXPECT_EQ(record.end, ConnectionEnd::closed);
  EXPECT_EQ(record.close_code, 1001);
  EXPECT_EQ(record.close_reason, "so be it");

  upstream.plan_next(ConnectionPlan().close_after(0, 1001).keep_open_at_end());
  Subscriber kept = subscribed(upstream, 0);
  kept.read_to_end();
  kept.send_close();
  upstream.wait_for(1, "a close frame",
                    [](const ConnectionRecord& r) { return r.close_code == 1005; });
  EXPECT_FALSE(kept.has_input());
}

TEST(ConnectionPlan, StallsAndPausesWithTheConnectionOpen) {
  ScriptedUpstream upstream(holding(1, 10));
  upstream.plan_next(ConnectionPlan().stall_after(2));
  upstream.plan_next(ConnectionPlan().pause_after(2));
  Subscriber stalled = subscribed(upstream, 0);
  Subscriber paused = subscribed(upstream, 0);
  EXPECT_THAT(seqs_read(stalled, 2), ElementsAre(1, 2));
  stalled.send_ping("anybody there");
  const auto record = upstream.wait_for(
      0, "a ping", [](const ConnectionRecord& r) { return r.is_stalled && !r.pings.empty(); });
  EXPECT_EQ(as_text(record.pings.front()), "anybody there");
  EXPECT_THAT(seqs_of(paused.read_until_pong()), ElementsAre(1, 2));
  EXPECT_FALSE(stalled.has_input());
  EXPECT_EQ(upstream.open_connections(), 2U);
}

TEST(ConnectionPlan, RepeatsSkipsSwapsAndGoesBack) {
  EXPECT_THAT(play(ConnectionPlan().repeat(2).repeat(4, 2).cut_after(5)).seqs,
              ElementsAre(1, 2, 2, 3, 4, 4, 4, 5));
  EXPECT_THAT(play(ConnectionPlan().skip(1).skip(4).cut_after(5)).seqs, ElementsAre(2, 3, 5));
  EXPECT_THAT(play(ConnectionPlan().swap(2).swap(4).cut_after(6)).seqs,
              ElementsAre(1, 3, 2, 5, 4, 6));
  EXPECT_THAT(play(ConnectionPlan().go_back_after(4, 3).cut_after(8)).seqs,
              ElementsAre(1, 2, 3, 4, 2, 3, 4, 5));
  EXPECT_THAT(play(ConnectionPlan().go_back_after(2, 99).cut_after(3)).seqs, ElementsAre(1, 2, 1));
}

TEST(ConnectionPlan, ASwapWaitsForBothFrames) {
  ScriptedUpstream upstream(holding(1, 2));
  upstream.plan_next(ConnectionPlan().swap(2));
  Subscriber subscriber = subscribed(upstream, 0);
  EXPECT_THAT(seqs_of(subscriber.read_until_pong()), ElementsAre(1));
  upstream.append(upstream_frames(3, 4));
  EXPECT_THAT(seqs_read(subscriber, 3), ElementsAre(3, 2, 4));
}

TEST(ConnectionPlan, PutsInTextAndOtherBytes) {
  ScriptedUpstream upstream(holding(1, 3));
  upstream.plan_next(ConnectionPlan()
                         .text_after(1, "hello")
                         .binary_after(1, hex("de ad"))
                         .replace(2, hex("be ef"))
                         .cut_after(3));
  Subscriber subscriber = subscribed(upstream, 0);
  EXPECT_EQ(subscriber.next_frame(), make_frame(1));
  EXPECT_EQ(subscriber.next(), Received(TextMessage{"hello"}));
  EXPECT_EQ(subscriber.next_frame(), hex("de ad"));
  EXPECT_EQ(subscriber.next_frame(), hex("be ef"));
  EXPECT_EQ(subscriber.next_frame(), make_frame(3));
  EXPECT_EQ(subscriber.next(), Received(TcpEnd{false, 0}));
}

TEST(ConnectionPlan, SendsMessagesOfAnySizeWholeOrInFragments) {
  ScriptedUpstream upstream(holding(1, 1));
  for (const std::size_t piece : {0U, 1'000'000U}) {
    upstream.plan_next(ConnectionPlan().oversize_after(0, 12'345'678, hex("a1 'x'"), piece));
    SubscriberOptions options;
    options.allows_fragments = piece > 0;
    Subscriber subscriber = subscribed(upstream, 0, options);
    Bytes expected = hex("a1 'x'");
    expected.resize(12'345'678);
    EXPECT_TRUE(subscriber.next_frame() == expected);
    EXPECT_EQ(subscriber.next_frame(), make_frame(1));
  }
  upstream.plan_next(ConnectionPlan().oversize_after(0, 0));
  Subscriber empty = subscribed(upstream, 0);
  EXPECT_EQ(empty.next_frame(), Bytes());
  // Too large for this subscriber, and for any machine to hold.
  upstream.plan_next(ConnectionPlan().oversize_after(0, std::uint64_t{1} << 40));
  Subscriber limited = subscribed(upstream, 0);
  EXPECT_EQ(limited.next(), Received(Violation{"a message of more than 67108864 bytes"}));
}

TEST(ConnectionPlan, FragmentsAFrameWithPingsBetweenThePieces) {
  ScriptedUpstream upstream(holding(1, 2));
  upstream.plan_next(ConnectionPlan().fragment(1, 3, true).fragment(2, 5000));
  SubscriberOptions options;
  options.allows_fragments = true;
  Subscriber subscriber = subscribed(upstream, 0, options);
  EXPECT_EQ(subscriber.next_frame(), make_frame(1));
  EXPECT_EQ(subscriber.pings().size(), 2U);
  EXPECT_EQ(subscriber.next_frame(), make_frame(2));
  upstream.wait_for_pongs(0, 2);
  upstream.plan_next(ConnectionPlan().fragment(1, 2));
  Subscriber strict = subscribed(upstream, 0);
  EXPECT_EQ(strict.next(), Received(Violation{"a message is fragmented"}));
}

TEST(ConnectionPlan, PutsAnyBytesOnTheWire) {
  const auto violation = [](const Bytes& bytes) {
    return describe(play(ConnectionPlan().raw_after(1, bytes)).end);
  };
  EXPECT_EQ(violation(hex("ff ff")), "a violation: a reserved bit is set");
  EXPECT_EQ(violation(hex("83 00")), "a violation: reserved opcode 3");
  EXPECT_EQ(violation(hex("8b 00")), "a violation: reserved opcode 11");
  EXPECT_EQ(violation(hex("82 81 00000000 00")), "a violation: a frame is masked");
  EXPECT_EQ(violation(hex("82 7e 007d")), "a violation: a length in more bytes than it needs");
  EXPECT_EQ(violation(hex("82 7f 000000000000ffff")),
            "a violation: a length in more bytes than it needs");
  EXPECT_EQ(violation(hex("09 00")), "a violation: a control frame is fragmented");
  EXPECT_EQ(violation(hex("89 7e 007e")), "a violation: a control frame is too long");
  EXPECT_EQ(violation(hex("88 01 03")), "a violation: a close frame with half a code");
  EXPECT_EQ(violation(hex("02 00")), "a violation: a message is fragmented");
  EXPECT_EQ(violation(hex("80 00")), "a violation: a message is fragmented");
}

TEST(ConnectionPlan, PingsAndWaitsForThePong) {
  ScriptedUpstream upstream(holding(1, 3));
  upstream.plan_next(ConnectionPlan().ping_after(1, "one").ping_after(2, "two"));
  SubscriberOptions options;
  options.answers_pings = false;
  Subscriber subscriber = subscribed(upstream, 0, options);
  EXPECT_THAT(seqs_read(subscriber, 1), ElementsAre(1));
  EXPECT_EQ(as_text(subscriber.wait_for_ping()), "one");
  EXPECT_TRUE(subscriber.read_until_pong().empty());
  subscriber.send_pong("one");
  EXPECT_THAT(seqs_read(subscriber, 1), ElementsAre(2));
  EXPECT_EQ(as_text(subscriber.wait_for_ping()), "two");
  subscriber.send_pong("two");
  EXPECT_THAT(seqs_read(subscriber, 1), ElementsAre(3));
  EXPECT_THAT(upstream.connection(0).pongs, ElementsAre(hex("'one'"), hex("'two'")));
}

TEST(ConnectionPlan, NeverPongsIfAskedNotTo) {
  ScriptedUpstream upstream(holding(1, 1));
  upstream.plan_next(ConnectionPlan().never_pong());
  Subscriber subscriber = subscribed(upstream, 0);
  subscriber.send_ping("?");
  upstream.wait_for(0, "a ping", [](const ConnectionRecord& r) { return r.pings.size() == 1; });
  upstream.append(2, make_frame(2));
  EXPECT_THAT(seqs_read(subscriber, 2), ElementsAre(1, 2));
  EXPECT_TRUE(subscriber.pongs().empty());
}

TEST(ConnectionPlan, PlansComeFromTheQueueThenFromTheCallback) {
  UpstreamOptions options = holding(1, 3);
  options.plan = [](std::size_t number, const ConnectionRecord& request) {
    return ConnectionPlan::refuse(500, {}, std::to_string(number) + request.target);
  };
  ScriptedUpstream upstream(options);
  upstream.plan_next(ConnectionPlan().cut_after(1));
  Subscriber first = subscribed(upstream, 0);
  EXPECT_THAT(seqs_of(first.read_to_end()), ElementsAre(1));
  const Subscriber second = Subscriber::connect(upstream.port(), "/x");
  EXPECT_EQ(second.handshake().body, "1/x");
}

TEST(ConnectionPlan, FaultsHappenOverTlsToo) {
  const CertificateAuthority authority;
  UpstreamOptions upstream_options = holding(1, 5);
  upstream_options.tls = authority.for_loopback();
  ScriptedUpstream upstream(upstream_options);
  SubscriberOptions options;
  options.tls = make_client_tls(authority.certificate_pem());
  upstream.plan_next(ConnectionPlan().cut_within(2, 50));
  upstream.plan_next(ConnectionPlan().reset_after(2));
  upstream.plan_next(ConnectionPlan().close_after(2, 1011, "why"));
  Received end;
  EXPECT_THAT(seqs_of(subscribed(upstream, 0, options).read_to_end(&end)), ElementsAre(1));
  EXPECT_EQ(end, Received(TcpEnd{false, 50}));
  EXPECT_THAT(seqs_of(subscribed(upstream, 0, options).read_to_end(&end)), ElementsAre(1, 2));
  EXPECT_EQ(end, Received(TcpEnd{true, 0}));
  EXPECT_THAT(seqs_of(subscribed(upstream, 0, options).read_to_end(&end)), ElementsAre(1, 2));
  EXPECT_EQ(end, Received(Closed{1011, "why"}));
}

TEST(ConnectionPlan, EndsAtOnceWhateverItsConnectionsAreDoing) {
  UpstreamOptions options = holding(1, 1);
  auto upstream = std::make_unique<ScriptedUpstream>(options);
  upstream->plan_next(ConnectionPlan().stall_after(0));
  upstream->plan_next(ConnectionPlan::never_answer());
  upstream->plan_next(ConnectionPlan().oversize_after(0, std::uint64_t{1} << 40));
  upstream->plan_next(ConnectionPlan().close_after(0, 1000).keep_open_at_end());
  upstream->plan_next(ConnectionPlan::silent());
  Subscriber stalled = subscribed(*upstream, 0);
  const std::string request = "GET / HTTP/1.1\r\n\r\n";
  NetStream unanswered = connect_stream(upstream->port(), {});
  write_all(unanswered, as_bytes(request), deadline_from_now());
  upstream->wait_for_connections(2);
  SubscriberOptions small;
  small.receive_buffer = 4096;
  Subscriber not_reading = subscribed(*upstream, 0, small);
  Subscriber closing = subscribed(*upstream, 0);
  const NetStream silent = connect_stream(upstream->port(), {});
  upstream->wait_for_connections(5);
  upstream.reset();
  EXPECT_EQ(stalled.next(), Received(TcpEnd{true, 0}));
}

}  // namespace
}  // namespace standpipe::test
