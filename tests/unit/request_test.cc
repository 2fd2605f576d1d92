#include "replay/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "schema/frame.h"

namespace standpipe::replay {
namespace {

using ::testing::HasSubstr;

const std::string kRepos = "/xrpc/com.atproto.sync.subscribeRepos";
const std::string kLabels = "/xrpc/com.atproto.label.subscribeLabels";

RequestHead websocket(std::string_view target) {
  RequestHead head;
  head.method = "GET";
  head.target = target;
  head.connection = "Upgrade";
  head.upgrade = "websocket";
  head.websocket_version = "13";
  head.websocket_key = "dGhlIHNhbXBsZSBub25jZQ==";
  return head;
}

RequestHead plain(std::string_view target) {
  RequestHead head;
  head.method = "GET";
  head.target = target;
  return head;
}

// The request that `target` makes; fails the test where it is refused.
SubscribeRequest subscribe(const std::string& target) {
  const Route wanted = route(websocket(target));
  if (const auto* refusal = std::get_if<Refusal>(&wanted)) {
    ADD_FAILURE() << target << ": " << refusal->message;
    return {};
  }
  return std::get<SubscribeRequest>(wanted);
}

template <typename T>
T plain_route(const std::string& target) {
  const Route wanted = route(plain(target));
  if (const auto* refusal = std::get_if<Refusal>(&wanted)) {
    ADD_FAILURE() << target << ": " << refusal->message;
    return {};
  }
  return std::get<T>(std::get<PlainRoute>(wanted));
}

Refusal refusal(const RequestHead& head) {
  const Route wanted = route(head);
  if (const auto* refused = std::get_if<Refusal>(&wanted)) return *refused;
  ADD_FAILURE() << head.target << " is not refused";
  return {};
}

// Refused with 400 InvalidRequest, and the message.
std::string bad(const std::string& target) {
  const Refusal refused = refusal(websocket(target));
  EXPECT_EQ(refused.status, 400) << target;
  EXPECT_EQ(refused.error, "InvalidRequest") << target;
  return refused.message;
}

std::string header(const Refusal& refused, std::string_view name) {
  for (const auto& [key, value] : refused.headers) {
    if (key == name) return value;
  }
  return "";
}

bool passes(const SubscribeRequest& request, std::string_view did, std::string_view collection) {
  Envelope envelope;
  envelope.kind = FrameKind::commit;
  envelope.did = did;
  envelope.ops_total = 1;
  const std::string path = std::string(collection) + "/self";
  const EnvelopeOp op{"create", path};
  return request.filter->passes(envelope, std::span(&op, 1));
}

// -- Paths ----------------------------------------------------------------------------------------

TEST(Request, TheRootServesTheFirstStreamOfEachKind) {
  EXPECT_EQ(subscribe(kRepos).stream, "");
  EXPECT_EQ(subscribe(kRepos).kind, storage::StreamKind::repos);
  EXPECT_EQ(subscribe(kRepos).epoch, std::nullopt);
  EXPECT_EQ(subscribe(kLabels).stream, "");
  EXPECT_EQ(subscribe(kLabels).kind, storage::StreamKind::labels);
}

TEST(Request, AStreamAndItsEpochsHavePaths) {
  const SubscribeRequest newest = subscribe("/stream/mod.example.com" + kLabels + "?cursor=3");
  EXPECT_EQ(newest.stream, "mod.example.com");
  EXPECT_EQ(newest.kind, storage::StreamKind::labels);
  EXPECT_EQ(newest.epoch, std::nullopt);
  EXPECT_EQ(newest.cursor, 3);
  const SubscribeRequest older = subscribe("/stream/repos/epoch/12" + kRepos);
  EXPECT_EQ(older.stream, "repos");
  EXPECT_EQ(older.epoch, storage::EpochNumber{12});
}

TEST(Request, PathsArePercentDecoded) {
  EXPECT_EQ(subscribe("/stream/r%65pos/xrpc/com.atproto.sync.subscribe%52epos").stream, "repos");
  EXPECT_EQ(refusal(websocket("/stream/r%6/xrpc/x")).status, 400);
  EXPECT_EQ(refusal(websocket("/stream/r%zz/xrpc/x")).status, 400);
  EXPECT_EQ(refusal(websocket("/stream%2Frepos" + kRepos)).status, 404);
}

TEST(Request, TheAbsoluteFormIsReadAsItsPath) {
  EXPECT_EQ(subscribe("http://example.com:80" + kRepos + "?cursor=5").cursor, 5);
  plain_route<BannerRequest>("http://example.com");
  plain_route<BannerRequest>("http://example.com?x=http://y");
  EXPECT_EQ(refusal(plain("example.com:80")).status, 400);
  EXPECT_EQ(refusal(plain("*")).status, 400);
  EXPECT_EQ(refusal(plain("")).status, 400);
}

TEST(Request, UnknownPathsAreNotFound) {
  for (const std::string target :
       {"/x", "/xrpc", "/xrpc/", "/xrpc/com.atproto.sync.getBlob?did=x",
        "/xrpc/com.atproto.sync.subscribeRepos/", "//xrpc/_health", "/stream", "/stream/repos",
        "/stream/repos/xrpc", "/stream/repos/xrpc/_health", "/stream/repos/epoch/1",
        "/stream/repos/epoch/0/gaps", "/stream/repos/epoch/x/gaps", "/stream/repos/epoch/-1/gaps",
        "/stream/repos/epoch/4294967296/gaps", "/stream/REPOS/gaps", "/stream//gaps",
        "/stream/repos/gaps/x", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n"}) {
    const Refusal refused = refusal(websocket(target));
    EXPECT_EQ(refused.status, 404) << target;
    EXPECT_EQ(refused.error, "NotFound") << target;
  }
}

TEST(Request, AnUnknownMethodNamesThoseThatAreServed) {
  EXPECT_EQ(refusal(plain("/xrpc/com.atproto.sync.getBlob")).message,
            "\"com.atproto.sync.getBlob\" is not served here; com.atproto.sync.subscribeRepos and "
            "com.atproto.label.subscribeLabels are");
}

TEST(Request, WhatOnlyAnUpstreamKnowsIsPassedOnAsItCame) {
  for (const std::string name :
       {"getRepo", "getRepoStatus", "getLatestCommit", "listRepos", "listHosts", "getHostStatus"}) {
    const auto request =
        std::get<ForwardRequest>(route(plain("/xrpc/com.atproto.sync." + name + "?did=a%3Ab&c=+")));
    EXPECT_EQ(request.stream, "");
    EXPECT_EQ(request.nsid, "com.atproto.sync." + name);
    EXPECT_EQ(request.query, "did=a%3Ab&c=+");
    EXPECT_FALSE(request.is_post);
  }
  RequestHead crawl = plain("/stream/a.b/xrpc/com.atproto.sync.requestCrawl");
  EXPECT_EQ(refusal(crawl).status, 405);
  EXPECT_EQ(header(refusal(crawl), "Allow"), "POST");
  crawl.method = "POST";
  const auto request = std::get<ForwardRequest>(route(crawl));
  EXPECT_EQ(request.stream, "a.b");
  EXPECT_EQ(request.query, "");
  EXPECT_TRUE(request.is_post);
  EXPECT_EQ(refusal(plain("/stream/a/epoch/1/xrpc/com.atproto.sync.listRepos")).status, 404);
}

TEST(Request, WhatIsPassedOnHasAQueryThatFitsARequestLine) {
  const std::string path = "/xrpc/com.atproto.sync.listRepos?";
  EXPECT_TRUE(std::holds_alternative<ForwardRequest>(route(plain(path + std::string(8192, 'x')))));
  EXPECT_EQ(refusal(plain(path + std::string(8193, 'x'))).status, 414);
  for (const std::string query : {"a=b c", "a=b\r\nX: y", "a=\x7f", "a=\xc3\xa4"}) {
    EXPECT_EQ(refusal(plain(path + query)).status, 400) << query;
  }
}

TEST(Request, WhoNamesARelayIsNotPassedOn) {
  RequestHead head = plain("/xrpc/com.atproto.sync.listRepos");
  head.via = "1.1 proxy.example, 1.0 atproto-relay";
  EXPECT_EQ(refusal(head).status, 508);
  EXPECT_EQ(refusal(head).error, "LoopDetected");
  head.via = "1.1 proxy.example";
  EXPECT_TRUE(std::holds_alternative<ForwardRequest>(route(head)));
  head.user_agent = "relay/2 (atproto-relay)";
  EXPECT_EQ(refusal(head).status, 508);
}

TEST(Request, ABrowserIsToldThatItMayAsk) {
  RequestHead head = plain("/xrpc/com.atproto.sync.requestCrawl");
  head.method = "OPTIONS";
  EXPECT_EQ(refusal(head).status, 405);  // nobody's preflight
  head.preflight_method = "POST";
  EXPECT_EQ(std::get<Preflight>(route(head)).headers, "");
  head.preflight_headers = "authorization, X-Any_1";
  EXPECT_EQ(std::get<Preflight>(route(head)).headers, "authorization, X-Any_1");
  EXPECT_EQ(reply_of(std::get<Preflight>(route(head))).status, 204);
  const std::string long_list(5000, 'a');
  for (const std::string_view headers : {std::string_view("a: b"), std::string_view(long_list)}) {
    head.preflight_headers = headers;
    EXPECT_EQ(std::get<Preflight>(route(head)).headers, "");
  }
}

TEST(Request, TheRootIsAPageForWhoNamesHtml) {
  const auto wants_page = [](std::string_view accept) {
    RequestHead head = plain("/");
    head.accept = accept;
    return std::get<BannerRequest>(std::get<PlainRoute>(route(head))).wants_page;
  };
  EXPECT_TRUE(wants_page("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
  EXPECT_TRUE(wants_page("*/*, Text/HTML ;q=0.5"));
  for (const char* accept : {"", "*/*", "text/*", "text/html5", "application/json,text/plain"}) {
    EXPECT_FALSE(wants_page(accept)) << accept;
  }
}

TEST(Request, BannerAndHealthHaveTheirPaths) {
  plain_route<BannerRequest>("/");
  plain_route<BannerRequest>("/?x=y");
  EXPECT_EQ(plain_route<HealthRequest>("/xrpc/_health").max_lag_s, std::nullopt);
  EXPECT_EQ(plain_route<HealthRequest>("/_health").max_lag_s, std::nullopt);
  EXPECT_EQ(plain_route<HealthRequest>("/_health?max_lag=30").max_lag_s, 30.0);
  EXPECT_EQ(plain_route<HealthRequest>("/_health?max_lag=0.5").max_lag_s, 0.5);
  for (const std::string value : {"-1", "x", "1e3", "nan", "inf", "1.5s", ".5", "1000000001"}) {
    EXPECT_EQ(refusal(plain("/_health?max_lag=" + value)).status, 400) << value;
  }
}

TEST(Request, GapsOfAStreamAndOfAnEpoch) {
  const auto all = plain_route<GapsRequest>("/stream/repos/gaps");
  EXPECT_EQ(all.stream, "repos");
  EXPECT_EQ(all.epoch, std::nullopt);
  EXPECT_EQ(all.after, Seq{0});
  EXPECT_EQ(to_int(all.before), 9'007'199'254'740'992);
  EXPECT_EQ(all.limit, 1000u);
  const auto some =
      plain_route<GapsRequest>("/stream/repos/epoch/2/gaps?after=5&before=9&limit=10");
  EXPECT_EQ(some.epoch, storage::EpochNumber{2});
  EXPECT_EQ(some.after, Seq{5});
  EXPECT_EQ(some.before, Seq{9});
  EXPECT_EQ(some.limit, 10u);
}

TEST(Request, GapsRefusesRangesThatAreNone) {
  for (const std::string query : {"after=9&before=9", "after=10&before=9", "before=0", "after=-1",
                                  "limit=0", "limit=1001", "before=9007199254740992"}) {
    EXPECT_EQ(refusal(plain("/stream/repos/gaps?" + query)).status, 400) << query;
  }
}

// -- Handshakes -----------------------------------------------------------------------------------

TEST(Request, OtherMethodsAreRefusedEverywhere) {
  for (const std::string method : {"POST", "HEAD", "OPTIONS", "get", "BREW"}) {
    for (const std::string& target : {kRepos, std::string("/"), std::string("/x")}) {
      RequestHead head = websocket(target);
      head.method = method;
      EXPECT_EQ(refusal(head).status, 405) << method;
      EXPECT_EQ(header(refusal(head), "Allow"), "GET") << method;
    }
  }
}

TEST(Request, AStreamWithoutUpgradeAsksForOne) {
  std::vector<RequestHead> heads(5, websocket(kRepos));
  heads[0] = plain(kRepos);
  heads[1].connection = "keep-alive";
  heads[2].upgrade = "h2c";
  heads[3].upgrade = "";
  heads[4].is_http_1_1 = false;
  for (const RequestHead& head : heads) {
    const Refusal refused = refusal(head);
    EXPECT_EQ(refused.status, 426);
    EXPECT_EQ(header(refused, "Upgrade"), "websocket");
    EXPECT_EQ(header(refused, "Connection"), "Upgrade");
    EXPECT_EQ(header(refused, "Sec-WebSocket-Version"), "");
  }
}

TEST(Request, AnotherVersionIsToldWhichOneIsSpoken) {
  for (const std::string version : {"", "8", "14", "13, 8", "x"}) {
    RequestHead head = websocket(kRepos);
    head.websocket_version = version;
    const Refusal refused = refusal(head);
    EXPECT_EQ(refused.status, 426) << version;
    EXPECT_EQ(header(refused, "Sec-WebSocket-Version"), "13") << version;
  }
}

TEST(Request, AKeyIsTheBase64OfSixteenBytes) {
  for (const std::string key :
       {"", "x", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ==A", "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25j*Q==", "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="}) {
    RequestHead head = websocket(kRepos);
    head.websocket_key = key;
    EXPECT_EQ(refusal(head).status, 400) << key;
  }
}

TEST(Request, TokensAreFoundInAnyCaseAndInLists) {
  RequestHead head = websocket(kRepos);
  head.connection = "keep-alive,  upgrade";
  head.upgrade = "WebSocket";
  EXPECT_TRUE(std::holds_alternative<SubscribeRequest>(route(head)));
  EXPECT_TRUE(has_token("a, UPGRADE ,b", "upgrade"));
  EXPECT_TRUE(has_token(",,upgrade", "upgrade"));
  EXPECT_FALSE(has_token("upgrades", "upgrade"));
  EXPECT_FALSE(has_token("a upgrade", "upgrade"));
  EXPECT_FALSE(has_token("", "upgrade"));
}

TEST(Request, ThereIsOneHost) {
  RequestHead head = websocket(kRepos);
  head.hosts = 0;
  EXPECT_EQ(refusal(head).status, 400);
  head.hosts = 2;
  EXPECT_EQ(refusal(head).status, 400);
  head = plain("/");
  head.hosts = 0;
  head.is_http_1_1 = false;  // HTTP/1.0 has no such rule
  EXPECT_TRUE(std::holds_alternative<PlainRoute>(route(head)));
}

// -- Cursors --------------------------------------------------------------------------------------

TEST(Request, NoCursorIsLiveHoweverItIsWritten) {
  for (const std::string query : {"", "?", "?cursor=", "?cursor", "?&", "?cursor=&"}) {
    EXPECT_EQ(subscribe(kRepos + query).cursor, std::nullopt) << query;
  }
}

TEST(Request, ACursorIsANumberUpTo2To53Less1) {
  EXPECT_EQ(subscribe(kRepos + "?cursor=0").cursor, 0);
  EXPECT_EQ(subscribe(kRepos + "?cursor=26653242499").cursor, 26653242499);
  EXPECT_EQ(subscribe(kRepos + "?cursor=9007199254740991").cursor, 9007199254740991);
  EXPECT_EQ(subscribe(kRepos + "?cursor=%31%30").cursor, 10);
  EXPECT_EQ(subscribe(kRepos + "?cursor=007").cursor, 7);
}

TEST(Request, AnotherCursorIsRefusedWithTheRange) {
  EXPECT_EQ(bad(kRepos + "?cursor=abc"),
            "cursor must be a whole number from 0 to 9007199254740991, not \"abc\"");
  for (const std::string cursor :
       {"-1", "-0", "+5", "%2B5", "%205", "5%20", "1.0", "1e3", "0x10", "9007199254740992",
        "18446744073709551616", "99999999999999999999999999", "%", "%4", "5#x", "null"}) {
    EXPECT_THAT(bad(kRepos + "?cursor=" + cursor), HasSubstr("cursor")) << cursor;
  }
}

TEST(Request, AParameterOfOneValueMayComeOnce) {
  EXPECT_EQ(bad(kRepos + "?cursor=1&cursor=1"), "cursor may come once only");
  EXPECT_EQ(bad(kRepos + "?cursor=&cursor=1"), "cursor may come once only");
  EXPECT_EQ(bad(kRepos + "?cursor=1&until=5&%75ntil=6"), "until may come once only");
}

TEST(Request, UnknownParametersAreIgnoredWhateverTheyHold) {
  EXPECT_EQ(subscribe(kRepos + "?x=%zz&%zz=1&=&==&Cursor=9&cursor=5&x=1&x=2").cursor, 5);
}

TEST(Request, TimeIsADatetime) {
  EXPECT_EQ(subscribe(kRepos + "?time=1970-01-01T00:00:01Z").time_ms, 1000);
  EXPECT_EQ(subscribe(kRepos + "?time=1970-01-01T02%3A00%3A01.5%2B02:00").time_ms, 1500);
  EXPECT_EQ(subscribe(kRepos + "?time=1970-01-01T02:00:01+02:00").time_ms, 1000);
  EXPECT_EQ(subscribe(kRepos + "?time=1970-01-01T02:00:01%2002:00").time_ms, 1000);
  EXPECT_EQ(subscribe(kRepos + "?time=1969-12-31T23:59:59Z").time_ms, -1000);
  EXPECT_EQ(subscribe(kRepos + "?time=").time_ms, std::nullopt);
  for (const std::string time : {"yesterday", "2026-01-02", "1700000000", "2026-13-01T00:00:00Z",
                                 "2026-01-01T00:00:00", "%"}) {
    EXPECT_THAT(bad(kRepos + "?time=" + time), HasSubstr("time")) << time;
  }
}

TEST(Request, TimeAndCursorExcludeOneAnother) {
  EXPECT_THAT(bad(kRepos + "?cursor=0&time=2026-01-02T03:04:05Z"), HasSubstr("cursor and time"));
  EXPECT_EQ(subscribe(kRepos + "?cursor=&time=1970-01-01T00:00:00Z").time_ms, 0);
}

TEST(Request, UntilNeedsAStart) {
  EXPECT_EQ(subscribe(kRepos + "?cursor=1&until=9").until, Seq{9});
  EXPECT_EQ(subscribe(kRepos + "?time=2026-01-02T03:04:05Z&until=9").until, Seq{9});
  EXPECT_EQ(subscribe(kRepos + "?cursor=1").until, std::nullopt);
  EXPECT_EQ(bad(kRepos + "?until=9"), "until needs cursor or time");
  EXPECT_EQ(bad(kRepos + "?until=9&cursor="), "until needs cursor or time");
  EXPECT_THAT(bad(kRepos + "?cursor=1&until=x"), HasSubstr("until must be"));
}

// -- Filters --------------------------------------------------------------------------------------

TEST(Request, WithoutWantedThereIsNoFilter) {
  EXPECT_EQ(subscribe(kRepos + "?cursor=1").filter, nullptr);
}

TEST(Request, WantedDidsAndCollectionsMakeAFilter) {
  const SubscribeRequest request =
      subscribe(kRepos + "?wantedDids=did:plc:a&wantedDids=did%3Aplc%3Ab" +
                "&wantedCollections=app.bsky.feed.*&wantedCollections=app.bsky.graph.follow");
  ASSERT_NE(request.filter, nullptr);
  EXPECT_TRUE(passes(request, "did:plc:a", "app.bsky.feed.post"));
  EXPECT_TRUE(passes(request, "did:plc:b", "app.bsky.graph.follow"));
  EXPECT_FALSE(passes(request, "did:plc:a", "app.bsky.graph.block"));
  EXPECT_FALSE(passes(request, "did:plc:c", "app.bsky.feed.post"));
}

TEST(Request, WantedThatIsNoneIsRefused) {
  EXPECT_THAT(bad(kRepos + "?wantedDids=alice.example.com"), HasSubstr("alice.example.com"));
  EXPECT_THAT(bad(kRepos + "?wantedDids="), HasSubstr("wantedDids"));  // not: everything
  EXPECT_THAT(bad(kRepos + "?wantedCollections=app.*.post"), HasSubstr("app.*.post"));
  EXPECT_THAT(bad(kRepos + "?wantedDids=did:plc:a%0"), HasSubstr("wantedDids"));
}

TEST(Request, TenThousandDidsAndAHundredCollectionsAreAllowed) {
  std::string query = "?x=y";
  for (int i = 0; i < 10'000; ++i) query += "&wantedDids=did:plc:" + std::to_string(i);
  EXPECT_NE(subscribe(kRepos + query).filter, nullptr);
  EXPECT_THAT(bad(kRepos + query + "&wantedDids=did:plc:x"), HasSubstr("10000"));
  query = "?x=y";
  for (int i = 0; i < 100; ++i) query += "&wantedCollections=app.bsky.feed.x" + std::to_string(i);
  EXPECT_NE(subscribe(kRepos + query).filter, nullptr);
  EXPECT_THAT(bad(kRepos + query + "&wantedCollections=app.bsky.feed.*"), HasSubstr("100"));
}

TEST(Request, ProgressIsForFiltersAndInWholeSeconds) {
  const std::string filter = "?wantedDids=did:plc:a";
  EXPECT_EQ(subscribe(kRepos + filter).progress, std::nullopt);
  EXPECT_EQ(subscribe(kRepos + filter + "&progress=1").progress, std::chrono::seconds(1));
  EXPECT_EQ(subscribe(kRepos + filter + "&progress=3600").progress, std::chrono::seconds(3600));
  for (const std::string seconds : {"0", "3601", "1.5", "-1", "x"}) {
    EXPECT_THAT(bad(kRepos + filter + "&progress=" + seconds), HasSubstr("progress")) << seconds;
  }
  EXPECT_THAT(bad(kRepos + "?progress=5"), HasSubstr("progress needs"));
}

// -- Replies --------------------------------------------------------------------------------------

TEST(Request, ARefusalIsTheErrorOfXrpc) {
  const HttpReply reply =
      reply_of(Refusal{429, {{"Retry-After", "5"}}, "RateLimitExceeded", "a \"b\" \xff"});
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(reply.content_type, "application/json");
  EXPECT_EQ(reply.headers, (HttpHeaders{{"Retry-After", "5"}}));
  EXPECT_EQ(reply.body,
            "{\"error\":\"RateLimitExceeded\",\"message\":\"a \\\"b\\\" \xef\xbf\xbd\"}");
}

}  // namespace
}  // namespace standpipe::replay
