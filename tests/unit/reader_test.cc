// Reading an epoch in order: at every edge of group, partition and epoch, while partitions go and
// change underneath, and by time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tests/support/archive_fixture.h"

namespace standpipe::test {
namespace {

using storage::CaughtUp;
using storage::EpochNumber;
using storage::PartitionId;
using storage::PartitionInfo;
using storage::PartitionState;
using storage::Reader;
using storage::ReadStep;
using storage::RunSlice;
using storage::WindowPassed;

constexpr std::int64_t kHourMs = 3'600'000;
constexpr std::int64_t kYear2099Ms = 4'070'908'800'000;  // 2099-01-01T00:00:00Z

class ReaderTest : public ArchiveFixture {
 protected:
  Reader reader() { return reader(epoch()); }
  Reader reader(EpochNumber of) {
    auto made = archive().reader(stream(), of);
    EXPECT_OK(made);
    return std::move(made).value();
  }

  // What read_after(position) says: "40" for the seq it goes on with, "caught up at 120", or
  // "passed 0..41".
  static std::string step_of(Reader& reader, std::int64_t position) {
    const Result<ReadStep> step = reader.read_after(Seq{position});
    if (!step) return to_string(step.error());
    if (const auto* slice = std::get_if<RunSlice>(&*step)) {
      return std::to_string(to_int(slice->run->frames.at(slice->first_frame).seq));
    }
    if (const auto* caught_up = std::get_if<CaughtUp>(&*step)) {
      return "caught up at " + std::to_string(to_int(caught_up->newest));
    }
    const storage::Gap& gap = std::get<WindowPassed>(*step).gap;
    EXPECT_EQ(gap.reason, storage::GapReason::retention);
    return "passed " + std::to_string(to_int(gap.after)) + ".." +
           std::to_string(to_int(gap.before));
  }
  std::string step_of(std::int64_t position) {
    Reader fresh = reader();
    return step_of(fresh, position);
  }

  // Groups [10 20 30] [40 50 60] | [70 80 90] [100 110 120], | between two partitions.
  void given_two_partitions_of_two_groups() {
    options.group_frames_max = 3;
    given_archive();
    for (std::int64_t group : {10, 40, 70, 100}) {
      if (group == 70) {
        ASSERT_OK(archive().seal(stream()));
      }
      for (std::int64_t seq : {group, group + 10, group + 20}) append(seq);
      commit();
    }
  }

  // Follows from 10 to 120 whatever the size of a run.
  void expect_every_edge() {
    for (std::int64_t stored = 10; stored < 120; stored += 10) {
      const std::string following = std::to_string(stored + 10);
      EXPECT_EQ(step_of(stored - 1), std::to_string(stored));
      EXPECT_EQ(step_of(stored), following);
      EXPECT_EQ(step_of(stored + 1), following);
    }
    EXPECT_EQ(step_of(119), "120");
    EXPECT_EQ(step_of(120), "caught up at 120");
    EXPECT_EQ(step_of(121), "caught up at 120");
    EXPECT_EQ(step_of(to_int(kSeqMax)), "caught up at 120");
  }

  PartitionId oldest_partition() { return archive().partitions().front().id; }
};

// -- Edges ----------------------------------------------------------------------------------------

TEST_F(ReaderTest, FollowsFromEveryEdgeOfGroupAndPartition) {
  options.run_bytes_target = 1;  // a run is a group
  given_two_partitions_of_two_groups();
  ASSERT_EQ(archive().partitions().size(), 2U);
  expect_every_edge();
}

TEST_F(ReaderTest, FollowsFromEveryEdgeAlsoWhereGroupsAreJoinedIntoRuns) {
  given_two_partitions_of_two_groups();
  expect_every_edge();
}

TEST_F(ReaderTest, FollowsFromEveryEdgeAfterAReopen) {
  given_two_partitions_of_two_groups();
  close();
  reopen();
  expect_every_edge();
  crash();
  reopen();
  expect_every_edge();
}

TEST_F(ReaderTest, OneReaderMayJumpToAnyPosition) {
  options.run_bytes_target = 1;
  given_two_partitions_of_two_groups();
  Reader one = reader();
  EXPECT_EQ(step_of(one, 119), "120");
  EXPECT_EQ(step_of(one, 9), "10");
  EXPECT_EQ(step_of(one, 65), "70");
  EXPECT_EQ(step_of(one, 120), "caught up at 120");
  EXPECT_EQ(step_of(one, 60), "70");
}

TEST_F(ReaderTest, ARunNeverCrossesAPartition) {
  options.run_bytes_target = 1 << 20;
  given_two_partitions_of_two_groups();
  const auto step = reader().read_after(Seq{35});
  ASSERT_OK(step);
  const auto& slice = std::get<RunSlice>(*step);
  EXPECT_EQ(slice.run->last(), Seq{60});
  EXPECT_EQ(slice.run->partition, oldest_partition());
}

TEST_F(ReaderTest, AnEpochWithoutFramesIsCaughtUpAtOnce) {
  given_archive();
  EXPECT_EQ(step_of(0), "caught up at 0");
  EXPECT_EQ(step_of(1000), "caught up at 0");
}

TEST_F(ReaderTest, EachEpochIsReadByItself) {
  given_archive();
  given_frames(11, 18);
  ASSERT_OK(archive().begin_epoch(stream(), "empty"));
  ASSERT_OK(archive().begin_epoch(stream(), "third"));
  reopen();
  model.clear();
  EXPECT_EQ(epoch(), EpochNumber{3});
  given_frames(16, 30);
  expect_model();
  Reader first = reader(EpochNumber{1});
  EXPECT_EQ(step_of(first, 10), "11");
  EXPECT_EQ(step_of(first, 17), "18");
  EXPECT_EQ(step_of(first, 18), "caught up at 18");
  Reader second = reader(EpochNumber{2});
  EXPECT_EQ(step_of(second, 15), "caught up at 0");
  EXPECT_EQ(step_of(15), "16");
  EXPECT_EQ(step_of(18), "19");
  const auto none = archive().reader(stream(), EpochNumber{4});
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, Errc::not_found);
}

TEST_F(ReaderTest, SeesWhatBecomesDurableWhileItWaits) {
  given_archive();
  given_frames(1, 4);
  Reader waiting = reader();
  EXPECT_EQ(step_of(waiting, 4), "caught up at 4");
  append(5);
  EXPECT_EQ(step_of(waiting, 4), "caught up at 4") << "not durable yet";
  commit();
  EXPECT_EQ(step_of(waiting, 4), "5");
  append(6);
  commit();
  EXPECT_EQ(step_of(waiting, 4), "5");
  EXPECT_EQ(step_of(waiting, 5), "6") << "a run that was read before must not hide what came since";
}

TEST_F(ReaderTest, DecodesAheadOnlyWhereItGoesOn) {
  options.run_bytes_target = 1;  // a run is a group
  given_archive();
  given_frames(1, 80);  // ten groups
  Reader one = reader();
  EXPECT_EQ(step_of(one, 40), "41");
  EXPECT_EQ(archive().stats().run_cache_misses, 1U) << "a look is not a scan";
  EXPECT_EQ(step_of(one, 48), "49");
  EXPECT_EQ(archive().stats().run_cache_misses, 5U) << "49, and ahead 57, 65 and 73";
  EXPECT_EQ(step_of(one, 56), "57");
  EXPECT_EQ(step_of(one, 64), "65");
  EXPECT_EQ(archive().stats().run_cache_misses, 5U);
  EXPECT_EQ(archive().stats().run_cache_hits, 2U);
}

TEST_F(ReaderTest, ManyReadersWhoAreApartDoNotDecodeForNothing) {
  options.run_bytes_target = 1;  // a run is a group: eight frames of 16 KiB
  options.group_bytes_max = 1 << 20;
  given_archive();
  constexpr std::int64_t kFrames = 960;
  for (std::int64_t seq = 1; seq <= kFrames; ++seq) {
    append({.seq = seq, .blocks_bytes = 16 << 10});
  }
  commit();
  // All of them go through the archive at one pace. The cache of 4 MiB has room for 30 runs, and
  // not for the four that each would decode ahead.
  constexpr std::int64_t kReaders = 20;
  std::vector<std::pair<Reader, Seq>> readers;
  for (std::int64_t i = 0; i < kReaders; ++i) {
    readers.emplace_back(reader(), Seq{i * kFrames / kReaders});
  }
  std::int64_t runs = 0;
  for (int turn = 0; turn < 100; ++turn) {
    for (auto& [one, position] : readers) {
      const auto step = one.read_after(position);
      ASSERT_OK(step);
      const auto* slice = std::get_if<RunSlice>(&*step);
      position = slice == nullptr ? kSeqNone : slice->run->last();
      if (slice != nullptr) ++runs;
    }
  }
  EXPECT_GT(runs, kReaders * 95);
  EXPECT_LT(archive().stats().run_cache_misses, static_cast<std::uint64_t>(runs) * 4 / 3);
}

TEST_F(ReaderTest, FindGivesExactlyTheFrameOrNothing) {
  given_two_partitions_of_two_groups();
  Reader one = reader();
  for (std::int64_t seq = 10; seq <= 120; seq += 10) {
    const auto found = one.find(Seq{seq});
    ASSERT_OK(found);
    ASSERT_TRUE(found->has_value()) << seq;
    const RunSlice& slice = **found;
    EXPECT_EQ(slice.run->frames.at(slice.first_frame).seq, Seq{seq});
    EXPECT_TRUE(equal(slice.run->frame_of(slice.first_frame), make_frame(seq)));
  }
  for (std::int64_t absent : {0, 9, 11, 31, 61, 65, 119, 121}) {
    const auto found = one.find(Seq{absent});
    ASSERT_OK(found);
    EXPECT_FALSE(found->has_value()) << absent;
  }
}

// -- Under a reader -------------------------------------------------------------------------------

TEST_F(ReaderTest, APartitionDroppedWhileItIsReadIsATypedGap) {
  options.run_bytes_target = 1;
  given_two_partitions_of_two_groups();
  Reader slow = reader();
  const auto step = slow.read_after(Seq{9});
  ASSERT_OK(step);
  const auto held = std::get<RunSlice>(*step).run;
  EXPECT_EQ(held->last(), Seq{30});
  drop_oldest();
  EXPECT_TRUE(equal(held->frame_of(2), make_frame(30))) << "what was handed out stays";
  EXPECT_EQ(step_of(slow, 30), "passed 30..61");
  EXPECT_EQ(step_of(slow, 60), "70") << "61 to 69 were skipped by upstream";
  EXPECT_EQ(step_of(0), "passed 0..61");
  EXPECT_EQ(step_of(60), "70");
  EXPECT_EQ(step_of(70), "80");
  const auto found = slow.find(Seq{40});
  ASSERT_OK(found);
  EXPECT_FALSE(found->has_value());
  expect_model();
  reopen();
  EXPECT_EQ(step_of(30), "passed 30..61");
  expect_model();
}

TEST_F(ReaderTest, APartitionDroppedFromTheCacheTooIsNotServed) {
  given_two_partitions_of_two_groups();
  EXPECT_EQ(step_of(9), "10");
  EXPECT_EQ(step_of(9), "10");
  EXPECT_GE(archive().stats().run_cache_hits, 1U);
  drop_oldest();
  EXPECT_EQ(step_of(9), "passed 9..61");
}

TEST_F(ReaderTest, AnEpochThatIsAllGapIsPassedAndThenCaughtUp) {
  given_archive();
  given_frames(1, 16);
  ASSERT_OK(archive().seal(stream()));
  drop_oldest();
  EXPECT_EQ(step_of(0), "passed 0..17");
  EXPECT_EQ(step_of(5), "passed 5..17");
  EXPECT_EQ(step_of(16), "caught up at 16");
  expect_model();
  append(20);
  commit();
  EXPECT_EQ(step_of(16), "20");
}

TEST_F(ReaderTest, OnlyTheOldestSealedPartitionMayGo) {
  given_two_partitions_of_two_groups();
  ASSERT_OK(archive().seal(stream()));
  const auto partitions = archive().partitions();
  ASSERT_EQ(partitions.size(), 2U);
  const auto refused = archive().drop_partition(partitions[1].id);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::invalid);
  const auto absent = archive().drop_partition(PartitionId{999});
  ASSERT_FALSE(absent.has_value());
  EXPECT_EQ(absent.error().code, Errc::not_found);
  expect_model();
}

TEST_F(ReaderTest, APartitionRewrittenUnderAReaderIsReadOnAsItWas) {
  options.run_bytes_target = 1;
  given_two_partitions_of_two_groups();
  Reader slow = reader();
  const auto before = slow.read_after(Seq{9});
  ASSERT_OK(before);
  const PartitionId old_id = oldest_partition();
  const auto made = archive().rewrite_partition(old_id);
  ASSERT_OK(made);
  EXPECT_NE(*made, old_id);
  EXPECT_EQ(step_of(slow, 30), "40");
  const auto after = slow.read_after(Seq{9});
  ASSERT_OK(after);
  EXPECT_EQ(std::get<RunSlice>(*after).run->partition, *made);
  EXPECT_EQ(std::get<RunSlice>(*after).run->wire, std::get<RunSlice>(*before).run->wire);
  expect_every_edge();
  expect_model();
  reopen();
  expect_every_edge();
  expect_model();
}

TEST_F(ReaderTest, ARewriteKeepsTheDigestAndTheCounts) {
  given_two_partitions_of_two_groups();
  const PartitionInfo before = archive().partitions().front();
  ASSERT_OK(archive().rewrite_partition(before.id));
  const PartitionInfo after = archive().partitions().front();
  EXPECT_EQ(after.digest, before.digest);
  EXPECT_EQ(after.frames, 6U);
  EXPECT_EQ(after.raw_bytes, before.raw_bytes);
  EXPECT_EQ(after.first, Seq{10});
  EXPECT_EQ(after.last, Seq{60});
  EXPECT_EQ(after.clock_first_ms, before.clock_first_ms);
  EXPECT_EQ(after.clock_last_ms, before.clock_last_ms);
  EXPECT_EQ(to_string(after.state), "sealed");
}

TEST_F(ReaderTest, AReaderOfAClosedArchiveIsToldSo) {
  given_archive();
  given_frames(1, 4);
  Reader slow = reader();
  ASSERT_OK(archive().close());
  const auto step = slow.read_after(Seq{0});
  ASSERT_FALSE(step.has_value());
  EXPECT_EQ(step.error().code, Errc::closed);
}

// -- By time --------------------------------------------------------------------------------------

class TimeLookup : public ReaderTest {
 protected:
  TimeLookup() { clock.set(kFirstFrameMs + 1000 * kHourMs); }

  // Four groups of 64 frames at hours 1, 2, 3, 4; a partition ends after the second. In the second
  // group one frame says 2099 and one says 1970.
  void given_four_hours() {
    options.group_frames_max = 64;
    given_archive();
    for (std::int64_t hour = 1; hour <= 4; ++hour) {
      if (hour == 3) {
        ASSERT_OK(archive().seal(stream()));
      }
      const std::int64_t first = (hour - 1) * 64 + 1;
      for (std::int64_t seq = first; seq < first + 64; ++seq) {
        std::int64_t time_ms = hour_ms(hour);
        if (seq == 70) time_ms = kYear2099Ms;
        if (seq == 90) time_ms = 1000;
        append({.seq = seq, .blocks_bytes = 20, .time_ms = time_ms});
      }
      commit();
    }
  }
  static std::int64_t hour_ms(std::int64_t hour) { return kFirstFrameMs + hour * kHourMs; }

  std::int64_t position_at(std::int64_t clock_ms) {
    const auto position = reader().position_at(clock_ms);
    EXPECT_OK(position);
    return position ? to_int(*position) : -1;
  }

  void expect_positions() {
    EXPECT_EQ(position_at(hour_ms(1)), 0);
    EXPECT_EQ(position_at(hour_ms(1) + 1), 64);
    EXPECT_EQ(position_at(hour_ms(2) - 1), 64);
    EXPECT_EQ(position_at(hour_ms(2)), 64);
    EXPECT_EQ(position_at(hour_ms(2) + 1), 128) << "in the next partition";
    EXPECT_EQ(position_at(hour_ms(3)), 128);
    EXPECT_EQ(position_at(hour_ms(3) + 1), 192);
    EXPECT_EQ(position_at(hour_ms(4)), 192);
  }
};

TEST_F(TimeLookup, FindsTheFirstGroupThatIsNotEarlier) {
  given_four_hours();
  expect_positions();
  close();
  reopen();
  expect_positions();
}

TEST_F(TimeLookup, BeforeTheOldestIsTheBeginning) {
  given_four_hours();
  EXPECT_EQ(position_at(hour_ms(1) - 1), 0);
  EXPECT_EQ(position_at(1000), 0) << "1970, which one frame in the second group says";
  EXPECT_EQ(position_at(-1), 0);
}

TEST_F(TimeLookup, AfterTheNewestIsNewest) {
  given_four_hours();
  EXPECT_EQ(position_at(hour_ms(4) + 1), 256);
  EXPECT_EQ(position_at(kYear2099Ms), 256) << "which one frame in the second group says";
}

TEST_F(TimeLookup, AfterRetentionTheBeginningIsWhatIsLeft) {
  given_four_hours();
  drop_oldest();
  EXPECT_EQ(position_at(hour_ms(1)), 128);
  EXPECT_EQ(position_at(hour_ms(2)), 128);
  EXPECT_EQ(position_at(hour_ms(3)), 128);
  EXPECT_EQ(position_at(hour_ms(3) + 1), 192);
}

TEST_F(TimeLookup, StepsBackOverWholeGroupsAndPartitions) {
  given_four_hours();
  EXPECT_EQ(reader().step_back(Seq{256}, 8).value(), Seq{192});
  EXPECT_EQ(reader().step_back(Seq{256}, 65).value(), Seq{128});
  EXPECT_EQ(reader().step_back(Seq{250}, 58).value(), Seq{192}) << "the frames up to 250";
  EXPECT_EQ(reader().step_back(Seq{250}, 59).value(), Seq{128});
  EXPECT_EQ(reader().step_back(Seq{130}, 64).value(), Seq{64}) << "into the partition before";
  EXPECT_EQ(reader().step_back(Seq{130}, 0).value(), Seq{130});
  EXPECT_EQ(reader().step_back(Seq{30}, 64).value(), Seq{0});
  drop_oldest();
  EXPECT_EQ(reader().step_back(Seq{130}, 64).value(), Seq{128}) << "the window's floor";
}

TEST_F(TimeLookup, InARewrittenPartitionIsTheSame) {
  given_four_hours();
  ASSERT_OK(archive().rewrite_partition(oldest_partition()));
  expect_positions();
}

TEST_F(TimeLookup, InAnEmptyEpochIsTheBeginning) {
  given_archive();
  EXPECT_EQ(position_at(hour_ms(1)), 0);
}

TEST_F(TimeLookup, OfFramesWithoutATimeGoesByWhenTheyCame) {
  given_archive();
  const auto labels = archive().ensure_stream({.name = "labels",
                                               .kind = storage::StreamKind::labels,
                                               .url = "",
                                               .density = storage::Density::sparse});
  ASSERT_OK(labels);
  auto appender = archive().appender(labels->id);
  ASSERT_OK(appender);
  for (std::int64_t i = 0; i < 3; ++i) {
    // {"t":"#labels","op":1}{"seq":i+1,"labels":[]}
    Bytes frame = parse_hex("a2617467236c6162656c73626f7001a26373657101666c6162656c7380").value();
    frame[frame.size() - 9] = static_cast<std::byte>(i + 1);
    const auto judged = appender->offer(frame, hour_ms(i + 1));
    ASSERT_OK(judged);
    EXPECT_EQ(to_string(*judged), "accepted");
    ASSERT_OK(appender->commit());
  }
  auto by_time = archive().reader(labels->id, EpochNumber{1});
  ASSERT_OK(by_time);
  EXPECT_EQ(by_time->position_at(hour_ms(2)).value(), Seq{1});
  EXPECT_EQ(by_time->position_at(hour_ms(2) + 1).value(), Seq{2});
  EXPECT_EQ(by_time->position_at(hour_ms(3) + 1).value(), Seq{3});
}

}  // namespace
}  // namespace standpipe::test
