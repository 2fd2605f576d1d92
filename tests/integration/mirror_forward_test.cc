// What only an upstream can answer: passed on to it by the program, as it came, and back.
#include <gmock/gmock.h>

#include <future>
#include <string>

#include "tests/support/forward_fixture.h"
#include "tests/support/other_program.h"

namespace standpipe::test {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// -- What is passed on ----------------------------------------------------------------------------

TEST_F(MirrorForward, EveryEndpointIsAskedOfTheUpstreamAsItCame) {
  given_mirror_of_host();
  for (const std::string endpoint :
       {"getRepo?did=did:plc:a&since=3k", "getRepoStatus?did=did%3Aplc%3Aa",
        "getLatestCommit?did=did:plc:a", "listRepos?limit=10&cursor=7", "listRepos", "listHosts",
        "getHostStatus?hostname=pds.example&unknown=1"}) {
    SCOPED_TRACE(endpoint);
    auto answered = ask(endpoint);
    AskedByHand asked = host.take();
    EXPECT_EQ(asked.first_line, "GET " + kSync + endpoint + " HTTP/1.1");
    EXPECT_EQ(asked.header("Host"), "127.0.0.1:" + std::to_string(host.port()));
    asked.send(kOk + "Content-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"repos\":1}");
    const HttpReply reply = answered.get();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, "{\"repos\":1}");
    EXPECT_EQ(reply.header("Content-Type"), "application/json");
    EXPECT_EQ(reply.header("Content-Length"), "11");
    EXPECT_EQ(reply.header("Access-Control-Allow-Origin"), "*");
    EXPECT_THAT(reply.header("Server").value_or(""), HasSubstr("standpipe"));
  }
}

TEST_F(MirrorForward, OfTheFieldsThoseThatMatterToTheUpstreamGoWithIt) {
  given_mirror_of_host();
  auto answered = ask("listRepos", {.method = "GET",
                                    .headers = {{"Accept", "application/json"},
                                                {"User-Agent", "reader/1"},
                                                {"Authorization", "Bearer secret"},
                                                {"Via", "1.1 proxy.example"},
                                                {"Cookie", "a=b"},
                                                {"X-Forwarded-For", "192.0.2.1"},
                                                {"Origin", "https://app.example"}},
                                    .body = ""});
  AskedByHand asked = host.take();
  EXPECT_EQ(asked.header("Accept"), "application/json");
  EXPECT_EQ(asked.header("User-Agent"), "reader/1");
  EXPECT_EQ(asked.header("Authorization"), "Bearer secret");
  EXPECT_EQ(asked.header("Via"), "1.1 proxy.example, 1.1 atproto-relay");
  for (const char* name : {"Cookie", "X-Forwarded-For", "Origin"}) {
    EXPECT_EQ(asked.header(name), std::nullopt) << name;
  }
  asked.send(kOk + "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(answered.get().status, 200);
  EXPECT_THAT(stop().err, Not(HasSubstr("secret")));
}

TEST_F(MirrorForward, OfTheAnswerStatusBodyAndWhatDescribesItComeBack) {
  given_mirror_of_host();
  auto answered = ask("getRepo?did=did:plc:gone");
  host.take().send(
      "HTTP/1.1 429 Too Many\r\nContent-Type: application/json\r\nRetry-After: 7\r\n"
      "Set-Cookie: a=b\r\nServer: other\r\nContent-Length: 2\r\n\r\n{}");
  HttpReply reply = answered.get();
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(reply.body, "{}");
  EXPECT_EQ(reply.header("Retry-After"), "7");
  EXPECT_EQ(reply.header("Set-Cookie"), std::nullopt);
  EXPECT_THAT(reply.header("Server").value_or(""), Not(HasSubstr("other")));

  answered = ask("getRepo?did=did:plc:a");  // as a relay answers: by the account's PDS
  const std::string pds = "https://pds.example/xrpc/com.atproto.sync.getRepo?did=did:plc:a";
  host.take().send("HTTP/1.1 302 Found\r\nLocation: " + pds + "\r\nContent-Length: 0\r\n\r\n");
  reply = answered.get();
  EXPECT_EQ(reply.status, 302);
  EXPECT_EQ(reply.header("Location"), pds);
}

TEST_F(MirrorForward, ACrawlIsRequestedByPostWithItsBody) {
  given_mirror_of_host();
  const std::string body = R"({"hostname":"pds.example"})";
  auto answered =
      ask("requestCrawl",
          {.method = "POST", .headers = {{"Content-Type", "application/json"}}, .body = body});
  AskedByHand asked = host.take();
  EXPECT_EQ(asked.first_line, "POST " + kSync + "requestCrawl HTTP/1.1");
  EXPECT_EQ(asked.header("Content-Type"), "application/json");
  EXPECT_EQ(asked.body, body);
  asked.send(kOk + "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(answered.get().status, 200);

  const HttpReply by_get = get("requestCrawl");
  expect_error(by_get, 405, "MethodNotAllowed");
  EXPECT_EQ(by_get.header("Allow"), "POST");
  const HttpReply by_post = get("listRepos", {.method = "POST", .headers = {}, .body = "{}"});
  expect_error(by_post, 405, "MethodNotAllowed");
  EXPECT_EQ(by_post.header("Allow"), "GET");
}

TEST_F(MirrorForward, AnAnswerOfUnknownLengthIsPassedOnInChunksAsItComes) {
  given_mirror_of_host();
  for (const bool is_chunked : {true, false}) {
    SCOPED_TRACE(is_chunked);
    Asking asking(port(), kSync + "getRepo?did=did:plc:a");
    AskedByHand asked = host.take();
    asked.send(kOk + "Content-Type: application/vnd.ipld.car\r\n" +
               (is_chunked ? "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n" : "\r\nfirst"));
    // It is here before the upstream has said any more.
    EXPECT_THAT(asking.read_until("first\r\n"), AllOf(HasSubstr("Transfer-Encoding: chunked\r\n"),
                                                      EndsWith("\r\n\r\n5\r\nfirst\r\n")));
    asked.send(is_chunked ? "6\r\nsecond\r\n0\r\n\r\n" : "second");
    if (!is_chunked) asked.end();
    EXPECT_EQ(asking.read_until("0\r\n\r\n"), "6\r\nsecond\r\n0\r\n\r\n");
    EXPECT_EQ(asking.ended, std::nullopt);  // it may ask again
  }
  Asking old(port(), kSync + "getRepo?did=did:plc:a", {}, "HTTP/1.0");
  AskedByHand asked = host.take();
  asked.send(kOk + "Transfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n");
  EXPECT_THAT(old.read_until(""), AllOf(EndsWith("\r\n\r\nwhole"), Not(HasSubstr("chunked"))));
  EXPECT_EQ(old.ended, IoStatus::fin);
}

TEST_F(MirrorForward, OneConnectionMayAskAgainAlsoBeforeItIsAnswered) {
  given_mirror_of_host();
  const std::string ask_one = "GET " + kSync + "listRepos?cursor=1 HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string ask_two =
      "GET " + kSync + "listRepos?cursor=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  auto answered =
      std::async(std::launch::async, [&] { return exchange_raw(port(), ask_one + ask_two); });
  AskedByHand one = host.take();
  EXPECT_THAT(one.first_line, HasSubstr("cursor=1"));
  one.send(kOk + "Content-Length: 3\r\n\r\none");
  AskedByHand two = host.take();
  EXPECT_THAT(two.first_line, HasSubstr("cursor=2"));
  two.send(kOk + "Content-Length: 3\r\n\r\ntwo");
  EXPECT_THAT(answered.get(), AllOf(HasSubstr("\r\n\r\noneHTTP/1.1 200 OK"), EndsWith("two")));
}

TEST_F(MirrorForward, AnUpstreamMayHaveAName) {
  given_mirror({"--upstream", "ws://localhost:" + std::to_string(host.port())});
  auto answered = ask("listHosts");
  AskedByHand asked = host.take();
  EXPECT_EQ(asked.header("Host"), "localhost:" + std::to_string(host.port()));
  asked.send(kOk + "Content-Length: 2\r\n\r\n{}");
  EXPECT_EQ(answered.get().body, "{}");
}

TEST_F(MirrorForward, EachStreamHasItsOwnUpstreamAndItsPath) {
  HostByHand other;
  given_mirror_of_host({"--upstream", "other=" + other.url() + "/stream/far"});
  auto answered = std::async(std::launch::async, [&] {
    return http_get(port(), "/stream/other" + kSync + "listRepos?limit=3");
  });
  AskedByHand asked = other.take();
  EXPECT_EQ(asked.first_line, "GET /stream/far" + kSync + "listRepos?limit=3 HTTP/1.1");
  asked.send(kOk + "Content-Length: 5\r\n\r\nother");
  EXPECT_EQ(answered.get().body, "other");
  expect_error(http_get(port(), "/stream/none" + kSync + "listRepos"), 404, "NotFound");
  expect_error(http_get(port(), "/stream/other/epoch/1" + kSync + "listRepos"), 404, "NotFound");
}

TEST_F(MirrorForward, NothingElseIsPassedOn) {
  given_mirror_of_host();
  for (const std::string endpoint : {"getBlob?did=did:plc:a&cid=b", "notifyOfUpdate", "getHead"}) {
    expect_error(get(endpoint), 404, "NotFound");
  }
  expect_error(http_get(port(), "/admin/subs/perDayLimit"), 404, "NotFound");
  expect_error(http_get(port(), kSync + "listRepos?" + std::string(9'000, 'x')), 414, "URITooLong");
  const std::string raw = exchange_raw(
      port(), "GET " + kSync + "listRepos?a=\x80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(raw, StartsWith("HTTP/1.1 400 "));
  const HttpCall long_field{
      .method = "GET", .headers = {{"Authorization", std::string(70'000, 'x')}}, .body = ""};
  expect_error(get("listRepos", long_field), 431, "RequestHeaderFieldsTooLarge");
  auto answered = ask("listRepos");  // is the first that the host hears of
  AskedByHand asked = host.take();
  EXPECT_THAT(asked.first_line, HasSubstr("listRepos HTTP"));
  asked.send(kOk + "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(answered.get().status, 200);
}

// -- Loops ----------------------------------------------------------------------------------------

TEST_F(MirrorForward, WhatARelayAsksIsNotPassedOn) {
  given_mirror_of_host();
  for (const auto& [name, value] : HttpHeaders{{"Via", "1.1 atproto-relay"},
                                               {"Via", "1.1 proxy.example, 1.1 atproto-relay"},
                                               {"User-Agent", "indigo-relay (atproto-relay)"}}) {
    SCOPED_TRACE(name + value);
    expect_error(get("getRepo?did=x", {.method = "GET", .headers = {{name, value}}, .body = ""}),
                 508, "LoopDetected");
  }
}

TEST_F(MirrorForward, AMirrorOfItselfSaysSoInsteadOfAskingForEver) {
  const std::string address = "127.0.0.1:" + std::to_string(free_port());
  given_mirror({"--listen", address, "--upstream", "ws://" + address});
  expect_error(get("getRepo?did=did:plc:a"), 508, "LoopDetected");
  // Once in, once round: both are done with.
  EXPECT_EQ(get("listRepos").status, 508);
}

TEST_F(MirrorForward, BehindAnotherMirrorTheOneInFrontDoesNotPassOn) {
  given_mirror_of_host();
  const TempDir second{TempDir::Where::memory};
  NetworkProcess behind({"mirror", "--data", (second / "archive").string(), "--quiet", "--min-free",
                         "0", "--upstream", "ws://127.0.0.1:" + std::to_string(port())});
  expect_error(http_get(behind.port(), kSync + "listRepos"), 508, "LoopDetected");
  EXPECT_EQ(behind.stop().status, 0);
}

// -- Where there is nobody to pass it on to -------------------------------------------------------

TEST_F(MirrorForward, OffIsOff) {
  given_mirror_of_host({"--no-forward"});
  for (const char* endpoint : {"getRepo?did=x", "listRepos", "getHostStatus?hostname=x"}) {
    expect_error(get(endpoint), 501, "MethodNotImplemented");
  }
}

TEST_F(MirrorForward, WithoutAnUpstreamOfTheStreamItIs501) {
  given_imported({make_frame(1), make_frame(2)});
  given_server();
  expect_error(get("listRepos"), 501, "MethodNotImplemented");
  stop();
  HostByHand labeler;
  given_mirror({"--upstream", "other=" + labeler.url()});  // and `repos` has been imported
  expect_error(get("listRepos"), 501, "MethodNotImplemented");
  stop();
}

TEST_F(MirrorForward, ASimulatedUpstreamIsNotAsked) {
  given_mirror({"--upstream", "sim:seed=1,rate=10"});
  const HttpReply reply = get("listRepos");
  expect_error(reply, 501, "MethodNotImplemented");
  EXPECT_THAT(reply.body, HasSubstr("simulated"));
}

// -- CORS -----------------------------------------------------------------------------------------

TEST_F(MirrorForward, ABrowserMayAskFromAnyPage) {
  given_mirror_of_host();
  for (const std::string& target :
       {kSync + "requestCrawl", kSync + "getRepo?did=x", std::string("/xrpc/_health")}) {
    SCOPED_TRACE(target);
    const HttpReply reply =
        http_get(port(), target,
                 {.method = "OPTIONS",
                  .headers = {{"Origin", "https://app.example"},
                              {"Access-Control-Request-Method", "POST"},
                              {"Access-Control-Request-Headers", "authorization,content-type"}},
                  .body = ""});
    EXPECT_EQ(reply.status, 204);
    EXPECT_EQ(reply.body, "");
    EXPECT_EQ(reply.header("Access-Control-Allow-Origin"), "*");
    EXPECT_EQ(reply.header("Access-Control-Allow-Methods"), "GET, POST");
    EXPECT_EQ(reply.header("Access-Control-Allow-Headers"), "authorization,content-type");
  }
}

}  // namespace
}  // namespace standpipe::test
