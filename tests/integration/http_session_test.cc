// The public listener's HTTP over real sockets: raw bytes in, raw bytes out.
#include "replay/http_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/http_fixture.h"

namespace standpipe::replay {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kRepos = "/xrpc/com.atproto.sync.subscribeRepos";
// The handshake of RFC 6455 1.2, to which it gives the answer in 1.3.
const std::string kUpgradeFields =
    "Host: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

std::string get(std::string_view target, std::string_view fields = "Host: x\r\n") {
  return "GET " + std::string(target) + " HTTP/1.1\r\n" + std::string(fields) + "\r\n";
}

std::string handshake(std::string_view target, std::string_view more = "") {
  return get(target, kUpgradeFields + std::string(more));
}

using HttpSession = test::HttpFixture;
using Connection = test::RawConnection;
using test::Upgraded;

// -- Plain requests -------------------------------------------------------------------------------

TEST_F(HttpSession, APlainRequestIsAnsweredWhole) {
  given_sessions();
  Connection connection(port);
  connection.send(get("/", "Host: x\r\nConnection: close\r\n"));
  EXPECT_EQ(connection.read_to_end(),
            "HTTP/1.1 200 OK\r\n"
            "Server: standpipe/0.1.0 (atproto-relay)\r\n"
            "Access-Control-Allow-Origin: *\r\n"
            "Content-Type: text/plain\r\n"
            "Content-Length: 6\r\n"
            "Connection: close\r\n"
            "\r\n"
            "banner");
}

TEST_F(HttpSession, RoutesReachTheHandler) {
  given_sessions();
  Connection connection(port);
  for (const auto& [target, body] :
       std::vector<std::pair<std::string, std::string>>{{"/xrpc/_health", "health"},
                                                        {"/_health?max_lag=5", "health"},
                                                        {"/stream/repos/gaps", "gaps repos"},
                                                        {"/", "banner"}}) {
    connection.send(get(target));
    const std::string reply = connection.read_reply();
    EXPECT_THAT(reply, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(reply, ::testing::EndsWith("\r\n\r\n" + body));
  }
}

TEST_F(HttpSession, AConnectionIsKeptForABoundedNumberOfRequests) {
  given_sessions({.requests_max = 3});
  Connection connection(port);
  for (int i = 0; i < 2; ++i) {
    connection.send(get("/"));
    EXPECT_THAT(connection.read_reply(), Not(HasSubstr("Connection: close")));
  }
  connection.send(get("/"));
  EXPECT_THAT(connection.read_to_end(), HasSubstr("Connection: close"));
}

TEST_F(HttpSession, RequestsMayComeBehindOneAnotherAndInPieces) {
  given_sessions();
  Connection connection(port);
  const std::string both = get("/_health") + get("/");
  for (const char c : both) ASSERT_TRUE(connection.send(std::string_view(&c, 1)));
  EXPECT_THAT(connection.read_reply(), HasSubstr("health"));
  EXPECT_THAT(connection.read_reply(), HasSubstr("banner"));
  connection.send(both);
  EXPECT_THAT(connection.read_reply(), HasSubstr("health"));
  EXPECT_THAT(connection.read_reply(), HasSubstr("banner"));
}

TEST_F(HttpSession, HttpOneDotZeroIsAnsweredAndClosed) {
  given_sessions();
  Connection connection(port);
  connection.send("GET / HTTP/1.0\r\n\r\n");
  const std::string reply = connection.read_to_end();
  EXPECT_THAT(reply, StartsWith("HTTP/1.0 200 OK\r\n"));
  EXPECT_THAT(reply, HasSubstr("banner"));
}

TEST_F(HttpSession, SlowWorkIsAwaited) {
  handler.is_slow = true;
  given_sessions();
  Connection connection(port);
  connection.send(get("/"));
  handler.slow_begins.get_future().wait();
  EXPECT_EQ(stats().open, 1u);  // the thread of the sessions is free
  handler.slow_may_end.set_value();
  EXPECT_THAT(connection.read_reply(), HasSubstr("banner"));
}

// -- Refusals -------------------------------------------------------------------------------------

TEST_F(HttpSession, OtherMethodsAre405) {
  given_sessions();
  Connection connection(port);
  connection.send("POST " + kRepos + " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
  const std::string reply = connection.read_reply();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"));
  EXPECT_THAT(reply, HasSubstr("\r\nAllow: GET\r\n"));
  EXPECT_THAT(reply, HasSubstr("\r\nContent-Type: application/json\r\n"));
  EXPECT_THAT(reply, HasSubstr("\r\nServer: standpipe/0.1.0 (atproto-relay)\r\n"));
  EXPECT_THAT(reply, HasSubstr(R"({"error":"MethodNotAllowed","message":)"));
  connection.send(get("/"));  // the body has been read away
  EXPECT_THAT(connection.read_reply(), HasSubstr("banner"));
}

TEST_F(HttpSession, AReplyToHeadHasNoBody) {
  given_sessions();
  Connection connection(port);
  connection.send("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string reply = connection.read_to_end();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(reply, ::testing::EndsWith("\r\n\r\n"));
}

TEST_F(HttpSession, UnknownPathsAre404) {
  given_sessions();
  Connection connection(port);
  connection.send(get("/robots.txt"));
  EXPECT_THAT(connection.read_reply(), StartsWith("HTTP/1.1 404 Not Found\r\n"));
}

TEST_F(HttpSession, AStreamWithoutUpgradeIs426) {
  given_sessions();
  Connection connection(port);
  connection.send(get(kRepos));
  const std::string reply = connection.read_reply();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 426 Upgrade Required\r\n"));
  EXPECT_THAT(reply, HasSubstr("\r\nUpgrade: websocket\r\n"));
  EXPECT_THAT(reply, HasSubstr("\r\nConnection: Upgrade\r\n"));
}

TEST_F(HttpSession, AnotherVersionOfWebSocketIs426WithOurs) {
  given_sessions();
  Connection connection(port);
  connection.send(get(kRepos,
                      "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                      "Sec-WebSocket-Version: 8\r\n"));
  const std::string reply = connection.read_to_end();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 426 "));
  EXPECT_THAT(reply, HasSubstr("\r\nSec-WebSocket-Version: 13\r\n"));
}

TEST_F(HttpSession, ABadCursorIs400BeforeTheUpgrade) {
  given_sessions();
  Connection connection(port);
  connection.send(handshake(kRepos + "?cursor=abc"));
  const std::string reply = connection.read_to_end();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_THAT(reply, HasSubstr("InvalidRequest"));
}

TEST_F(HttpSession, TheHandlerMayRefuseASubscriber) {
  given_sessions();
  Connection connection(port);
  connection.send(handshake("/stream/full" + kRepos));
  const std::string reply = connection.read_to_end();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_THAT(reply, HasSubstr("\r\nRetry-After: 7\r\n"));
  EXPECT_THAT(reply, HasSubstr(R"({"error":"NotEnoughResources","message":"no room"})"));
  EXPECT_EQ(handler.upgrades(), 0u);
}

TEST_F(HttpSession, WhatIsNotHttpIs400) {
  given_sessions();
  for (const std::string& bytes :
       {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),  // TLS
        std::string("hello\r\n\r\n"), std::string("GET / HTTP/2.0\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nno colon\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\n\r\n")}) {
    Connection connection(port);
    connection.send(bytes);
    connection.end_sending();
    EXPECT_THAT(connection.read_to_end(), StartsWith("HTTP/1.1 400 Bad Request\r\n")) << bytes;
  }
}

TEST_F(HttpSession, AHeadOf512KiBIsReadAndALargerOneIs431) {
  given_sessions();
  const std::string head = "GET / HTTP/1.1\r\nHost: x\r\n";
  const std::string fitting(524'288 - head.size() - std::string("X: \r\n\r\n").size(), 'x');
  {
    Connection connection(port);
    connection.send(head + "X: " + fitting + "\r\n\r\n");
    EXPECT_THAT(connection.read_reply(), StartsWith("HTTP/1.1 200 OK\r\n"));
  }
  {
    Connection connection(port);
    connection.send(head + "X: x" + fitting + "\r\n\r\n");
    EXPECT_THAT(connection.read_to_end(), StartsWith("HTTP/1.1 431 "));
  }
  {
    Connection connection(port);
    connection.send("GET /" + std::string(600'000, 'x'));
    EXPECT_THAT(connection.read_to_end(), StartsWith("HTTP/1.1 431 "));
  }
}

TEST_F(HttpSession, MoreThan256FieldsAre431) {
  given_sessions();
  std::string fields = "Host: x\r\n";
  for (int i = 0; i < 255; ++i) fields += "X: y\r\n";
  Connection connection(port);
  connection.send(get("/", fields));
  EXPECT_THAT(connection.read_reply(), StartsWith("HTTP/1.1 200 OK\r\n"));
  connection.send(get("/", fields + "X: y\r\n"));
  EXPECT_THAT(connection.read_to_end(), StartsWith("HTTP/1.1 431 "));
}

TEST_F(HttpSession, ABodyOf64KiBIsIgnoredAndALargerOneIs413) {
  given_sessions();
  const std::string head = "GET / HTTP/1.1\r\nHost: x\r\n";
  Connection connection(port);
  connection.send(head + "Content-Length: 65536\r\n\r\n" + std::string(65'536, 'x'));
  EXPECT_THAT(connection.read_reply(), StartsWith("HTTP/1.1 200 OK\r\n"));
  connection.send(head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
  EXPECT_THAT(connection.read_reply(), StartsWith("HTTP/1.1 200 OK\r\n"));
  connection.send(head + "Content-Length: 65537\r\n\r\n");
  EXPECT_THAT(connection.read_to_end(), StartsWith("HTTP/1.1 413 "));
  {
    Connection chunked(port);
    chunked.send(head + "Transfer-Encoding: chunked\r\n\r\n10001\r\n" + std::string(65'537, 'x'));
    EXPECT_THAT(chunked.read_to_end(), StartsWith("HTTP/1.1 413 "));
  }
  {
    Connection chunked(port);  // a chunk's size that never ends
    chunked.send(head + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(70'000, 'x'));
    EXPECT_THAT(chunked.read_to_end(), StartsWith("HTTP/1.1 413 "));
  }
}

TEST_F(HttpSession, RequestsThatNeverEndShareALimit) {
  given_sessions({.request_bytes_total_max = 300'000});
  Connection first(port), second(port);
  const std::string part = "GET /" + std::string(200'000, 'x');
  first.send(part);
  second.send(part);
  // There is room for one of them: whichever comes too late is told so.
  pollfd either[] = {{first.descriptor(), POLLIN, 0}, {second.descriptor(), POLLIN, 0}};
  ASSERT_GT(::poll(either, 2, 60'000), 0);
  Connection& refused = either[0].revents != 0 ? first : second;
  Connection& served = either[0].revents != 0 ? second : first;
  const std::string reply = refused.read_to_end();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_THAT(reply, HasSubstr("\r\nRetry-After: 5\r\n"));
  served.send(" HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(served.read_reply(), StartsWith("HTTP/1.1 404 "));
  EXPECT_LT(stats().request_bytes, 10'000u);  // the room is there again
}

TEST_F(HttpSession, SmallRequestsAreReadHoweverMuchIsHeld) {
  given_sessions({.request_bytes_total_max = 0});
  Connection connection(port);
  connection.send(get("/"));
  EXPECT_THAT(connection.read_reply(), StartsWith("HTTP/1.1 200 OK\r\n"));
  connection.send("GET /" + std::string(20'000, 'x'));
  EXPECT_THAT(connection.read_to_end(), StartsWith("HTTP/1.1 503 "));
}

// -- Upgrades -------------------------------------------------------------------------------------

TEST_F(HttpSession, AHandshakeMakesASubscriber) {
  given_sessions();
  Connection connection(port);
  connection.send(handshake(kRepos + "?cursor=5", "User-Agent: goat/0.1\r\n"));
  EXPECT_EQ(connection.read_reply(),
            "HTTP/1.1 101 Switching Protocols\r\n"
            "Upgrade: websocket\r\n"
            "Connection: upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            "Server: standpipe/0.1.0 (atproto-relay)\r\n"
            "\r\n");
  Upgraded upgraded = handler.take_upgraded();
  EXPECT_EQ(upgraded.request.cursor, 5);
  EXPECT_EQ(upgraded.leftover, "");
  EXPECT_EQ(upgraded.peer.user_agent, "goat/0.1");
  EXPECT_EQ(upgraded.peer.endpoint.address().to_string(), "127.0.0.1");
  EXPECT_EQ(stats().open, 0u);  // no longer one of ours
  EXPECT_EQ(stats().upgrades, 1u);
  // The socket lives on, in both directions.
  asio::write(upgraded.channel.socket(), asio::buffer("\x89\x00", 2));
  upgraded.channel.close();
  EXPECT_EQ(connection.read_to_end(), std::string("\x89\x00", 2));
}

TEST_F(HttpSession, WhatComesRightBehindTheHandshakeIsHandedOn) {
  given_sessions();
  Connection connection(port);
  const std::string frames = std::string("\x89\x80\x01\x02\x03\x04", 6) + std::string(5000, 'x');
  connection.send(handshake(kRepos) + frames);
  EXPECT_THAT(connection.read_reply(), StartsWith("HTTP/1.1 101 "));
  Upgraded upgraded = handler.take_upgraded();
  // However much of it had been read with the handshake: together, it is all.
  std::string all = upgraded.leftover;
  ASSERT_FALSE(all.empty());
  while (all.size() < frames.size()) {
    char buffer[4096];
    all.append(buffer, upgraded.channel.socket().read_some(asio::buffer(buffer)));
  }
  EXPECT_EQ(all, frames);
}

TEST_F(HttpSession, NamesAndTokensMayBeInAnyCase) {
  given_sessions();
  // As Node's own WebSocket writes it, and Firefox.
  for (const std::string fields :
       {"host: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-fetch-mode: websocket\r\n",
        "HOST: x\r\nCONNECTION: keep-alive, Upgrade\r\nUPGRADE: WebSocket\r\n"
        "SEC-WEBSOCKET-VERSION: 13\r\nSEC-WEBSOCKET-KEY: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Host: x\r\nConnection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"}) {
    Connection connection(port);
    connection.send(get(kRepos, fields));
    EXPECT_THAT(connection.read_reply(),
                HasSubstr("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    handler.take_upgraded();
  }
}

TEST_F(HttpSession, ExtensionsAndSubprotocolsAreDeclinedAndAnyOriginTaken) {
  given_sessions();
  Connection connection(port);
  connection.send(handshake(kRepos,
                            "Sec-WebSocket-Extensions: permessage-deflate\r\n"
                            "Sec-WebSocket-Protocol: xrpc.v1.json\r\n"
                            "Origin: https://elsewhere.example\r\n"));
  const std::string reply = connection.read_reply();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(reply, Not(HasSubstr("Extensions")));
  EXPECT_THAT(reply, Not(HasSubstr("Protocol:")));
}

TEST_F(HttpSession, AHandshakeMayFollowPlainRequestsAndCarryALongFilter) {
  given_sessions();
  Connection connection(port);
  connection.send(get("/"));
  EXPECT_THAT(connection.read_reply(), HasSubstr("banner"));
  std::string query = "?wantedDids=did:plc:x";
  for (int i = 0; i < 9'000; ++i) query += "&wantedDids=did:plc:" + std::to_string(i);
  connection.send(handshake(kRepos + query));
  EXPECT_THAT(connection.read_reply(), StartsWith("HTTP/1.1 101 "));
  EXPECT_NE(handler.take_upgraded().request.filter, nullptr);
}

TEST_F(HttpSession, AddressesOfVersion4AreSuchOnAListenerOfBoth) {
  given_sessions({}, "::");
  Connection connection(port);
  connection.send(handshake(kRepos));
  EXPECT_EQ(handler.take_upgraded().peer.endpoint.address().to_string(), "127.0.0.1");
}

// -- Ends -----------------------------------------------------------------------------------------

TEST_F(HttpSession, ASlowRequestIsClosedWithoutAReply) {
  given_sessions({.request_timeout = std::chrono::milliseconds(50)});
  Connection silent(port), begun(port);
  begun.send("GET / HTTP/1.1\r\nHost: ");
  EXPECT_EQ(silent.read_to_end(), "");
  EXPECT_EQ(begun.read_to_end(), "");
  EXPECT_EQ(stats_when_all_are_gone().timeouts, 2u);
}

TEST_F(HttpSession, AnIdleConnectionIsClosed) {
  given_sessions({.request_timeout = std::chrono::milliseconds(50)});
  Connection connection(port);
  connection.send(get("/"));
  EXPECT_THAT(connection.read_to_end(), ::testing::EndsWith("banner"));
}

TEST_F(HttpSession, StopEndsEveryConnection) {
  given_sessions();
  Connection idle(port), begun(port);
  idle.send(get("/"));
  EXPECT_THAT(idle.read_reply(), HasSubstr("banner"));
  begun.send(get("/") + "GET / HTTP/1.1\r\n");
  EXPECT_THAT(begun.read_reply(), HasSubstr("banner"));
  stop_sessions();
  EXPECT_EQ(idle.read_to_end(), "");
  EXPECT_EQ(begun.read_to_end(), "");
  Connection late(port);
  EXPECT_EQ(late.read_to_end(), "");
}

TEST_F(HttpSession, StopDuringSlowWorkAnswersNobody) {
  handler.is_slow = true;
  given_sessions();
  Connection connection(port);
  connection.send(get("/"));
  handler.slow_begins.get_future().wait();
  stop_sessions();
  EXPECT_EQ(connection.read_to_end(), "");
  handler.slow_may_end.set_value();
}

TEST_F(HttpSession, APeerThatGoesAwayIsForgotten) {
  given_sessions();
  {
    Connection connection(port);
    connection.send("GET /");
    connection.end_sending();
    EXPECT_EQ(connection.read_to_end(), "");
  }
  EXPECT_EQ(stats().open, 0u);
}

TEST_F(HttpSession, StatsCountWhatWasAnswered) {
  given_sessions();
  Connection connection(port);
  connection.send(get("/"));
  connection.read_reply();
  connection.send(get("/x"));
  connection.read_reply();
  const HttpStats counted = stats();
  EXPECT_EQ(counted.open, 1u);
  EXPECT_EQ(counted.requests, 2u);
  EXPECT_EQ(counted.refused, 1u);
  EXPECT_EQ(counted.upgrades, 0u);
}

}  // namespace
}  // namespace standpipe::replay
