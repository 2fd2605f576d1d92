#include "tools/status_feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace standpipe::tools {
namespace {

using archiver::StreamState;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kNowMs = 1'783'175'887'000;

MetricsSample given_sample(std::int64_t now_ms = kNowMs) {
  MetricsSample sample;
  sample.version = "1.2.3";
  sample.mirror.now_ms = now_ms;
  sample.mirror.streams.resize(1);
  sample.mirror.streams[0].name = "repos";
  sample.mirror.streams[0].state = StreamState::live;
  sample.mirror.streams[0].url = "wss://relay.example";
  sample.mirror.streams[0].last_error = "198.51.100.7 refused did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
  sample.mirror.server.emplace();
  sample.streams.resize(1);
  sample.streams[0].id = storage::StreamId{1};
  sample.streams[0].spec.name = "repos";
  sample.streams[0].epochs.resize(1);
  sample.streams[0].epochs[0].number = storage::EpochNumber{1};
  sample.streams[0].epochs[0].newest = Seq{90};
  sample.partitions.resize(1);
  sample.partitions[0].stream = storage::StreamId{1};
  sample.partitions[0].epoch = storage::EpochNumber{1};
  sample.partitions[0].state = storage::PartitionState::open;
  sample.partitions[0].first = Seq{11};
  sample.partitions[0].clock_first_ms = 5'000;
  sample.health.streams.resize(1);
  sample.health.streams[0].name = "repos";
  sample.health.streams[0].received_age_s = 0.5;
  return sample;
}

StatusFeed given_feed() {
  return StatusFeed([](const storage::StreamInfo&) { return std::vector<storage::Gap>(); });
}

json full_of(StatusFeed& feed, const MetricsSample& sample) {
  return json::parse(feed.next(sample).full);
}

TEST(RateHistory, ASecondIsARateAndAMinuteTheirMean) {
  RateHistory history;
  EXPECT_FALSE(history.add(0, 100));
  EXPECT_FALSE(history.add(1'000, 150));
  EXPECT_FALSE(history.add(3'000, 250));
  EXPECT_THAT(history.seconds(), ElementsAre(std::nullopt, 50.0, 50.0));
  EXPECT_TRUE(history.minutes().empty());
  EXPECT_TRUE(history.add(60'000, 6'100));
  EXPECT_THAT(history.minutes(), ElementsAre(100.0));
}

// The process stood still, or began anew: a rate would be of something else.
TEST(RateHistory, WhatWasNotSeenIsNotKnown) {
  RateHistory history;
  history.add(0, 100);
  history.add(10'000, 200);
  history.add(11'000, 50);
  history.add(10'500, 60);
  EXPECT_THAT(history.seconds(),
              ElementsAre(std::nullopt, std::nullopt, std::nullopt, std::nullopt));
}

TEST(RateHistory, IsBounded) {
  RateHistory history;
  for (std::int64_t second = 0; second < 90'000; ++second) {
    history.add(second * 1'000, static_cast<std::uint64_t>(second));
  }
  EXPECT_EQ(history.seconds().size(), 600U);
  EXPECT_EQ(history.minutes().size(), 1'440U);
  EXPECT_EQ(history.minutes().front(), 1.0);
}

TEST(StatusFeed, TellsWhatIsHeldAndHowFastItGrows) {
  StatusFeed feed = given_feed();
  MetricsSample sample = given_sample();
  sample.mirror.streams[0].accepted = 100;
  sample.mirror.server->bytes_sent = 1'000;
  feed.next(sample);
  sample = given_sample(kNowMs + 2'000);
  sample.mirror.streams[0].accepted = 784;
  sample.mirror.server->bytes_sent = 5'000;
  sample.mirror.server->subscribers = 3;
  sample.mirror.server->live = 2;
  const auto texts = feed.next(sample);
  const json full = json::parse(texts.full);
  const json& stream = full["streams"][0];
  EXPECT_EQ(stream["rate"], 342.0);
  EXPECT_EQ(stream["seconds"], json::array({nullptr, 342.0}));
  EXPECT_EQ(stream["oldest"], 11);
  EXPECT_EQ(stream["oldest_ms"], 5'000);
  EXPECT_EQ(stream["newest"], 90);
  EXPECT_EQ(stream["upstream"], "live");
  EXPECT_EQ(stream["is_stale"], false);
  EXPECT_EQ(stream["path"], "/xrpc/com.atproto.sync.subscribeRepos");
  EXPECT_EQ(full["subscribers"]["total"], 3);
  EXPECT_EQ(full["subscribers"]["bytes_rate"], 2'000.0);
  EXPECT_EQ(full["up_s"], 2.0);
  const json tick = json::parse(texts.tick);
  EXPECT_EQ(tick["streams"][0]["rate"], 342.0);
  EXPECT_FALSE(tick["streams"][0].contains("seconds"));
  for (const std::string& text : {texts.full, texts.tick}) {
    EXPECT_EQ(text.find('\n'), std::string::npos);
    EXPECT_THAT(text, Not(HasSubstr("did:")));
    EXPECT_THAT(text, Not(HasSubstr("198.51.100.7")));
    EXPECT_THAT(text, Not(HasSubstr("relay.example")));
  }
}

TEST(StatusFeed, AnUpstreamThatIsDownOrSilentIsStale) {
  StatusFeed feed = given_feed();
  const auto is_stale = [&](StreamState state, double age_s, storage::StreamKind kind) {
    MetricsSample sample = given_sample();
    sample.mirror.streams[0].state = state;
    sample.health.streams[0].received_age_s = age_s;
    sample.streams[0].spec.kind = kind;
    return full_of(feed, sample)["streams"][0]["is_stale"].get<bool>();
  };
  const auto repos = storage::StreamKind::repos;
  EXPECT_FALSE(is_stale(StreamState::live, 29, repos));
  EXPECT_TRUE(is_stale(StreamState::live, 31, repos));
  EXPECT_FALSE(is_stale(StreamState::catching_up, 1, repos));
  for (const StreamState state : {StreamState::down, StreamState::upstream_reset,
                                  StreamState::disk_full, StreamState::failed}) {
    EXPECT_TRUE(is_stale(state, 0, repos)) << archiver::to_string(state);
  }
  // A labeler may have nothing to say.
  EXPECT_FALSE(is_stale(StreamState::live, 3'600, storage::StreamKind::labels));
}

TEST(StatusFeed, GapsAreReadWhenTheyChangeAndTheWidestAreDrawn) {
  int reads = 0;
  StatusFeed feed([&](const storage::StreamInfo&) {
    ++reads;
    std::vector<storage::Gap> gaps;
    for (std::int64_t i = 0; i < 300; ++i) {
      const std::int64_t after = i * 1'000;
      gaps.push_back({Seq{after}, Seq{after + 2 + i}, storage::GapReason::outage, 0, ""});
    }
    return gaps;
  });
  MetricsSample sample = given_sample();
  sample.streams[0].epochs[0].gaps.of(storage::GapReason::outage) = {300, 45'150};
  sample.streams[0].epochs[0].gaps.of(storage::GapReason::retention) = {1, 10};
  feed.next(sample);
  const json stream = full_of(feed, sample)["streams"][0];
  EXPECT_EQ(reads, 1);
  EXPECT_EQ(stream["gaps"].size(), 100U);
  EXPECT_EQ(stream["gaps"][0]["after"], 200'000);
  EXPECT_EQ(stream["gaps"][99]["before"], 299'301);
  EXPECT_EQ(stream["gaps"][99]["reason"], "outage");
  EXPECT_EQ(stream["gap_seqs"], 45'150);  // without what retention took
  sample.streams[0].epochs[0].gaps.of(storage::GapReason::outage).gaps = 301;
  feed.next(sample);
  EXPECT_EQ(reads, 2);
}

}  // namespace
}  // namespace standpipe::tools
