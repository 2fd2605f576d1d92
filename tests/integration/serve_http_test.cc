// What is asked for by HTTP, and how it is refused: methods, paths, upgrades, filters, pages.
#include <string>
#include <vector>

#include "tests/support/cli_fixture.h"
#include "tests/support/serve_fixture.h"
#include "tools/play/http_wire.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using tools::play::has_token;

constexpr std::string_view kKey = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

class ServeHttp : public ServeFixture {
 protected:
  // Any head; the answer, also where that is an upgrade.
  HttpReply asked(const std::string& first_line, const std::string& fields) const {
    NetStream stream = connect_stream(port(), {});
    const std::string head = first_line + "\r\nHost: standpipe\r\n" + fields + "\r\n";
    const Deadline deadline = deadline_from_now();
    write_all(stream, as_bytes(head), deadline);
    return read_reply(stream, first_line.substr(0, first_line.find(' ')), deadline).reply;
  }
  HttpReply asked_to_upgrade(const std::string& fields) const {
    return asked("GET " + repos() + " HTTP/1.1", std::string(kKey) + fields);
  }
  Subscriber subscribe_at(const std::string& target) const {
    return Subscriber::connect(port(), target);
  }
};

std::string joined(const std::string& name, std::size_t count, const std::string& stem) {
  std::string query;
  for (std::size_t i = 0; i < count; ++i) {
    std::string number = std::to_string(i);
    for (char& digit : number) digit = static_cast<char>('a' + (digit - '0'));
    query += "&" + name + "=" + stem + std::string(24 - number.size(), 'z') + number;
  }
  return query;
}

// -- The handshake --------------------------------------------------------------------------------

TEST_F(ServeHttp, WithoutAnUpgradeItIs426) {
  given_served(1, 10);
  for (const char* fields :
       {"", "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
        "Upgrade: websocketx\r\nConnection: upgraded\r\nSec-WebSocket-Version: 13\r\n"}) {
    SCOPED_TRACE(fields);
    const HttpReply reply = asked_to_upgrade(fields);
    expect_json_error(reply, 426, "UpgradeRequired");
    EXPECT_EQ(reply.header("Upgrade"), "websocket");
    EXPECT_TRUE(has_token(reply.header("Connection").value_or(""), "Upgrade"));
  }
}

TEST_F(ServeHttp, AnotherVersionIs426AndNames13) {
  given_served(1, 10);
  for (const char* version : {"", "Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version: x\r\n"}) {
    SCOPED_TRACE(version);
    const HttpReply reply =
        asked_to_upgrade(std::string("Upgrade: websocket\r\nConnection: Upgrade\r\n") + version);
    expect_json_error(reply, 426, "UpgradeRequired");
    EXPECT_EQ(reply.header("Sec-WebSocket-Version"), "13");
  }
}

TEST_F(ServeHttp, NamesAndTokensMayBeInAnyCaseAndAnyOriginMayCome) {
  given_served(1, 10);
  for (const char* fields :
       {"UPGRADE: WebSocket\r\nCONNECTION: keep-alive, UPGRADE\r\nSEC-WEBSOCKET-VERSION: 13\r\n",
        "upgrade: WEBSOCKET\r\nconnection:upgrade ,keep-alive\r\nsec-websocket-version:13\r\n",
        "Upgrade: websocket\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nOrigin: https://evil.example\r\n",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Origin: null\r\n"}) {
    SCOPED_TRACE(fields);
    EXPECT_EQ(asked_to_upgrade(fields).status, 101);
  }
}

TEST_F(ServeHttp, CompressionIsDeclined) {
  given_served(1, 10);
  SubscriberOptions offer;
  offer.headers = {{"Sec-WebSocket-Extensions",
                    "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame"}};
  // That nothing is granted, and no reserved bit set, is what a Subscriber checks by itself.
  Subscriber subscriber = subscribe("?cursor=0", offer);
  ASSERT_TRUE(subscriber.is_upgraded());
  expect_made(subscriber.read_frames(10), 1, 10);
}

TEST_F(ServeHttp, EveryAnswerNamesTheRelaySoThatRelaysDoNotCrawlIt) {
  given_served(1, 10);
  EXPECT_THAT(subscribe().handshake().header("Server").value_or(""), HasSubstr("atproto-relay"));
  for (const char* target : {"/", "/xrpc/_health", "/nothing", "/stream/repos/gaps"}) {
    EXPECT_THAT(http_get(port(), target).header("Server").value_or(""), HasSubstr("atproto-relay"));
  }
}

// -- Methods and paths ----------------------------------------------------------------------------

TEST_F(ServeHttp, OtherMethodsAre405) {
  given_served(1, 10);
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    SCOPED_TRACE(method);
    const HttpReply reply =
        http_get(port(), repos(), {.method = method, .headers = {}, .body = ""});
    expect_json_error(reply, 405, "MethodNotAllowed");
    EXPECT_EQ(reply.header("Allow"), "GET");
  }
}

TEST_F(ServeHttp, UnknownPathsAndStreamsAre404) {
  given_served(1, 10);
  for (const char* path : {"/nothing", "/xrpc", "/xrpc/", "/xrpc/com.atproto.sync.getBlob",
                           "/stream/repos", "/stream/repos/xrpc/x", "/stream/repos/epoch/1"}) {
    SCOPED_TRACE(path);
    expect_refusal(path, 404, "NotFound");
    expect_json_error(http_get(port(), path), 404, "NotFound");
  }
  expect_refusal("/stream/other" + repos(), 404, "NotFound", "repos");  // names those that are
  expect_refusal("/stream/repos/epoch/7" + repos(), 404, "NotFound");
  expect_refusal("/stream/repos/epoch/0" + repos(), 404, "NotFound");
  expect_refusal("/stream/repos/epoch/x" + repos(), 404, "NotFound");
  expect_json_error(http_get(port(), "/stream/other/gaps"), 404, "NotFound");
}

TEST_F(ServeHttp, LabelsWithoutALabelerAre501) {
  given_served(1, 10);
  expect_refusal("/xrpc/com.atproto.label.subscribeLabels", 501, "MethodNotImplemented");
}

TEST_F(ServeHttp, EachKindIsServedAtTheRootAndEachStreamUnderItsName) {
  given_imported(made_frames(1, 10));
  given_imported(made_frames(5, 20), {"--stream", "second"});
  given_imported(made_frames(100, 120), {"--stream", "mod.example", "--kind", "labels"});
  given_server();
  const std::string labels = "/xrpc/com.atproto.label.subscribeLabels";
  struct Row {
    std::string target;
    std::int64_t first, last;
  };
  for (const Row& row : {Row{repos(), 1, 10}, Row{"/stream/repos" + repos(), 1, 10},
                         Row{"/stream/second" + repos(), 5, 20}, Row{labels, 100, 120},
                         Row{"/stream/mod.example" + labels, 100, 120}}) {
    SCOPED_TRACE(row.target);
    Subscriber subscriber = subscribe_at(row.target + "?cursor=0");
    expect_made(subscriber.read_until_seq(row.last), row.first, row.last);
    expect_nothing_more(subscriber);
  }
  expect_refusal("/stream/second" + labels, 404, "NotFound", "mod.example");
}

TEST_F(ServeHttp, UnknownParametersAreIgnored) {
  given_served(1, 10);
  Subscriber subscriber = subscribe("?x=1&cursor=5&y&=z&compress=true&cursors=7&%zz=1&Cursor=1");
  expect_made(subscriber.read_frames(5), 6, 10);
  expect_nothing_more(subscriber);
}

// -- Filters and their limits ---------------------------------------------------------------------

TEST_F(ServeHttp, TenThousandDidsAreTakenAndNoMore) {
  given_served(1, 100);
  const std::string dids = joined("wantedDids", 9'999, "did:plc:");
  const auto repo_of = [](std::int64_t seq) {
    const std::string text(as_text(make_frame(seq)));
    return text.substr(text.find("did:plc:"), 32);
  };
  Subscriber subscriber = subscribe("?cursor=0&until=100" + dids + "&wantedDids=" + repo_of(42));
  ASSERT_EQ(subscriber.handshake().status, 101) << subscriber.handshake().body;
  EXPECT_EQ(subscriber.next_frame(), make_frame(42));
  expect_close(subscriber, 1000);
  expect_refusal(repos("?cursor=0" + dids + joined("wantedDids", 2, "did:web:")), 400,
                 "InvalidRequest", "10000");
}

TEST_F(ServeHttp, AHundredCollectionsAreTakenAndNoMore) {
  given_served(1, 100);
  const std::string names = joined("wantedCollections", 99, "com.example.");
  Subscriber subscriber = subscribe("?cursor=0" + names + "&wantedCollections=app.bsky.feed.*");
  expect_made(subscriber.read_frames(100), 1, 100);
  expect_refusal(repos("?cursor=0" + names + joined("wantedCollections", 2, "org.example.")), 400,
                 "InvalidRequest", "100");
}

TEST_F(ServeHttp, WhatIsNoFilterIsRefused) {
  given_served(1, 10);
  for (const char* query : {"?wantedDids=", "?wantedDids=alice.example", "?wantedDids=did:plc:%ff",
                            "?wantedCollections=", "?wantedCollections=app.*.feed",
                            "?wantedCollections=*", "?wantedCollections=nothing"}) {
    expect_refusal(repos(query), 400, "InvalidRequest", "wanted");
  }
  for (const char* query :
       {"?progress=1", "?wantedDids=did:web:a.example&progress=0",
        "?wantedDids=did:web:a.example&progress=x", "?wantedDids=did:web:a.example&progress=-1"}) {
    expect_refusal(repos(query), 400, "InvalidRequest", "progress");
  }
}

// -- Limits of a request --------------------------------------------------------------------------

TEST_F(ServeHttp, AHeadAbove512KiBIs431) {
  given_served(1, 10);
  const auto with_padding = [](std::size_t bytes) {
    SubscriberOptions options;
    for (int i = 0; i < 10; ++i) options.headers.emplace_back("X-Padding", "");
    for (auto& [name, value] : options.headers) value = std::string(bytes / 10, 'x');
    return options;
  };
  EXPECT_EQ(subscribe("", with_padding(520'000)).handshake().status, 101);
  expect_json_error(subscribe("", with_padding(530'000)).handshake(), 431,
                    "RequestHeaderFieldsTooLarge");
  expect_refusal(repos("?x=" + std::string(530'000, 'x')), 431, "RequestHeaderFieldsTooLarge");
}

TEST_F(ServeHttp, AHandshakeThatDoesNotComeInTimeIsClosed) {
  given_served(1, 10, {"--handshake-timeout", "200ms"});
  EXPECT_EQ(exchange_raw(port(), ""), "");
  EXPECT_EQ(exchange_raw(port(), "GET " + repos() + " HTTP/1.1\r\nHost: x\r\nUpgrade: webs"), "");
  // It is the handshake that is timed, not what follows it; here for as long as those took.
  Subscriber subscriber = subscribe();
  EXPECT_EQ(exchange_raw(port(), "G"), "");
  expect_nothing_more(subscriber);
}

TEST_F(ServeHttp, WhatIsNoHttpIsRefusedAndNothingElseEnds) {
  given_served(1, 10);
  Subscriber subscriber = subscribe();
  for (const std::string& bytes :
       {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), std::string(100, '\0'),
        std::string("GET\r\n\r\n"), std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        "GET " + repos() + " HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"}) {
    EXPECT_THAT(exchange_raw(port(), bytes + "\r\n\r\n"), HasSubstr(" 400 Bad Request\r\n"));
  }
  expect_nothing_more(subscriber);
}

// -- Pages ----------------------------------------------------------------------------------------

TEST_F(ServeHttp, TheRootSaysWhatIsServedHere) {
  given_served(1, 10);
  const HttpReply reply = http_get(port(), "/");
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.header("Content-Type").value_or(""), HasSubstr("text/plain"));
  for (const char* text : {"standpipe ", "/xrpc/com.atproto.sync.subscribeRepos",
                           "/stream/repos/xrpc/", "/stream/repos/gaps", "/xrpc/_health"}) {
    EXPECT_THAT(reply.body, HasSubstr(text));
  }
  EXPECT_THAT(reply.body, Not(HasSubstr("subscribeLabels")));
}

TEST_F(ServeHttp, GapsAreThoseBetweenAfterAndBefore) {
  std::vector<Bytes> frames;
  for (const std::int64_t seq : {1, 2, 10, 11, 20, 21, 30}) frames.push_back(make_frame(seq));
  given_imported(frames, {"--density", "dense"});
  given_server();
  const auto gaps = [&](const std::string& query) {
    const HttpReply reply = http_get(port(), "/stream/repos/gaps" + query);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return json::parse(reply.body);
  };
  const auto ranges = [](const json& page) {
    std::vector<std::pair<int, int>> all;
    for (const json& gap : page["gaps"]) all.emplace_back(gap["after"], gap["before"]);
    return all;
  };
  using Ranges = std::vector<std::pair<int, int>>;
  const json all = gaps("");
  EXPECT_EQ(all["stream"], "repos");
  EXPECT_EQ(all["epoch"], 1);
  EXPECT_EQ(all["more"], false);
  EXPECT_EQ(ranges(all), (Ranges{{2, 10}, {11, 20}, {21, 30}}));
  for (const json& gap : all["gaps"]) {
    EXPECT_EQ(gap["reason"], "upstream");
    EXPECT_TRUE(gap["recorded_at"].is_string());
    EXPECT_TRUE(gap["detail"].is_string());
  }
  EXPECT_EQ(ranges(gaps("?after=10&before=21")), (Ranges{{11, 20}}));
  EXPECT_EQ(ranges(gaps("?after=20")), (Ranges{{21, 30}}));
  EXPECT_EQ(ranges(gaps("?before=10")), (Ranges{{2, 10}}));
  EXPECT_EQ(ranges(gaps("?after=30")), Ranges{});
  const json page = gaps("?limit=2");
  EXPECT_EQ(ranges(page), (Ranges{{2, 10}, {11, 20}}));
  EXPECT_EQ(page["more"], true);
  EXPECT_EQ(gaps("")["gaps"],
            json::parse(http_get(port(), "/stream/repos/epoch/1/gaps").body)["gaps"]);
  for (const char* query : {"?after=x", "?after=-1", "?after=9&before=9", "?limit=0"}) {
    expect_json_error(http_get(port(), std::string("/stream/repos/gaps") + query), 400,
                      "InvalidRequest");
  }
}

TEST_F(ServeHttp, HealthTellsOfTheArchiveAndEachUpstream) {
  given_upstream(holding(1, 20));
  given_mirror();
  wait_until_durable(20);
  // What is durable can be read a moment before the writer's status speaks of it.
  HttpReply reply = http_get(port(), "/xrpc/_health");
  const Deadline deadline = deadline_from_now();
  while (json::parse(reply.body)["streams"][0]["received_age_s"].is_null() &&
         std::chrono::steady_clock::now() < deadline) {
    reply = http_get(port(), "/xrpc/_health");
  }
  EXPECT_EQ(reply.status, 200);
  const json body = json::parse(reply.body);
  EXPECT_THAT((std::vector<std::string>{"ok", "catching_up"}),
              ::testing::Contains(body["status"].get<std::string>()));
  ASSERT_EQ(body["streams"].size(), 1U);
  const json& stream = body["streams"][0];
  EXPECT_EQ(stream["name"], "repos");
  EXPECT_EQ(stream["seq"], 20);
  EXPECT_GE(stream["received_age_s"], 0.0);
  EXPECT_GT(stream["event_age_s"], 1'000.0);  // they are of January
  EXPECT_TRUE(stream["upstream"].is_string());

  const HttpReply lagging = http_get(port(), "/xrpc/_health?max_lag=60");
  EXPECT_EQ(lagging.status, 503);
  EXPECT_EQ(json::parse(lagging.body)["lagging"], json::array({"repos"}));
  EXPECT_EQ(http_get(port(), "/xrpc/_health?max_lag=1000000000").status, 200);
  expect_json_error(http_get(port(), "/xrpc/_health?max_lag=-1"), 400, "InvalidRequest");
  EXPECT_EQ(http_get(port(), "/_health").status, 200);
}

TEST_F(ServeHttp, HealthOfAnUpstreamThatIsDownIsStill200) {
  UpstreamOptions options = holding(1, 5);
  options.plan = [](std::size_t number, const ConnectionRecord&) {
    return number == 0 ? ConnectionPlan().cut_after(5) : ConnectionPlan::refuse(503);
  };
  given_upstream(std::move(options));
  given_mirror();
  upstream().wait_for_connections(2);
  wait_for_health("upstream_down");
  const HttpReply reply = http_get(port(), "/xrpc/_health");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(json::parse(reply.body)["streams"][0]["upstream"], "down");
}

TEST_F(ServeHttp, HealthOfAnArchiveThatNobodyWritesToIsReadOnly) {
  given_served(1, 10);
  const json body = health();
  EXPECT_EQ(body["status"], "read_only");
  EXPECT_EQ(body["streams"][0]["seq"], 10);
  EXPECT_EQ(body["streams"][0]["upstream"], "none");
}

// -- Epochs ---------------------------------------------------------------------------------------

TEST_F(ServeHttp, OlderEpochsHavePathsOfTheirOwn) {
  given_imported(made_frames(1, 50));
  ASSERT_EQ(run_standpipe({"epoch", "new", "--data", archive().string(), "--stream", "repos",
                           "--reason", "a test"})
                .status,
            0);
  given_imported(made_frames(1'000, 1'020));
  given_server();
  Subscriber newest = subscribe("?cursor=0");
  expect_made(newest.read_frames(21), 1'000, 1'020);
  expect_nothing_more(newest);
  Subscriber second = subscribe_at("/stream/repos/epoch/2" + repos("?cursor=1010"));
  expect_made(second.read_frames(10), 1'011, 1'020);
  Subscriber first = subscribe_at("/stream/repos/epoch/1" + repos("?cursor=0"));
  expect_made(first.read_frames(50), 1, 50);
  expect_nothing_more(first);
  Subscriber beyond = subscribe_at("/stream/repos/epoch/1" + repos("?cursor=0&until=9000"));
  Received end;
  beyond.read_to_end(&end);
  EXPECT_EQ(end, Received(Closed{1000, ""})) << "nothing more comes of an epoch that is over";
  Subscriber future = subscribe_at("/stream/repos/epoch/1" + repos("?cursor=51"));
  expect_error_and_1008(future, future_cursor_frame(), "FutureCursor");
  expect_refusal("/stream/repos/epoch/3" + repos(), 404, "NotFound");
}

TEST_F(ServeHttp, ANewEpochEndsEverySubscriberOfTheStream) {
  given_upstream(holding(1, 2'000));
  given_mirror();
  wait_until_durable(2'000);
  SubscriberOptions small;
  small.receive_buffer = 4 << 10;
  Subscriber live = subscribe();
  Subscriber replayed = subscribe("?cursor=0", small);
  Subscriber ahead = subscribe("?cursor=2000");
  expect_nothing_more(live);
  EXPECT_EQ(replayed.next_frame(), make_frame(1));
  upstream().forget(2'000);
  upstream().append(upstream_frames(5'000, 5'010));
  expect_made(live.read_frames(11), 5'000, 5'010);
  expect_made(ahead.read_frames(11), 5'000, 5'010);

  const Outcome begun = run_standpipe(
      {"epoch", "new", "--data", archive().string(), "--stream", "repos", "--reason", "a test"});
  ASSERT_EQ(begun.status, 0) << begun.err;
  EXPECT_EQ(live.next(), Received(TcpEnd{}));
  EXPECT_EQ(ahead.next(), Received(TcpEnd{}));
  Received end;
  const std::vector<Bytes> rest = replayed.read_to_end(&end);
  EXPECT_EQ(end, Received(TcpEnd{}));
  for (std::size_t i = 0; i < rest.size() && i < 1'999; ++i) {
    ASSERT_EQ(rest[i], make_frame(2 + static_cast<std::int64_t>(i)));
  }

  Subscriber again = subscribe("?cursor=0");
  expect_made(again.read_frames(11), 5'000, 5'010);
  Subscriber old = subscribe_at("/stream/repos/epoch/1" + repos("?cursor=1990"));
  expect_made(old.read_frames(10), 1'991, 2'000);
}

}  // namespace
}  // namespace standpipe::test
