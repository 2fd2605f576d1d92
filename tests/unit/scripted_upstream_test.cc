// ScriptedUpstream seen by Subscriber. Neither shares framing with the other, so each is the
// other's judge.
#include "tests/support/scripted_upstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/support/hex.h"
#include "tests/support/shared_data.h"
#include "tests/support/upstream_fixture.h"

namespace standpipe::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ScriptedUpstream, RealFramesComeThroughAsTheyAre) {
  STANDPIPE_REQUIRE_SHARED();
  std::vector<Bytes> real;
  UpstreamOptions options;
  for (const char* name : {"horizon-firehose", "jetstream-corpus", "proto-rune"}) {
    for (Bytes& frame : read_frame_corpus(shared_dir() / "data" / name / "frames.bin.zst")) {
      options.frames.push_back({seq_of(frame).value(), frame});
      real.push_back(std::move(frame));
    }
  }
  ASSERT_EQ(real.size(), 183U);
  const CertificateAuthority authority;
  for (const bool is_tls : {false, true}) {
    SubscriberOptions subscriber_options;
    if (is_tls) {
      options.tls = authority.for_loopback();
      subscriber_options.tls = make_client_tls(authority.certificate_pem());
    }
    const ScriptedUpstream upstream(options);
    Subscriber subscriber = subscribed(upstream, 0, subscriber_options);
    EXPECT_TRUE(subscriber.read_frames(183) == real);
    EXPECT_TRUE(subscriber.read_until_pong().empty());
    upstream.wait_until_sent(32'625'561'603);
    EXPECT_EQ(upstream.connection(0).frames_sent, 183U);
    EXPECT_EQ(upstream.connection(0).seqs_sent.front(), 29'290'585'431);
  }
}

TEST(ScriptedUpstream, FramesOfEveryHeaderSizeComeThrough) {
  UpstreamOptions options;
  std::vector<Bytes> sent;
  for (const std::size_t size : {0U, 1U, 125U, 126U, 65'535U, 65'536U, 5U << 20U}) {
    sent.push_back(repeat(std::byte{0xA5}, size));
    options.frames.push_back({static_cast<std::int64_t>(sent.size()), sent.back()});
  }
  const ScriptedUpstream upstream(options);
  Subscriber subscriber = subscribed(upstream, 0);
  EXPECT_TRUE(subscriber.read_frames(sent.size()) == sent);
}

TEST(ScriptedUpstream, TheCursorIsWhatComesBeforeTheFirstFrame) {
  const ScriptedUpstream upstream(holding(1, 10));
  Subscriber inside = subscribed(upstream, 7);
  EXPECT_THAT(seqs_of(inside.read_until_pong()), ElementsAre(8, 9, 10));
  Subscriber newest = subscribed(upstream, 10);
  EXPECT_TRUE(newest.read_until_pong().empty());
  for (const char* query : {"", "?", "?cursor=", "?cursorx=3"}) {
    Subscriber live = Subscriber::connect(upstream.port(), std::string(kSubscribeRepos) + query);
    EXPECT_TRUE(live.read_until_pong().empty()) << query;
  }
  EXPECT_EQ(upstream.connection(0).cursor, 7);
  EXPECT_EQ(upstream.connection(2).cursor, std::nullopt);
}

TEST(ScriptedUpstream, WhatIsAppendedGoesToAllThatAreThere) {
  ScriptedUpstream upstream(holding(1, 2));
  Subscriber live = Subscriber::connect(upstream.port(), kSubscribeRepos);
  Subscriber behind = subscribed(upstream, 1);
  upstream.append(3, make_frame(3));
  upstream.append(upstream_frames(4, 5));
  EXPECT_THAT(seqs_read(live, 3), ElementsAre(3, 4, 5));
  EXPECT_THAT(seqs_read(behind, 4), ElementsAre(2, 3, 4, 5));
}

TEST(ScriptedUpstream, AnInclusiveOneRepeatsTheCursor) {
  UpstreamOptions options = holding(1, 4);
  options.cursor_mode = CursorMode::inclusive;
  const ScriptedUpstream upstream(options);
  Subscriber inside = subscribed(upstream, 3);
  EXPECT_THAT(seqs_of(inside.read_until_pong()), ElementsAre(3, 4));
  Subscriber newest = subscribed(upstream, 4);
  EXPECT_THAT(seqs_of(newest.read_until_pong()), ElementsAre(4));
}

TEST(ScriptedUpstream, OneThatIgnoresCursorsBeginsWithTheOldest) {
  UpstreamOptions options = holding(1, 4);
  options.cursor_mode = CursorMode::ignored;
  ScriptedUpstream upstream(options);
  upstream.forget(2);
  for (const std::int64_t cursor : {0, 3, 99}) {
    Subscriber subscriber = subscribed(upstream, cursor);
    EXPECT_THAT(seqs_of(subscriber.read_until_pong()), ElementsAre(3, 4)) << cursor;
  }
}

TEST(ScriptedUpstream, BelowItsWindowItBeginsWithTheOldestAndSaysSoOnlyIfAsked) {
  UpstreamOptions options = holding(1, 6);
  for (const bool announces : {false, true}) {
    options.announces_outdated_cursor = announces;
    ScriptedUpstream upstream(options);
    upstream.forget(4);
    Subscriber outdated = subscribed(upstream, 2);
    if (announces) {
      EXPECT_EQ(to_hex(outdated.next_frame()),
                "a261746523696e666f626f7001a2646e616d656e4f75746461746564437572736f72676d6573736167"
                "657838526571756573746564206375"
                "72736f72206578636565646564206c696d69742e20506f737369626c79206d697373696e6720657665"
                "6e7473");
    }
    EXPECT_THAT(seqs_of(outdated.read_until_pong()), ElementsAre(5, 6));
    for (const std::int64_t cursor : {0, 4}) {  // neither misses anything
      Subscriber subscriber = subscribed(upstream, cursor);
      EXPECT_THAT(seqs_of(subscriber.read_until_pong()), ElementsAre(5, 6)) << cursor;
    }
  }
}

TEST(ScriptedUpstream, AFutureCursorIsRefusedOrServedLive) {
  UpstreamOptions options = holding(1, 3);
  const ScriptedUpstream strict(options);
  Subscriber refused = subscribed(strict, 4);
  EXPECT_EQ(to_hex(refused.next_frame()),
            "a1626f7020a2656572726f726c467574757265437572736f72676d65737361676575437572736f7220"
            "696e20746865206675747572652e");
  EXPECT_EQ(refused.next(), Received(Closed{1008, "FutureCursor"}));
  refused.send_close(1008);
  EXPECT_EQ(refused.wait_for_tcp_end(), (TcpEnd{false, 0}));
  EXPECT_EQ(strict.wait_for_end(0).end, ConnectionEnd::future_cursor);

  options.refuses_future_cursor = false;
  ScriptedUpstream silent(options);
  Subscriber live = subscribed(silent, 99);
  EXPECT_TRUE(live.read_until_pong().empty());
  silent.append(4, make_frame(4));
  EXPECT_THAT(seqs_read(live, 1), ElementsAre(4));
}

TEST(ScriptedUpstream, PacedItSendsWhatIsReleased) {
  UpstreamOptions options = holding(1, 5);
  options.is_paced = true;
  ScriptedUpstream upstream(options);
  Subscriber subscriber = subscribed(upstream, 0);
  EXPECT_TRUE(subscriber.read_until_pong().empty());
  upstream.release(2);
  EXPECT_THAT(seqs_read(subscriber, 2), ElementsAre(1, 2));
  EXPECT_TRUE(subscriber.read_until_pong().empty());
  upstream.release_all();
  EXPECT_THAT(seqs_of(subscriber.read_until_seq(5)), ElementsAre(3, 4, 5));
}

TEST(ScriptedUpstream, RecordsTheRequestAsItCame) {
  const ScriptedUpstream upstream(holding(1, 3));
  SubscriberOptions options;
  options.headers = {{"User-Agent", "a test"}, {"X-Empty", ""}};
  const Subscriber subscriber = subscribed(upstream, 2, options);
  upstream.wait_for_connections(1);
  const ConnectionRecord record = upstream.connection(0);
  EXPECT_EQ(record.method, "GET");
  EXPECT_EQ(record.target, "/xrpc/com.atproto.sync.subscribeRepos?cursor=2");
  EXPECT_EQ(record.header("user-agent"), "a test");
  EXPECT_EQ(record.header("X-Empty"), "");
  EXPECT_EQ(record.header("X-Absent"), std::nullopt);
  EXPECT_TRUE(record.is_upgraded);
}

TEST(ScriptedUpstream, AnswersTheCloseFrameOfAPeer) {
  const ScriptedUpstream upstream(holding(1, 2));
  Subscriber subscriber = subscribed(upstream, 0);
  EXPECT_THAT(seqs_read(subscriber, 2), ElementsAre(1, 2));
  subscriber.send_close(1000, "enough");
  EXPECT_EQ(subscriber.next(), Received(Closed{1000, "enough"}));
  EXPECT_EQ(subscriber.wait_for_tcp_end(), (TcpEnd{false, 0}));
  EXPECT_EQ(upstream.wait_for_end(0).end, ConnectionEnd::closed_by_peer);
}

TEST(ScriptedUpstream, RecordsWhatThePeerSendsAndHowItLeaves) {
  const ScriptedUpstream upstream;
  Subscriber talking = subscribed(upstream, 0);
  talking.send_text("hello");
  talking.send_binary(100'000);
  talking.send_frame(as_bytes("a"), {1, false, true, 0});
  talking.send_ping("between");
  talking.send_frame(as_bytes("b"), {0, true, true, 0});
  upstream.wait_for(0, "3 messages", [](const ConnectionRecord& r) { return r.messages == 3; });
  EXPECT_THAT(upstream.connection(0).pings, ElementsAre(hex("'between'")));
  talking.finish_writing();
  EXPECT_EQ(upstream.wait_for_end(0).end, ConnectionEnd::left);
  Subscriber resetting = subscribed(upstream, 0);
  resetting.reset();
  EXPECT_EQ(upstream.wait_for_end(1).end, ConnectionEnd::left_by_reset);
}

TEST(ScriptedUpstream, RecordsWhatNoClientMaySend) {
  const auto violation = [](const Bytes& bytes) {
    const ScriptedUpstream upstream;
    Subscriber subscriber = subscribed(upstream, 0);
    subscriber.send_raw(bytes);
    const ConnectionRecord record = upstream.wait_for_end(0);
    EXPECT_EQ(to_string(record.end), "broken");
    return record.violation;
  };
  EXPECT_EQ(violation(hex("82 01 00")), "a frame is not masked");
  EXPECT_EQ(violation(hex("c2 80 00000000")), "a reserved bit is set");
  EXPECT_EQ(violation(hex("83 80 00000000")), "a reserved opcode");
  EXPECT_EQ(violation(hex("09 80 00000000")), "a control frame is fragmented or too long");
  EXPECT_EQ(violation(hex("89 fe 0080 00000000")), "a control frame is fragmented or too long");
  EXPECT_EQ(violation(hex("80 80 00000000")), "a continuation of nothing");
  EXPECT_EQ(violation(hex("02 80 00000000 02 80 00000000")), "a message within a message");
  EXPECT_EQ(violation(hex("82 fe 0001 00000000")),
            "a length in more bytes than it needs, or absurd");
  EXPECT_EQ(violation(hex("88 81 00000000 03")), "a close frame with half a code");
}

TEST(ScriptedUpstream, RefusesWhatIsNoUpgrade) {
  const ScriptedUpstream upstream;
  EXPECT_EQ(http_get(upstream.port(), kSubscribeRepos).status, 400);
  EXPECT_EQ(upstream.wait_for_end(0).violation, "no Upgrade: websocket");
  EXPECT_EQ(Subscriber::connect(upstream.port(), "/?cursor=x").handshake().status, 400);
  EXPECT_EQ(exchange_raw(upstream.port(), "nonsense\r\n\r\n"), "");
  EXPECT_EQ(upstream.wait_for_end(2).violation, "not a request line");
}

TEST(ScriptedUpstream, AWaitInVainSaysWhatThereWas) {
  // No wait runs into its deadline here: the message is that of a connection that is not there.
  const ScriptedUpstream upstream(holding(1, 1));
  Subscriber subscriber = subscribed(upstream, 0);
  subscriber.next_frame();
  upstream.wait_until_sent(0, 1);
  try {
    static_cast<void>(upstream.connection(7));
    FAIL() << "there is no such connection";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("0: open \"/xrpc/com.atproto.sync.subscribeRepos?cursor=0\", 1 frames "
                          "sent up to 1"));
  }
}

TEST(ScriptedUpstream, ShowsGoodAndBadCertificates) {
  const CertificateAuthority authority;
  const CertificateAuthority stranger;
  SubscriberOptions options;
  options.tls = make_client_tls(authority.certificate_pem());
  const auto outcome = [&](const TlsIdentity& identity) -> std::string {
    UpstreamOptions upstream_options = holding(1, 1);
    upstream_options.tls = identity;
    const ScriptedUpstream upstream(upstream_options);
    try {
      Subscriber subscriber = subscribed(upstream, 0, options);
      return describe(subscriber.next());
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(to_string(upstream.wait_for_end(0).end), "tls_failed");
      return error.what();
    }
  };
  EXPECT_THAT(outcome(authority.for_loopback()), HasSubstr("seq 1"));
  EXPECT_THAT(outcome(authority.expired()), HasSubstr("certificate has expired"));
  EXPECT_THAT(outcome(authority.wrong_name()), HasSubstr("IP address mismatch"));
  EXPECT_THAT(outcome(self_signed_identity()), HasSubstr("self-signed certificate"));
  EXPECT_THAT(outcome(stranger.for_loopback()), HasSubstr("unable to get local issuer"));
  options.tls_name = "localhost";
  EXPECT_THAT(outcome(authority.for_loopback()), HasSubstr("seq 1"));
  EXPECT_THAT(outcome(authority.wrong_name()), HasSubstr("ostname mismatch"));
}

TEST(ScriptedUpstream, ServesManyAtOnceAndRefusesBeyondItsLimit) {
  UpstreamOptions options = holding(1, 20);
  options.connections_max = 30;
  const ScriptedUpstream upstream(options);
  std::vector<Subscriber> subscribers;
  for (int i = 0; i < 30; ++i) subscribers.push_back(subscribed(upstream, 0));
  EXPECT_THROW(
      {
        Subscriber beyond = subscribed(upstream, 0);
        if (!beyond.is_upgraded()) throw std::runtime_error("refused");
      },
      std::runtime_error);
  for (Subscriber& subscriber : subscribers) {
    EXPECT_EQ(subscriber.read_until_seq(20).size(), 20U);
  }
  EXPECT_EQ(upstream.connections().size(), 30U);
}

}  // namespace
}  // namespace standpipe::test
