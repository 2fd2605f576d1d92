#include "tests/support/subscriber_crowd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>

#include "tests/support/hex.h"
#include "tests/support/upstream_fixture.h"

namespace standpipe::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

CrowdGroup group_of(std::size_t count, bool reads = true) {
  CrowdGroup group;
  group.count = count;
  group.target = target_after(0);
  group.reads = reads;
  return group;
}

std::vector<Bytes> made_frames(std::int64_t first, std::int64_t last) {
  std::vector<Bytes> made;
  for (std::int64_t seq = first; seq <= last; ++seq) made.push_back(make_frame(seq));
  return made;
}

// What the first and only member of a crowd has seen when its connection has ended.
CrowdMember seen_of(const ConnectionPlan& plan) {
  ScriptedUpstream upstream(holding(1, 5));
  upstream.plan_next(plan);
  SubscriberCrowd crowd(upstream.port());
  crowd.add(group_of(1));
  crowd.wait_for_ends();
  return crowd.member(0);
}

TEST(SubscriberCrowd, AllGetAllFramesAndTheSameDigest) {
  ScriptedUpstream upstream(holding(1, 100));
  SubscriberCrowd crowd(upstream.port());
  crowd.add(group_of(150));
  CrowdGroup behind = group_of(50);
  behind.target = target_after(90);
  crowd.add(behind);
  crowd.wait_until_seq(100);
  upstream.append(upstream_frames(101, 120));
  crowd.wait_until_seq(120);
  const std::uint64_t all = crowd_digest(made_frames(1, 120));
  const std::uint64_t tail = crowd_digest(made_frames(91, 120));
  std::uint64_t bytes = 0;
  for (const Bytes& frame : made_frames(1, 120)) bytes += frame.size();
  const std::vector<CrowdMember> members = crowd.members();
  ASSERT_EQ(members.size(), 200U);
  for (std::size_t i = 0; i < members.size(); ++i) {
    EXPECT_EQ(members[i].frames, i < 150 ? 120U : 30U);
    EXPECT_EQ(members[i].first_seq, i < 150 ? 1 : 91);
    EXPECT_EQ(members[i].digest, i < 150 ? all : tail);
    EXPECT_EQ(members[i].end, "");
  }
  EXPECT_EQ(members[0].bytes, bytes);
  EXPECT_EQ(crowd.frames(), 150U * 120 + 50U * 30);
  EXPECT_TRUE(crowd.faults().empty());
}

// The digest of what is on the wire, not of what crowd_digest makes of it.
TEST(SubscriberCrowd, TheDigestIsThatOfTheWireForm) {
  UpstreamOptions options;
  std::vector<Bytes> sent;
  for (const std::size_t size : {0U, 1U, 125U, 126U, 65'535U, 65'536U, 300'000U}) {
    sent.push_back(repeat(std::byte{0xA5}, size));
    options.frames.push_back({static_cast<std::int64_t>(sent.size()), sent.back()});
  }
  const ScriptedUpstream upstream(options);
  SubscriberCrowd crowd(upstream.port());
  crowd.add(group_of(1));
  crowd.wait_for_frames(sent.size());
  EXPECT_EQ(crowd.member(0).digest, crowd_digest(sent));
  EXPECT_EQ(crowd.member(0).frames_without_seq, sent.size());
  sent.pop_back();
  EXPECT_NE(crowd.member(0).digest, crowd_digest(sent));
  // XXH3 of the five bytes 82 03 61 62 63.
  EXPECT_EQ(crowd_digest(std::vector<Bytes>{hex("'abc'")}), std::uint64_t{0x0AACF022CF2B023F});
}

TEST(SubscriberCrowd, SomeDoNotReadUntilTheyAreTold) {
  UpstreamOptions options = holding(1, 1);
  options.frames.push_back({2, make_frame({.seq = 2, .blocks_bytes = 4'000'000})});
  options.frames.push_back({3, make_frame({.seq = 3, .blocks_bytes = 4'000'000})});
  const ScriptedUpstream upstream(options);
  SubscriberCrowd crowd(upstream.port());
  crowd.add(group_of(2));
  CrowdGroup not_reading = group_of(2, false);
  not_reading.receive_buffer = 4096;
  crowd.add(not_reading);
  crowd.wait_until_seq(3);  // of those that read
  EXPECT_EQ(crowd.member(0).frames, 3U);
  EXPECT_LT(crowd.member(2).frames, 3U);
  crowd.set_reading(2, 2, true);
  crowd.wait_until_seq(3);
  EXPECT_EQ(crowd.member(3).digest, crowd.member(0).digest);
}

TEST(SubscriberCrowd, OneThatDoesNotReadIsSeenToEnd) {
  auto upstream = std::make_unique<ScriptedUpstream>(holding(1, 1));
  SubscriberCrowd crowd(upstream->port());
  crowd.add(group_of(3, false));
  upstream.reset();
  crowd.wait_for_ends();
  EXPECT_EQ(crowd.member(2).end, "RST");
}

TEST(SubscriberCrowd, TellsHowEachEnded) {
  EXPECT_EQ(seen_of(ConnectionPlan().close_after(2, 1008, "ConsumerTooSlow")).end,
            "close 1008 ConsumerTooSlow");
  EXPECT_EQ(seen_of(ConnectionPlan().close_after(2)).end, "close");
  EXPECT_EQ(seen_of(ConnectionPlan().cut_after(2)).end, "FIN");
  EXPECT_EQ(seen_of(ConnectionPlan().cut_within(2, 9)).end, "FIN within a frame");
  EXPECT_EQ(seen_of(ConnectionPlan().reset_after(2)).end, "RST");
  EXPECT_EQ(seen_of(ConnectionPlan().cut_after(2)).frames, 2U);
}

TEST(SubscriberCrowd, TellsWhatTheServerDidWrong) {
  EXPECT_EQ(seen_of(ConnectionPlan().repeat(3)).fault, "seq 3 after 3");
  EXPECT_EQ(seen_of(ConnectionPlan().go_back_after(4, 3)).fault, "seq 2 after 4");
  EXPECT_EQ(seen_of(ConnectionPlan().text_after(1, "x")).fault, "a text message");
  EXPECT_EQ(seen_of(ConnectionPlan().fragment(2, 2)).fault, "a message is fragmented");
  EXPECT_EQ(seen_of(ConnectionPlan().raw_after(1, hex("ff ff"))).fault, "a reserved bit is set");
  EXPECT_EQ(seen_of(ConnectionPlan().raw_after(1, hex("8a 00"))).fault, "a pong to no ping");
  EXPECT_EQ(seen_of(ConnectionPlan().oversize_after(1, std::uint64_t{1} << 40)).fault,
            "a message that is too large");
  EXPECT_EQ(seen_of(ConnectionPlan().repeat(3)).end, "left");
}

TEST(SubscriberCrowd, AWaitThatCannotBeFulfilledEndsAtOnce) {
  ScriptedUpstream upstream(holding(1, 5));
  upstream.plan_next(ConnectionPlan().cut_after(2));
  SubscriberCrowd crowd(upstream.port());
  crowd.add(group_of(2));
  try {
    crowd.wait_until_seq(5);
    FAIL() << "one of them has got two frames";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("in vain for seq 5"));
    EXPECT_THAT(error.what(), HasSubstr("0: 2 frames up to seq 2, FIN"));
  }
}

TEST(SubscriberCrowd, AnswersPings) {
  ScriptedUpstream upstream(holding(1, 2));
  upstream.plan_next(ConnectionPlan().ping_after(1, "there?"));
  SubscriberCrowd crowd(upstream.port());
  crowd.add(group_of(1));
  crowd.wait_until_seq(2);
  EXPECT_THAT(upstream.connection(0).pongs, ElementsAre(hex("'there?'")));
  EXPECT_EQ(crowd.member(0).pings, 1U);
}

TEST(SubscriberCrowd, ARefusalIsTold) {
  ScriptedUpstream upstream;
  upstream.plan_next(ConnectionPlan::refuse(503, {}, "full"));
  SubscriberCrowd crowd(upstream.port());
  EXPECT_THROW(crowd.add(group_of(1)), std::runtime_error);
  EXPECT_EQ(crowd.size(), 0U);
}

}  // namespace
}  // namespace standpipe::test
