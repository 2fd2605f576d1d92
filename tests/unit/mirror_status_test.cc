#include "tools/mirror_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace standpipe::tools {
namespace {

using archiver::StreamState;
using archiver::StreamStatus;
using nlohmann::json;
using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr std::int64_t kNowMs = 1'783'175'887'000;

StreamStatus stream(std::string name, std::int64_t newest, StreamState state) {
  StreamStatus status;
  status.name = std::move(name);
  status.url = "wss://relay.example/xrpc/com.atproto.sync.subscribeRepos";
  status.state = state;
  status.epoch = storage::EpochNumber{1};
  status.newest = Seq{newest};
  return status;
}

MirrorSample sample(std::int64_t now_ms = kNowMs) {
  MirrorSample now;
  now.now_ms = now_ms;
  now.streams = {stream("repos", 26'653'242'499, StreamState::live)};
  now.streams[0].event_time_ms = now_ms - 400;
  now.raw_bytes = 3 << 20;
  now.archive.stored_bytes = 1 << 20;
  now.archive.log_bytes = 1 << 19;
  return now;
}

TEST(MirrorStatus, TheFirstLineHasNoRates) {
  EXPECT_EQ(MirrorStatus().line(sample()),
            "repos 26,653,242,499, live, 0.4 s old, 0 frames/s, 0 B/s | raw 3.0 MiB, stored 1.5 "
            "MiB");
}

TEST(MirrorStatus, RatesAreOfTheTimeSinceTheLineBefore) {
  MirrorStatus status;
  MirrorSample before = sample();
  before.streams[0].frames = 1'000;
  before.streams[0].bytes = 1 << 20;
  before.server.emplace();
  before.server->bytes_sent = 1'000;
  status.line(before);
  MirrorSample now = sample(kNowMs + 2'000);
  now.streams[0].frames = 1'684;
  now.streams[0].bytes = 5 << 20;
  now.server.emplace();
  now.server->subscribers = 12;
  now.server->live = 10;
  now.server->bytes_sent = 1'000 + (6 << 20);
  EXPECT_EQ(status.line(now),
            "repos 26,653,242,499, live, 0.4 s old, 342 frames/s, 2.0 MiB/s | 12 subscribers, 10 "
            "live, 3.0 MiB/s | raw 3.0 MiB, stored 1.5 MiB");
}

// An hour behind, and eleven seconds of the stream come in one: ten of them are gained.
TEST(MirrorStatus, CatchingUpSaysWhenItWillHaveCaughtUp) {
  MirrorStatus status;
  MirrorSample before = sample();
  before.streams[0].state = StreamState::catching_up;
  before.streams[0].event_time_ms = kNowMs - 3'610'000;
  status.line(before);
  MirrorSample now = before;
  now.now_ms = kNowMs + 1'000;
  now.streams[0].event_time_ms = kNowMs + 1'000 - 3'600'000;
  EXPECT_THAT(status.line(now),
              HasSubstr("catching_up, 60 min old, caught up in 6 min, 0 frames/s"));
  // No faster than time passes, it never will have.
  MirrorSample later = now;
  later.now_ms += 1'000;
  *later.streams[0].event_time_ms += 1'000;
  EXPECT_THAT(status.line(later), HasSubstr("catching_up, 60 min old, 0 frames/s"));
}

TEST(MirrorStatus, AgesAreRough) {
  const auto age = [](std::int64_t ms) {
    MirrorSample now = sample();
    now.streams[0].event_time_ms = kNowMs - ms;
    const std::string line = MirrorStatus().line(now);
    const std::size_t begin = line.find("live, ") + 6;
    return line.substr(begin, line.find(" old") - begin);
  };
  EXPECT_EQ(age(-5'000), "0.0 s");  // an event of the future
  EXPECT_EQ(age(9'940), "9.9 s");
  EXPECT_EQ(age(35'000), "35 s");
  EXPECT_EQ(age(720'000), "12 min");
  EXPECT_EQ(age(12'600'000), "3.5 h");
  EXPECT_EQ(age(432'000'000), "5.0 days");
}

TEST(MirrorStatus, ThreeStreamsAreShownAndTheOthersCounted) {
  MirrorSample now = sample();
  for (const char* name : {"a", "b", "c", "d"}) {
    now.streams.push_back(stream(name, 5, StreamState::down));
  }
  EXPECT_THAT(MirrorStatus().line(now),
              HasSubstr("b 5, down, 0 frames/s, 0 B/s | 2 more streams | raw "));
}

TEST(MirrorStatus, ASickArchiveIsSaidInOneLine) {
  MirrorSample now = sample();
  now.archive.health = storage::Health::disk_full;
  now.archive.health_detail = "999 bytes are free,\n1000 are wanted";
  EXPECT_THAT(MirrorStatus().line(now),
              EndsWith(" | disk_full: 999 bytes are free, 1000 are wanted"));
  now.archive.health = storage::Health::read_only;
  EXPECT_THAT(MirrorStatus().line(now), EndsWith("stored 1.5 MiB"));
}

TEST(MirrorStatus, JsonHasEveryCount) {
  MirrorSample now = sample();
  StreamStatus& one = now.streams[0];
  one.last_error = "HTTP 503\xff (http_status)";
  one.event_time_ms.reset();
  one.connections = 3;
  one.dials_failed = 4;
  one.frames = 100;
  one.text = 5;
  one.oversize = 6;
  one.bytes = 7'000;
  one.accepted = 80;
  one.duplicates = 8;
  one.conflicts = 2;
  one.late = 1;
  one.noted = 3;
  one.refused = 9;
  one.quarantined = 17;
  one.kept_aside = {{Unarchivable::too_large, 6}, {Unarchivable::conflict, 2}};
  one.gaps = 10;
  one.commits = 11;
  one.queue_bytes = 12;
  one.queue_bytes_max = 13;
  const std::string text = MirrorStatus().json(now);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  const json expected{
      {"name", "repos"},
      {"url", "wss://relay.example/xrpc/com.atproto.sync.subscribeRepos"},
      {"state", "live"},
      {"last_error", "HTTP 503\xEF\xBF\xBD (http_status)"},  // what is no UTF-8 is replaced
      {"epoch", 1},
      {"newest", 26'653'242'499},
      {"behind_s", nullptr},
      {"caught_up_in_s", nullptr},
      {"frames_per_s", 0.0},
      {"bytes_per_s", 0.0},
      {"connections", 3},
      {"dials_failed", 4},
      {"frames", 100},
      {"bytes", 7'000},
      {"text", 5},
      {"oversize", 6},
      {"accepted", 80},
      {"duplicates", 8},
      {"conflicts", 2},
      {"late", 1},
      {"noted", 3},
      {"refused", 9},
      {"quarantined", 17},
      {"kept_aside", {{"too_large", 6}, {"conflict", 2}}},
      {"gaps", 10},
      {"commits", 11},
      {"queue_bytes", 12},
      {"queue_bytes_max", 13},
      {"verify", nullptr}};
  const json shown = json::parse(text);
  EXPECT_EQ(shown["streams"], json::array({expected}));
  EXPECT_EQ(shown["time_ms"], kNowMs);
  EXPECT_EQ(shown["health"], "ok");
  EXPECT_EQ(shown["raw_bytes"], 3 << 20);
  EXPECT_EQ(shown["stored_bytes"], 1 << 20);
  EXPECT_EQ(shown["log_bytes"], 1 << 19);
  EXPECT_FALSE(shown.contains("server"));
}

TEST(MirrorStatus, WhatIsVerifiedAtIngestIsCounted) {
  MirrorSample now = sample();
  archiver::IngestCheckStats& check = now.streams[0].check;
  check.verify = archiver::VerifyIngest::full;
  check.checked = Seq{26'653'242'400};
  check.frames = 90;
  check.invalid = 1'002;
  check.by_finding = {{"block_hash_wrong", 2}, {"rev_not_rising", 1'001}};
  check.signatures.valid = 5;
  check.signatures.wrong = 6;
  check.signatures.no_document = 7;
  check.missed = 3;
  check.repos_forgotten = 8;
  check.error = "corrupt: a group";
  const json expected{{"depth", "full"},
                      {"checked", 26'653'242'400},
                      {"frames", 90},
                      {"invalid", 1'002},
                      {"findings_by_kind", {{"block_hash_wrong", 2}, {"rev_not_rising", 1'001}}},
                      {"signatures", {{"valid", 5}, {"wrong", 6}, {"unchecked", 7}}},
                      {"missed", 3},
                      {"repos_forgotten", 8},
                      {"error", "corrupt: a group"}};
  EXPECT_EQ(json::parse(MirrorStatus().json(now))["streams"][0]["verify"], expected);
  EXPECT_NE(MirrorStatus().line(now).find(" | 1,002 invalid | "), std::string::npos);
}

TEST(MirrorStatus, JsonOfAServerCountsWhyConnectionsEnded) {
  MirrorSample now = sample();
  now.server.emplace();
  now.server->connections = 7;
  now.server->subscribers = 5;
  now.server->ended[static_cast<std::size_t>(replay::EndReason::too_slow)] = 2;
  const json server = json::parse(MirrorStatus().json(now))["server"];
  EXPECT_EQ(server["connections"], 7);
  EXPECT_EQ(server["subscribers"], 5);
  EXPECT_EQ(server["ended"].size(), 11U);
  EXPECT_EQ(server["ended"]["too_slow"], 2);
  EXPECT_EQ(server["ended"]["shutdown"], 0);
}

}  // namespace
}  // namespace standpipe::tools
