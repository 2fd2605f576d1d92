#include "tools/admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/http_exchange.h"
#include "tests/support/temp_dir.h"

namespace standpipe::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kToken = "0123456789abcdef-token";

AdminPages given_pages() {
  AdminPages pages;
  pages.metrics = [] { return std::string("a_total 1\n"); };
  pages.health = [] {
    replay::HealthReport report;
    report.streams.resize(1);
    report.streams[0].name = "repos";
    report.streams[0].event_age_s = 30;
    return report;
  };
  return pages;
}

HttpRequest get(std::string target, HttpFields fields = {}) {
  HttpRequest request;
  request.target = std::move(target);
  request.fields = std::move(fields);
  return request;
}

int status_of(const HttpRequest& request, std::string_view token = "") {
  return answer_admin(given_pages(), token, request).status;
}

HttpFields with(std::string HttpFields::*member, std::string value) {
  HttpFields fields;
  fields.*member = std::move(value);
  return fields;
}

std::uint16_t port_of(const AdminServer& server) {
  const std::string& address = server.address();
  return static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
}

TEST(Admin, GivesMetricsAndHealth) {
  const HttpAnswer metrics = answer_admin(given_pages(), "", get("/metrics"));
  EXPECT_EQ(metrics.status, 200);
  EXPECT_EQ(metrics.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(metrics.body, "a_total 1\n");
  const HttpAnswer health = answer_admin(given_pages(), "", get("/healthz"));
  EXPECT_EQ(health.status, 200);
  EXPECT_THAT(health.body, HasSubstr("\"status\":\"ok\""));
  EXPECT_EQ(status_of(get("/healthz?max_lag=29")), 503);
  EXPECT_EQ(status_of(get("/healthz?max_lag=31")), 200);
  EXPECT_EQ(status_of(get("/healthz?max_lag=x")), 400);
  EXPECT_EQ(status_of(get("/")), 404);
  EXPECT_EQ(status_of(get("/metrics/")), 404);
  HttpRequest post = get("/metrics");
  post.method = "POST";
  EXPECT_EQ(status_of(post), 405);
}

TEST(Admin, RefusesWhatAPageOfAnotherOriginAsks) {
  for (const char* origin : {"https://evil.example", "null", "http://127.0.0.1:2481"}) {
    EXPECT_EQ(status_of(get("/metrics", with(&HttpFields::origin, origin))), 403) << origin;
  }
  for (const char* site : {"cross-site", "same-site", "else"}) {
    EXPECT_EQ(status_of(get("/metrics", with(&HttpFields::sec_fetch_site, site))), 403) << site;
  }
  for (const char* site : {"none", "same-origin"}) {
    EXPECT_EQ(status_of(get("/metrics", with(&HttpFields::sec_fetch_site, site))), 200) << site;
  }
  // A token does not help such a page.
  HttpFields fields = with(&HttpFields::origin, "https://evil.example");
  fields.authorization = "Bearer " + std::string(kToken);
  EXPECT_EQ(status_of(get("/metrics", fields), kToken), 403);
}

// A host name that was made to lead to this machine is the origin of the page that asks.
TEST(Admin, IsAskedByAddressWhereNoTokenIsAskedFor) {
  for (const char* host : {"127.0.0.1:2481", "127.0.0.1", "[::1]:2481", "localhost:2481", ""}) {
    EXPECT_EQ(status_of(get("/metrics", with(&HttpFields::host, host))), 200) << host;
  }
  for (const char* host : {"evil.example:2481", "evil.example", "localhost.evil.example"}) {
    EXPECT_EQ(status_of(get("/metrics", with(&HttpFields::host, host))), 403) << host;
  }
  HttpFields fields = with(&HttpFields::host, "mirror.example");
  fields.authorization = "Bearer " + std::string(kToken);
  EXPECT_EQ(status_of(get("/metrics", fields), kToken), 200);
}

TEST(Admin, WithATokenOnlyWhoKnowsItIsAnswered) {
  const std::string token = kToken;
  const auto asked_with = [&](const std::string& authorization) {
    return status_of(get("/metrics", with(&HttpFields::authorization, authorization)), token);
  };
  EXPECT_EQ(asked_with("Bearer " + token), 200);
  EXPECT_EQ(asked_with("bearer " + token), 200);
  for (const std::string& wrong : std::vector<std::string>{
           "", token, "Bearer", "Bearer ", "Bearer x" + token, "Bearer " + token + "x",
           "Bearer " + token.substr(1), "Basic " + token}) {
    EXPECT_EQ(asked_with(wrong), 401) << wrong;
  }
  const HttpAnswer refused = answer_admin(given_pages(), token, get("/healthz"));
  EXPECT_EQ(refused.status, 401);
  EXPECT_THAT(refused.body, Not(HasSubstr(token)));
}

TEST(Admin, ATokenIsReadFromAFileAndNotShownInErrors) {
  const test::TempDir dir;
  const std::string path = dir / "token";
  const auto read = [&](const std::string& text) {
    std::ofstream(path, std::ios::trunc) << text;
    return read_token_file(path);
  };
  EXPECT_EQ(read(std::string(" ") + kToken + "\r\n").value(), kToken);
  EXPECT_EQ(read(std::string(4096, 'x')).value(), std::string(4096, 'x'));
  for (const std::string& text :
       std::vector<std::string>{"", "short-secret!!!", "two words-that-are-secret",
                                "secret-secret-secret\xC3\xA4", std::string(4097, 's')}) {
    const auto refused = read(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_THAT(refused.error().detail, Not(HasSubstr("secret")));
  }
  EXPECT_EQ(read_token_file(dir / "none").error().code, Errc::io);
}

TEST(Admin, BeyondLoopbackItDoesNotStartWithoutAToken) {
  for (const char* address : {"0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:127.0.0.1]:0"}) {
    const auto refused = check_admin_options({address, ""});
    ASSERT_FALSE(refused) << address;
    EXPECT_EQ(refused.error().code, Errc::invalid);
    EXPECT_THAT(refused.error().detail, HasSubstr("--admin-token-file"));
    EXPECT_TRUE(check_admin_options({address, kToken})) << address;
  }
  for (const char* address : {"127.0.0.1:0", "127.9.9.9:0", "[::1]:0"}) {
    EXPECT_TRUE(check_admin_options({address, ""})) << address;
  }
  EXPECT_EQ(check_admin_options({"localhost", ""}).error().code, Errc::invalid);
}

TEST(Admin, AnAddressThatIsTakenIsSaid) {
  const auto first = AdminServer::start({"127.0.0.1:0", ""}, given_pages());
  ASSERT_TRUE(first) << first.error().detail;
  const auto second = AdminServer::start({(*first)->address(), ""}, given_pages());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::io);
  EXPECT_THAT(second.error().detail, HasSubstr((*first)->address()));
  EXPECT_THAT(second.error().detail, HasSubstr("--admin"));
}

TEST(Admin, AnswersOverTcp) {
  const auto server = AdminServer::start({"127.0.0.1:0", kToken}, given_pages());
  ASSERT_TRUE(server) << server.error().detail;
  test::HttpCall call;
  EXPECT_EQ(test::http_get(port_of(**server), "/metrics", call).status, 401);
  call.headers = {{"Authorization", "Bearer " + std::string(kToken)}};
  const test::HttpReply reply = test::http_get(port_of(**server), "/metrics", call);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "a_total 1\n");
  EXPECT_EQ(reply.header("Access-Control-Allow-Origin"), std::nullopt);
  call.headers.emplace_back("Sec-Fetch-Site", "cross-site");
  EXPECT_EQ(test::http_get(port_of(**server), "/metrics", call).status, 403);
  call.headers.pop_back();
  call.method = "HEAD";
  const test::HttpReply head = test::http_get(port_of(**server), "/metrics", call);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Length"), "10");
  EXPECT_EQ(head.body, "");
  call.method = "GET";
  call.headers.emplace_back("X-Long", std::string(9'000, 'x'));
  EXPECT_EQ(test::http_get(port_of(**server), "/metrics", call).status, 413);
}

// More silent connections than it serves: those that were silent longest make room.
TEST(Admin, WhoSaysNothingKeepsNobodyOut) {
  const auto server = AdminServer::start({"127.0.0.1:0", ""}, given_pages());
  ASSERT_TRUE(server) << server.error().detail;
  const test::SubscriberOptions options;
  std::vector<test::NetStream> silent;
  for (int i = 0; i < 100; ++i) {
    silent.push_back(test::connect_stream(port_of(**server), options));
    const std::string half = "GET /metrics HTTP/1.1\r\n";
    if (i % 2 == 0) {
      test::write_all(silent.back(), as_bytes(half), test::deadline_from_now(options.deadline));
    }
  }
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(test::http_get(port_of(**server), "/metrics").status, 200) << i;
  }
}

}  // namespace
}  // namespace standpipe::tools
