#include "replay/live_log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/wire_runs.h"

namespace standpipe::replay {
namespace {

using test::FrameSpec;
using test::make_run;

// A frame of make_frame(seq) is some 560 bytes in wire form; with this log a segment holds seven.
constexpr LiveLog::Limits kSmall{16 << 10, 4 << 10};

// Everything that a subscriber at `after` would be sent, segment by segment.
std::vector<std::int64_t> seqs_after(const LiveTail& tail, std::int64_t after) {
  std::vector<std::int64_t> seqs;
  LiveTail::Place place;
  for (;;) {
    const FrameSpan span = tail.read_after(Seq{after}, place);
    if (span.empty()) return seqs;
    for (const storage::RunFrame& frame : span.frames) seqs.push_back(to_int(frame.seq));
    after = seqs.back();
  }
}

std::vector<std::int64_t> range(std::int64_t first, std::int64_t last) {
  std::vector<std::int64_t> seqs;
  for (std::int64_t seq = first; seq <= last; ++seq) seqs.push_back(seq);
  return seqs;
}

TEST(LiveLog, HoldsWhatFollowsItsFloorAndNothingBefore) {
  LiveLog log(Seq{10}, {});
  log.publish(*make_run(11, 13));
  const LiveTail tail(log);
  EXPECT_EQ(seqs_after(tail, 10), range(11, 13));
  EXPECT_EQ(seqs_after(tail, 12), range(13, 13));
  EXPECT_EQ(seqs_after(tail, 13), range(1, 0));
  EXPECT_TRUE(tail.holds(Seq{10}));
  EXPECT_FALSE(tail.holds(Seq{9}));
  EXPECT_EQ(log.newest(), Seq{13});
}

TEST(LiveLog, OfAnEmptyLogTheFloorIsCaughtUp) {
  LiveLog log(Seq{10}, {});
  const LiveTail tail(log);
  EXPECT_EQ(seqs_after(tail, 10), range(1, 0));
  EXPECT_EQ(log.newest(), Seq{10});
  EXPECT_EQ(log.bytes(), 0U);
}

TEST(LiveLog, PassesOverSeqGaps) {
  LiveLog log(Seq{10}, {});
  log.publish(*make_run(15, 16));
  log.publish(*make_run(20, 20));
  const LiveTail tail(log);
  EXPECT_EQ(seqs_after(tail, 12), (std::vector<std::int64_t>{15, 16, 20}));
  EXPECT_EQ(seqs_after(tail, 17), (std::vector<std::int64_t>{20}));
}

TEST(LiveLog, PublishesNothingTwice) {
  LiveLog log(Seq{12}, {});
  log.publish(*make_run(11, 14));  // 11 and 12 were durable before the log was made
  log.publish(*make_run(13, 14));
  const LiveTail tail(log);
  EXPECT_EQ(seqs_after(tail, 12), range(13, 14));
}

TEST(LiveLog, LetsTheOldestSegmentsGo) {
  LiveLog log(Seq{0}, kSmall);
  for (std::int64_t seq = 1; seq <= 200; ++seq) log.publish(*make_run(seq, seq));
  const LiveTail tail(log);
  const std::int64_t floor = to_int(tail.floor());
  EXPECT_GT(floor, 150);
  EXPECT_LT(floor, 190);
  EXPECT_EQ(seqs_after(tail, floor), range(floor + 1, 200));
  EXPECT_LE(log.bytes(), kSmall.bytes_max + kSmall.segment_bytes);
  EXPECT_GT(tail.reentry_floor(), tail.floor());
}

TEST(LiveLog, ATailKeepsWhatItHoldsUntilItIsRefreshed) {
  LiveLog log(Seq{0}, kSmall);
  log.publish(*make_run(1, 5));
  LiveTail tail(log);
  LiveTail::Place place;
  const FrameSpan before = tail.read_after(Seq{0}, place);
  const std::string bytes(before.wire_of(0));
  for (std::int64_t seq = 6; seq <= 200; ++seq) log.publish(*make_run(seq, seq));
  EXPECT_TRUE(tail.holds(Seq{0}));
  EXPECT_EQ(before.wire_of(0), bytes);
  tail.refresh();
  EXPECT_FALSE(tail.holds(Seq{0}));
}

TEST(LiveLog, AFrameAboveTheSegmentsSizeGetsOneOfItsOwn) {
  LiveLog log(Seq{0}, kSmall);
  std::vector<FrameSpec> specs(3);
  for (std::size_t i = 0; i < 3; ++i) specs[i].seq = static_cast<std::int64_t>(i) + 1;
  specs[1].blocks_bytes = 10'000;
  const storage::WireRunPtr run = make_run(specs);
  log.publish(*run);
  const LiveTail tail(log);
  EXPECT_EQ(seqs_after(tail, 0), range(1, 3));
  LiveTail::Place place;
  EXPECT_EQ(tail.read_after(Seq{1}, place).wire_of(0), as_text(run->wire_of(1)));
}

// The archive may give out a frame a moment before it is published here.
TEST(LiveLog, APlaceDoesNotRepeatWhatThePositionHasPassed) {
  LiveLog log(Seq{0}, {});
  log.publish(*make_run(1, 2));
  const LiveTail tail(log);
  LiveTail::Place place;
  EXPECT_TRUE(tail.read_after(Seq{4}, place).empty());
  log.publish(*make_run(3, 6));
  const FrameSpan span = tail.read_after(Seq{4}, place);
  ASSERT_FALSE(span.empty());
  EXPECT_EQ(span.frames.front().seq, Seq{5});
}

TEST(LiveLog, KeysSayWhatAFilterAsks) {
  LiveLog log(Seq{0}, {});
  const storage::WireRunPtr run = make_run(1, 3);
  log.publish(*run);
  const LiveTail tail(log);
  LiveTail::Place place;
  const FrameSpan span = tail.read_after(Seq{0}, place);
  EXPECT_EQ(span.keys[2].kind, FrameKind::commit);
  EXPECT_EQ(span.keys[2].did, scan_frame(run->frame_of(2)).envelope.did);
}

// Each frame once and in order, whatever the two threads do. For the thread sanitizer above all.
TEST(LiveLog, OneWritesWhileOthersRead) {
  constexpr std::int64_t kLast = 3000;
  LiveLog log(Seq{0}, {1 << 20, 16 << 10});
  std::atomic<bool> has_failed = false;
  const auto read = [&] {
    LiveTail tail(log);
    LiveTail::Place place;
    Seq after = log.newest();
    while (after < Seq{kLast} && !has_failed) {
      tail.refresh();
      if (!tail.holds(after)) after = tail.floor();  // it is slower than the log is long
      const FrameSpan span = tail.read_after(after, place);
      for (std::size_t i = 0; i < span.frames.size(); ++i) {
        const bool is_right = span.frames[i].seq > after &&
                              scan_frame(span.frame_of(i)).envelope.seq == span.frames[i].seq &&
                              (span.frames[i].seq == next(after) || i == 0);
        if (!is_right) has_failed = true;
        after = span.frames[i].seq;
      }
    }
  };
  std::thread first(read);
  std::thread second(read);
  for (std::int64_t seq = 1; seq <= kLast; seq += 3) log.publish(*make_run(seq, seq + 2));
  first.join();
  second.join();
  EXPECT_FALSE(has_failed);
}

}  // namespace
}  // namespace standpipe::replay
