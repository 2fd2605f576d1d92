#include "replay/subscription.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/bulk_frames.h"
#include "tests/support/scale.h"
#include "tests/support/wire_runs.h"

namespace standpipe::replay {
namespace {

using test::FrameSpec;
using test::make_run;
using test::Random;

FrameSpan span_after(const storage::WireRun& run, Seq after) {
  return {run.wire.data(), std::span(run.frames).subspan(run.index_after(after)), nullptr};
}

// What a plan would put on the wire.
std::string planned(const SendPlan& plan) {
  std::string bytes;
  for (std::size_t i = 0; i < plan.count; ++i) {
    bytes.append(static_cast<const char*>(plan.io[i].iov_base), plan.io[i].iov_len);
  }
  return bytes;
}

Subscription all_after(std::int64_t after) {
  return Subscription({{Seq{after}, 0}, nullptr, std::nullopt});
}

std::shared_ptr<const FrameFilter> filter_of(std::vector<std::string> dids) {
  auto filter = FrameFilter::compile({std::move(dids), {}});
  return std::make_shared<const FrameFilter>(std::move(filter).value());
}

TEST(Subscription, UnfilteredFramesGoOutInOneSlice) {
  const auto run = make_run(1, 5);
  Subscription subscription = all_after(2);
  SendPlan plan;
  subscription.plan(span_after(*run, Seq{2}), {1 << 20, false}, plan);
  EXPECT_EQ(plan.count, 1U);
  EXPECT_EQ(planned(plan), run->wire.substr(run->frames[2].offset));
  EXPECT_EQ(subscription.advance(plan, plan.bytes), 3U);
  EXPECT_EQ(subscription.position().after, Seq{5});
  EXPECT_TRUE(subscription.is_at_boundary());
}

TEST(Subscription, AShortSendLeavesItInTheMiddleOfAFrame) {
  const auto run = make_run(1, 5);
  Subscription subscription = all_after(0);
  SendPlan plan;
  subscription.plan(span_after(*run, Seq{0}), {1 << 20, false}, plan);
  EXPECT_EQ(subscription.advance(plan, run->frames[3].offset + 7), 3U);
  EXPECT_EQ(subscription.position().after, Seq{3});
  EXPECT_EQ(subscription.position().sent, 7U);
  // The rest comes from wherever that frame is found.
  subscription.plan(span_after(*run, Seq{3}), {1 << 20, true}, plan);
  EXPECT_EQ(planned(plan), run->wire.substr(run->frames[3].offset + 7, run->frames[3].length - 7));
}

TEST(Subscription, AFrameInProgressThatIsGoneIsSaid) {
  const auto run = make_run(1, 5);
  Subscription subscription = all_after(0);
  SendPlan plan;
  subscription.plan(span_after(*run, Seq{0}), {10, false}, plan);
  subscription.advance(plan, 10);
  subscription.plan(span_after(*run, Seq{1}), {1 << 20, false}, plan);
  EXPECT_TRUE(plan.lost_frame);
  EXPECT_EQ(plan.count, 0U);
}

TEST(Subscription, NothingBeyondUntilIsPlanned) {
  const auto run = make_run(1, 5);
  Subscription subscription({{Seq{0}, 0}, nullptr, Seq{3}});
  SendPlan plan;
  subscription.plan(span_after(*run, Seq{0}), {1 << 20, false}, plan);
  EXPECT_EQ(planned(plan), run->wire.substr(0, run->frames[3].offset));
  EXPECT_TRUE(plan.meets_end);
  EXPECT_FALSE(subscription.has_passed_end());
  subscription.advance(plan, plan.bytes);
  EXPECT_TRUE(subscription.has_passed_end());
}

// A seq that was never given out: what follows it says that it has been passed.
TEST(Subscription, UntilMayLieInAGap) {
  std::vector<FrameSpec> specs(2);
  specs[0].seq = 2;
  specs[1].seq = 9;
  const auto run = make_run(specs);
  Subscription subscription({{Seq{2}, 0}, nullptr, Seq{5}});
  SendPlan plan;
  subscription.plan(span_after(*run, Seq{2}), {1 << 20, false}, plan);
  EXPECT_EQ(plan.count, 0U);
  EXPECT_TRUE(plan.meets_end);
}

TEST(Subscription, WhatAFilterKeepsBackIsPassedOver) {
  const auto run = make_run(1, 5);
  Subscription subscription({{Seq{0}, 0}, filter_of({"did:plc:nobodyhasthisdidnobodyha"}), {}});
  SendPlan plan;
  subscription.plan(span_after(*run, Seq{0}), {1 << 20, false}, plan);
  EXPECT_EQ(plan.bytes, 0U);
  subscription.advance(plan, 0);
  EXPECT_EQ(subscription.position().after, Seq{5});
}

TEST(Subscription, AtMostTheRestOfAFrameIsPlannedUpToABoundary) {
  const auto run = make_run(1, 5);
  Subscription subscription = all_after(0);
  SendPlan plan;
  subscription.plan(span_after(*run, Seq{0}), {1 << 20, true}, plan);
  EXPECT_EQ(plan.count, 0U);
}

// Random streams, filters, ends and cuts: what goes out, joined, is what a plain loop over all
// frames would send, byte for byte; and the position never goes back.
TEST(Subscription, SendsWhatAPlainLoopWouldSend) {
  for (std::size_t round = 0; round < test::scaled(400); ++round) {
    SCOPED_TRACE(round);
    Random random(round);
    std::vector<FrameSpec> specs(40);
    std::int64_t seq = 0;
    for (FrameSpec& spec : specs) {
      seq += 1 + static_cast<std::int64_t>(random.below(3));
      spec.seq = seq;
      spec.blocks_bytes = random.below(900);
    }
    auto run = std::make_shared<storage::WireRun>(*make_run(specs));
    const bool is_filtered = random.chance(2);
    const std::int64_t after = static_cast<std::int64_t>(random.below(10));
    std::optional<Seq> until;
    if (random.chance(2)) until = Seq{after + 1 + static_cast<std::int64_t>(random.below(80))};

    std::string expected;
    std::size_t frames_expected = 0;
    std::vector<std::string> dids{"did:plc:nobodyhasthisdidnobodyha"};
    for (std::size_t i = 0; i < run->frames.size(); ++i) {
      const bool is_wanted = !is_filtered || random.chance(3);
      if (is_wanted) dids.emplace_back(scan_frame(run->frame_of(i)).envelope.did);
      const Seq at = run->frames[i].seq;
      if (is_wanted && at > Seq{after} && (!until || at <= *until)) {
        expected += as_text(run->wire_of(i));
        ++frames_expected;
      }
    }

    Subscription subscription({{Seq{after}, 0}, is_filtered ? filter_of(dids) : nullptr, until});
    std::string sent;
    std::size_t frames_sent = 0;
    SendPlan plan;
    for (int turns = 0;; ++turns) {
      ASSERT_LT(turns, 100'000);
      const Position before = subscription.position();
      const FrameSpan span = span_after(*run, before.after);
      if (span.empty() || subscription.has_passed_end()) break;
      const bool to_boundary = before.sent > 0 && random.chance(2);
      subscription.plan(span, {1 + random.below(2000), to_boundary}, plan);
      if (plan.count == 0 && plan.meets_end) break;
      const std::size_t part = random.chance(2) ? plan.bytes : random.below(plan.bytes + 1);
      sent += planned(plan).substr(0, part);
      frames_sent += subscription.advance(plan, part);
      ASSERT_GE(subscription.position().after, before.after);
    }
    ASSERT_EQ(sent, expected);
    ASSERT_EQ(frames_sent, frames_expected);
    ASSERT_TRUE(subscription.is_at_boundary());
  }
}

// What was looked up changes how much is looked at, and nothing else: each step that a subscriber
// makes with it leads through the places of one that judges every frame.
TEST(Subscription, WhatWasFoundIsAllThatIsLookedAt) {
  const auto run = make_run(1, 40);
  const FrameSpan span = span_after(*run, Seq{4});
  // A filter that would let all through shows who is asked.
  FrameFilter everything;
  const auto filter = std::make_shared<const FrameFilter>(everything);
  Subscription subscription({{Seq{4}, 0}, filter, std::nullopt});
  FoundFrames found;
  found.seqs = {Seq{4}, Seq{9}, Seq{10}, Seq{30}};
  found.count = 4;
  found.to = Seq{37};
  subscription.look_only_at(found);
  std::string expected;
  for (const std::size_t seq : {9U, 10U, 30U, 38U, 39U, 40U}) {
    const storage::RunFrame& frame = run->frames[seq - 1];
    expected += run->wire.substr(frame.offset, frame.length);
  }
  SendPlan plan;
  subscription.plan(span, {1 << 20, false}, plan);
  EXPECT_EQ(planned(plan), expected);
  EXPECT_FALSE(plan.has_cut);
  subscription.advance(plan, plan.bytes);
  EXPECT_EQ(subscription.position().after, Seq{40});
  // A short send stops at the frame that it stops in.
  Subscription slow({{Seq{4}, 0}, filter, std::nullopt});
  slow.look_only_at(found);
  slow.plan(span, {run->frames[8].length + 3U, false}, plan);
  EXPECT_TRUE(plan.has_cut);
  slow.advance(plan, plan.bytes);
  EXPECT_EQ(slow.position().after, Seq{9});
  EXPECT_EQ(slow.position().sent, 3U);
}

TEST(Subscription, WhereNothingWasFoundItPassesOverAllOfIt) {
  const auto run = make_run(1, 40);
  Subscription subscription(
      {{Seq{4}, 0}, std::make_shared<const FrameFilter>(), std::optional<Seq>(Seq{20})});
  FoundFrames found;
  found.to = Seq{50};
  subscription.look_only_at(found);
  SendPlan plan;
  subscription.plan(span_after(*run, Seq{4}), {1 << 20, false}, plan);
  EXPECT_EQ(plan.count, 0U);
  EXPECT_TRUE(plan.meets_end);
  subscription.advance(plan, 0);
  EXPECT_EQ(subscription.position().after, Seq{20});
}

}  // namespace
}  // namespace standpipe::replay
