#include "tools/mirror_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace standpipe::tools {
namespace {

using storage::StreamKind;
using ::testing::HasSubstr;

// "name kind url", or the error.
std::string parsed(std::string_view text, StreamKind kind = StreamKind::repos) {
  const auto spec = parse_stream_option(text, kind);
  if (!spec) return spec.error().detail;
  return spec->name + " " + std::string(to_string(spec->kind)) + " " + spec->url;
}

TEST(StreamOption, WithoutANameARelayIsReposAndALabelerIsItsHost) {
  EXPECT_EQ(parsed("bsky.network"),
            "repos repos wss://bsky.network/xrpc/com.atproto.sync.subscribeRepos");
  EXPECT_EQ(parsed("Mod.Bsky.App", StreamKind::labels),
            "mod.bsky.app labels wss://mod.bsky.app/xrpc/com.atproto.label.subscribeLabels");
  EXPECT_EQ(parsed("ws://127.0.0.1:2583", StreamKind::labels),
            "127.0.0.1 labels ws://127.0.0.1:2583/xrpc/com.atproto.label.subscribeLabels");
}

TEST(StreamOption, WhatStandsBeforeTheEqualsSignIsTheName) {
  EXPECT_EQ(parsed("west=relay1.us-west.bsky.network"),
            "west repos wss://relay1.us-west.bsky.network/xrpc/com.atproto.sync.subscribeRepos");
  EXPECT_EQ(parsed("a_1.b-2=ws://[::1]:2583/xrpc", StreamKind::labels),
            "a_1.b-2 labels ws://[::1]:2583/xrpc/com.atproto.label.subscribeLabels");
}

TEST(StreamOption, SimulatedNetworksAreNamedLikeOthers) {
  EXPECT_EQ(parsed("sim:seed=7"), "repos repos sim:seed=7");
  EXPECT_EQ(parsed("sim:seed=7", StreamKind::labels), "labels labels sim:seed=7");
  EXPECT_EQ(parsed("west=sim:seed=7"), "west repos sim:seed=7");
  EXPECT_THAT(parsed("West=sim:seed=7"), HasSubstr("stream name 'West'"));
  EXPECT_THAT(parsed("sim:seed=x"), HasSubstr("seed: "));
}

TEST(StreamOption, EveryWayToWriteAnEndpointIsOneUrl) {
  const std::string url = "repos repos wss://host.example/xrpc/com.atproto.sync.subscribeRepos";
  for (const char* text :
       {"host.example", "HOST.example:443", "https://host.example", "wss://host.example/xrpc",
        "wss://host.example/xrpc/", "wss://host.example/xrpc/com.atproto.sync.subscribeRepos"}) {
    EXPECT_EQ(parsed(text), url) << text;
  }
}

TEST(StreamOption, RefusesWhatIsNoNameOrNoUrlAndSaysWhatIs) {
  EXPECT_EQ(parsed("=bsky.network"), "wanted [NAME=]URL, and the name is empty");
  EXPECT_EQ(parsed("My Relay=bsky.network"),
            "stream name 'My Relay': 1 to 64 of a-z, 0-9, '.', '_' and '-', and a letter or digit "
            "first");
  EXPECT_THAT(parsed(std::string(65, 'a') + "=bsky.network"), HasSubstr("1 to 64 of a-z"));
  EXPECT_THAT(parsed("-a=bsky.network"), HasSubstr("a letter or digit first"));
  // An address of colons is no name: it needs one.
  EXPECT_THAT(parsed("ws://[::1]:1", StreamKind::labels), HasSubstr("stream name '::1'"));
  EXPECT_THAT(parsed("gopher://host.example"), HasSubstr("none of wss, ws, https and http"));
  EXPECT_THAT(parsed("a="), HasSubstr("what is allowed"));
  EXPECT_THAT(parsed(""), HasSubstr("what is allowed"));
  EXPECT_THAT(parsed("wss://host.example/xrpc/com.atproto.label.subscribeLabels"),
              HasSubstr("what is allowed"));
  for (const char* text : {"=bsky.network", "A=bsky.network", "ftp://x"}) {
    EXPECT_EQ(parse_stream_option(text, StreamKind::repos).error().code, Errc::invalid) << text;
  }
}

}  // namespace
}  // namespace standpipe::tools
