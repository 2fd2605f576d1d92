#include "archiver/firehose/upstream_url.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/archive_fixture.h"

namespace standpipe::firehose {
namespace {

constexpr auto kRepos = UpstreamKind::repos;
constexpr auto kLabels = UpstreamKind::labels;

struct Accepted {
  const char* text;
  UpstreamKind kind;
  const char* whole;  // to_string()
};

const Accepted kAccepted[] = {
    {"bsky.network", kRepos, "wss://bsky.network/xrpc/com.atproto.sync.subscribeRepos"},
    {"BSKY.Network", kRepos, "wss://bsky.network/xrpc/com.atproto.sync.subscribeRepos"},
    {"bsky.network/", kRepos, "wss://bsky.network/xrpc/com.atproto.sync.subscribeRepos"},
    {"bsky.network:443", kRepos, "wss://bsky.network/xrpc/com.atproto.sync.subscribeRepos"},
    {"127.0.0.1:2480", kRepos, "wss://127.0.0.1:2480/xrpc/com.atproto.sync.subscribeRepos"},
    {"localhost", kRepos, "wss://localhost/xrpc/com.atproto.sync.subscribeRepos"},
    {"[::1]:80", kRepos, "wss://[::1]:80/xrpc/com.atproto.sync.subscribeRepos"},
    {"[2001:DB8::1]", kRepos, "wss://[2001:db8::1]/xrpc/com.atproto.sync.subscribeRepos"},
    {"ws://127.0.0.1:2480", kRepos, "ws://127.0.0.1:2480/xrpc/com.atproto.sync.subscribeRepos"},
    {"ws://127.0.0.1:80", kRepos, "ws://127.0.0.1/xrpc/com.atproto.sync.subscribeRepos"},
    {"ws://127.0.0.1:443", kRepos, "ws://127.0.0.1:443/xrpc/com.atproto.sync.subscribeRepos"},
    {"http://a.example", kRepos, "ws://a.example/xrpc/com.atproto.sync.subscribeRepos"},
    {"HTTPS://a.example", kRepos, "wss://a.example/xrpc/com.atproto.sync.subscribeRepos"},
    {"wss://a.example/xrpc", kRepos, "wss://a.example/xrpc/com.atproto.sync.subscribeRepos"},
    {"wss://a.example/xrpc/", kRepos, "wss://a.example/xrpc/com.atproto.sync.subscribeRepos"},
    {"a.example/xrpc", kRepos, "wss://a.example/xrpc/com.atproto.sync.subscribeRepos"},
    {"wss://a.example/xrpc/com.atproto.sync.subscribeRepos", kRepos,
     "wss://a.example/xrpc/com.atproto.sync.subscribeRepos"},
    {"wss://a.example/stream/repos", kRepos,
     "wss://a.example/stream/repos/xrpc/com.atproto.sync.subscribeRepos"},
    {"wss://a.example/stream/repos/epoch/1/xrpc", kRepos,
     "wss://a.example/stream/repos/epoch/1/xrpc/com.atproto.sync.subscribeRepos"},
    {"mod.bsky.app", kLabels, "wss://mod.bsky.app/xrpc/com.atproto.label.subscribeLabels"},
    {"wss://a.example/xrpc/com.atproto.label.subscribeLabels", kLabels,
     "wss://a.example/xrpc/com.atproto.label.subscribeLabels"},
};

TEST(UpstreamUrl, EveryWayOfWritingItGivesOneUrl) {
  for (const Accepted& accepted : kAccepted) {
    const Result<UpstreamUrl> url = parse_upstream_url(accepted.text, accepted.kind);
    ASSERT_EQ(test::error_text(url), "") << accepted.text;
    EXPECT_EQ(to_string(*url), accepted.whole) << accepted.text;
    const Result<UpstreamUrl> again = parse_upstream_url(to_string(*url), accepted.kind);
    ASSERT_EQ(test::error_text(again), "") << accepted.text;
    EXPECT_TRUE(*again == *url) << accepted.text;
  }
}

struct Refused {
  const char* text;
  const char* why;
};

const Refused kRefused[] = {
    {"", "it is empty"},
    {"ftp://a.example", "none of wss, ws, https and http"},
    {"sim:", "its port is not a number"},
    {"ws://", "it has no host"},
    {"wss:///xrpc", "it has no host"},
    {"wss://user@a.example", "it has a user name"},
    {"wss://user:secret@a.example", "it has a user name"},
    {"a.example?cursor=5", "it has a query"},
    {"wss://a.example/xrpc?", "it has a query"},
    {"wss://a.example/#top", "it has a fragment"},
    {"a.example:0", "its port is not a number from 1 to 65535"},
    {"a.example:65536", "its port is not a number from 1 to 65535"},
    {"a.example:", "its port is not a number from 1 to 65535"},
    {"a.example:-1", "its port is not a number from 1 to 65535"},
    {"a.example:80x", "its port is not a number from 1 to 65535"},
    {"[::1", "its '[' has no ']'"},
    {"[localhost]", "no IPv6 address"},
    {"[::1]80", "its port is not a number"},
    {"[fe80::1%eth0]", "no IPv6 address"},
    {"-a.example", "its host is not made of"},
    {"a example", "a character that no URL has"},
    {"a.example/\x7f", "a character that no URL has"},
    {"b\xc3\xbc"
     "cher.example",
     "a character that no URL has"},
    {"wss://a.example/xrpc/com.atproto.label.subscribeLabels",
     "asks for com.atproto.label.subscribeLabels, but the endpoint of a stream of kind repos is "
     "com.atproto.sync.subscribeRepos"},
    {"wss://a.example/xrpc/com.atproto.sync.subscribeRepos/more", "its path asks for"},
};

TEST(UpstreamUrl, WhateverIsNoneIsRefusedWithTheReason) {
  for (const Refused& refused : kRefused) {
    const Result<UpstreamUrl> url = parse_upstream_url(refused.text, kRepos);
    ASSERT_FALSE(url) << refused.text;
    EXPECT_EQ(url.error().code, Errc::invalid);
    EXPECT_NE(url.error().detail.find(refused.why), std::string::npos) << url.error().detail;
    EXPECT_NE(url.error().detail.find("what is allowed is"), std::string::npos);
  }
  EXPECT_FALSE(parse_upstream_url("a.example/" + std::string(2039, 'a'), kRepos));
  EXPECT_TRUE(parse_upstream_url("a.example/" + std::string(2038, 'a'), kRepos));
}

TEST(UpstreamUrl, TheRequestNamesHostAndCursor) {
  const UpstreamUrl url = parse_upstream_url("ws://[::1]:2480/stream/x", kLabels).value();
  EXPECT_FALSE(url.is_tls);
  EXPECT_EQ(url.host, "::1");
  EXPECT_EQ(url.port, 2480);
  EXPECT_EQ(host_header(url), "[::1]:2480");
  EXPECT_EQ(target(url, std::nullopt), "/stream/x/xrpc/com.atproto.label.subscribeLabels");
  EXPECT_EQ(target(url, Seq{0}), "/stream/x/xrpc/com.atproto.label.subscribeLabels?cursor=0");
  EXPECT_EQ(target(url, kSeqMax),
            "/stream/x/xrpc/com.atproto.label.subscribeLabels?cursor=9007199254740991");
  EXPECT_EQ(host_header(parse_upstream_url("A.example", kRepos).value()), "a.example");
}

struct Redirected {
  const char* location;
  const char* request;  // scheme, host and target with cursor 7; empty: refused
};

// From wss://a.example/xrpc/com.atproto.sync.subscribeRepos.
const Redirected kRedirected[] = {
    {"wss://b.example/xrpc/com.atproto.sync.subscribeRepos?cursor=7",
     "wss b.example /xrpc/com.atproto.sync.subscribeRepos?cursor=7"},
    {"https://b.example/elsewhere", "wss b.example /elsewhere?cursor=7"},
    {"https://b.example", "wss b.example /?cursor=7"},
    {"https://b.example?x=1", "wss b.example /?x=1&cursor=7"},
    {"//b.example:8443/x", "wss b.example:8443 /x?cursor=7"},
    {"/other?cursor=99&token=a%20b", "wss a.example /other?token=a%20b&cursor=7"},
    {"/other#part", "wss a.example /other?cursor=7"},
    {"?token=t", "wss a.example /xrpc/com.atproto.sync.subscribeRepos?token=t&cursor=7"},
    {"sibling", "wss a.example /xrpc/sibling?cursor=7"},
    {"/login?next=https://c.example/", "wss a.example /login?next=https://c.example/&cursor=7"},
    {"ws://a.example/x", ""},
    {"http://a.example/x", ""},
    {"ftp://a.example/x", ""},
    {"https://user@b.example/", ""},
    {"https://b.example\r\nX: y", ""},
    {"", ""},
};

TEST(UpstreamUrl, ARedirectIsFollowedWithOurCursorAndNeverOutOfTls) {
  const UpstreamUrl from = parse_upstream_url("a.example", kRepos).value();
  for (const Redirected& redirected : kRedirected) {
    const Result<UpstreamUrl> url = redirect_url(from, redirected.location);
    const std::string request = url ? std::string(url->is_tls ? "wss " : "ws ") +
                                          host_header(*url) + " " + target(*url, Seq{7})
                                    : "";
    EXPECT_EQ(request, redirected.request) << redirected.location;
  }
}

TEST(UpstreamUrl, ARedirectMayLeadIntoTls) {
  const UpstreamUrl from = parse_upstream_url("ws://a.example:8080", kRepos).value();
  EXPECT_EQ(to_string(redirect_url(from, "wss://a.example/x").value()), "wss://a.example/x");
  EXPECT_EQ(to_string(redirect_url(from, "/x").value()), "ws://a.example:8080/x");
}

}  // namespace
}  // namespace standpipe::firehose
