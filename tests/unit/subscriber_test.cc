// What Subscriber offers beside what scripted_upstream_test.cc and connection_plan_test.cc use.
#include "tests/support/subscriber.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/support/hex.h"
#include "tests/support/upstream_fixture.h"

namespace standpipe::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// An answer of the server's that is not ScriptedUpstream's own: to the key that Subscriber sends.
std::string upgrade_with(const std::string& accept, const std::string& more) {
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: " +
         accept + "\r\n" + more + "\r\n";
}

std::string failure_to_connect(const std::string& answer) {
  ScriptedUpstream upstream;
  upstream.plan_next(ConnectionPlan::answer_raw(answer));
  try {
    subscribed(upstream, 0);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(Subscriber, ComesFromTheAddressThatIsAskedFor) {
  const ScriptedUpstream upstream;
  SubscriberOptions options;
  options.source_address = "127.0.0.77";
  const Subscriber subscriber = subscribed(upstream, 0, options);
  EXPECT_EQ(upstream.connection(0).peer_address, "127.0.0.77");
  static_cast<void>(subscribed(upstream, 0));
  EXPECT_EQ(upstream.connection(1).peer_address, "127.0.0.1");
}

TEST(Subscriber, HoldsTheServerToTheHandshake) {
  const std::string right = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
  EXPECT_EQ(failure_to_connect(upgrade_with(right, "")), "");
  EXPECT_THAT(failure_to_connect(upgrade_with("AAAA", "")), HasSubstr("wrong accept"));
  EXPECT_THAT(
      failure_to_connect(upgrade_with(right, "Sec-WebSocket-Extensions: permessage-deflate\r\n")),
      HasSubstr("Sec-WebSocket-Extensions"));
  EXPECT_THAT(failure_to_connect(upgrade_with(right, "Sec-WebSocket-Protocol: xrpc\r\n")),
              HasSubstr("Sec-WebSocket-Protocol"));
  EXPECT_THAT(failure_to_connect("HTTP/1.1 101 x\r\n\r\n"), HasSubstr("101"));
  EXPECT_THAT(failure_to_connect("nonsense\r\n\r\n"), HasSubstr("not an HTTP head"));
}

TEST(Subscriber, AnUnexpectedEndOfAReadIsToldAndStays) {
  ScriptedUpstream upstream(holding(1, 3));
  upstream.plan_next(ConnectionPlan().close_after(2, 1008, "ConsumerTooSlow"));
  Subscriber subscriber = subscribed(upstream, 0);
  try {
    subscriber.read_frames(3);
    FAIL() << "there are two";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "subscriber: expected a frame, got close 1008 \"ConsumerTooSlow\"");
  }
  EXPECT_EQ(subscriber.next(), Received(Closed{1008, "ConsumerTooSlow"}));
  EXPECT_EQ(subscriber.next(), Received(Closed{1008, "ConsumerTooSlow"}));
  EXPECT_THROW(subscriber.wait_for_pong(), std::runtime_error);
}

TEST(Subscriber, ADeadlineThatPassesIsTold) {
  const ScriptedUpstream upstream;
  Subscriber subscriber = subscribed(upstream, 0);
  subscriber.set_deadline(std::chrono::milliseconds(20));
  try {
    subscriber.next();
    FAIL() << "there is nothing";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "subscriber: waited in vain for the server");
  }
}

TEST(Subscriber, MessagesThatCameBeforeAPongAreKept) {
  ScriptedUpstream upstream(holding(1, 3));
  Subscriber subscriber = subscribed(upstream, 0);
  upstream.wait_until_sent(3);
  subscriber.send_ping("a");
  subscriber.send_ping("b");
  EXPECT_EQ(as_text(subscriber.wait_for_pong()), "a");
  EXPECT_EQ(as_text(subscriber.wait_for_pong()), "b");
  EXPECT_TRUE(subscriber.has_input());
  EXPECT_THAT(seqs_read(subscriber, 3), ElementsAre(1, 2, 3));
  EXPECT_FALSE(subscriber.has_input());
  EXPECT_THAT(subscriber.pongs(), ElementsAre(hex("'a'"), hex("'b'")));
}

TEST(Subscriber, ReadsSlowlyAndRaw) {
  ScriptedUpstream upstream(holding(1, 3));
  SubscriberOptions options;
  options.read_bytes = 7;
  options.receive_buffer = 4096;
  Subscriber subscriber = subscribed(upstream, 0, options);
  const Bytes first = make_frame(1);
  ASSERT_LT(first.size(), 65'536U);
  Bytes header = hex("82 7e 0000");
  store_be(&header[2], static_cast<std::uint16_t>(first.size()));
  EXPECT_EQ(subscriber.read_raw(4), header);
  EXPECT_EQ(subscriber.read_raw(first.size()), first);
  EXPECT_THAT(seqs_read(subscriber, 2), ElementsAre(2, 3));
}

TEST(Subscriber, AServerThatDoesNotReadIsNoticed) {
  ScriptedUpstream upstream;
  upstream.plan_next(ConnectionPlan::silent());
  SubscriberOptions options;
  options.deadline = std::chrono::milliseconds(50);
  const std::string endless(std::size_t{64} << 20, 'x');
  EXPECT_THROW(exchange_raw(upstream.port(), endless, options), std::runtime_error);
}

TEST(Subscriber, SendsToAConnectionThatIsGoneReturnFalse) {
  ScriptedUpstream upstream;
  upstream.plan_next(ConnectionPlan().reset_after(0));
  Subscriber subscriber = subscribed(upstream, 0);
  EXPECT_EQ(subscriber.next(), Received(TcpEnd{true, 0}));
  EXPECT_FALSE(subscriber.send_text("hello"));
  EXPECT_FALSE(subscriber.try_send_raw(hex("81 80 00000000")));
}

TEST(HttpGet, SendsTheMethodHeadersAndBodyAndReadsTheAnswer) {
  UpstreamOptions options;
  options.plan = [](std::size_t, const ConnectionRecord& request) {
    return ConnectionPlan::refuse(
        200, {{"X-Method", request.method}, {"X-Length", *request.header("Content-Length")}},
        request.method == "HEAD" ? "" : "body");
  };
  const ScriptedUpstream upstream(options);
  const HttpReply reply = http_get(upstream.port(), "/a?b=c", {"POST", {{"X-Test", "1"}}, "12345"});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "body");
  EXPECT_EQ(reply.header("x-method"), "POST");
  EXPECT_EQ(reply.header("X-Length"), "5");
  EXPECT_EQ(upstream.connection(0).target, "/a?b=c");
  EXPECT_EQ(upstream.connection(0).header("x-test"), "1");
}

TEST(HttpGet, ABodyIsAsLongAsItSaysOrGoesToTheEnd) {
  ScriptedUpstream upstream;
  const auto body_of = [&](const std::string& answer, const std::string& method) {
    upstream.plan_next(ConnectionPlan::answer_raw(answer));
    return http_get(upstream.port(), "/", {method, {}, ""}).body;
  };
  EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", "GET"), "abc");
  EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\n\r\nabcdef", "GET"), "abcdef");
  EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD"), "");
  EXPECT_THROW(body_of("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "GET"),
               std::runtime_error);
  EXPECT_THROW(body_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET"),
               std::runtime_error);
  upstream.plan_next(ConnectionPlan::hang_up());
  EXPECT_THROW(http_get(upstream.port(), "/"), std::runtime_error);
}

}  // namespace
}  // namespace standpipe::test
