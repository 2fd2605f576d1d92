// What retention lets go: the policy alone, then an archive under it.
#include "storage/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/archive_fixture.h"

namespace standpipe::test {
namespace {

using storage::EpochNumber;
using storage::expired_partitions;
using storage::Expiry;
using storage::ExpiryReason;
using storage::Gap;
using storage::GapReason;
using storage::partition_cut;
using storage::PartitionInfo;
using storage::PartitionState;
using storage::RetentionLimits;
using storage::StoredPartition;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::int64_t kHourMs = 3'600'000;
constexpr std::int64_t kDayMs = 24 * kHourMs;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

// -- The policy -----------------------------------------------------------------------------------

StoredPartition stored(std::uint64_t id, std::int64_t clock_last_ms, std::uint64_t bytes,
                       PartitionState state = PartitionState::sealed, std::uint32_t epoch = 1) {
  StoredPartition made;
  made.partition.id = storage::PartitionId{id};
  made.partition.epoch = EpochNumber{epoch};
  made.partition.state = state;
  made.partition.first = Seq{static_cast<std::int64_t>(id) * 100};
  made.partition.clock_last_ms = clock_last_ms;
  made.stored_bytes = bytes;
  return made;
}

// "1 age", in the order in which they are to go.
std::vector<std::string> going(std::vector<StoredPartition> partitions, std::int64_t clock_ms,
                               const RetentionLimits& limits) {
  std::vector<std::string> out;
  for (const Expiry& one : expired_partitions(std::move(partitions), clock_ms, limits)) {
    out.push_back(std::to_string(to_int(one.partition)) +
                  (one.reason == ExpiryReason::age ? " age" : " bytes"));
  }
  return out;
}

TEST(RetentionPolicy, WithoutLimitsNothingGoes) {
  EXPECT_THAT(going({stored(1, 0, kGiB), stored(2, 0, kGiB)}, 1000 * kDayMs, {}), IsEmpty());
  EXPECT_THAT(going({}, 0, {.age_ms = kHourMs, .stored_bytes = 1}), IsEmpty());
}

TEST(RetentionPolicy, APartitionGoesOnceAllOfItIsAsOldAsTheLimit) {
  const std::vector<StoredPartition> three{stored(1, 10 * kDayMs, 1), stored(2, 11 * kDayMs, 1),
                                           stored(3, 20 * kDayMs, 1)};
  const RetentionLimits limits{.age_ms = 5 * kDayMs, .stored_bytes = {}};
  EXPECT_THAT(going(three, 15 * kDayMs - 1, limits), IsEmpty());
  EXPECT_THAT(going(three, 15 * kDayMs, limits), ElementsAre("1 age"));
  EXPECT_THAT(going(three, 16 * kDayMs, limits), ElementsAre("1 age", "2 age"));
}

TEST(RetentionPolicy, TheOldestGoUntilTheRestFits) {
  const std::vector<StoredPartition> four{stored(3, 0, 40), stored(1, 0, 10), stored(4, 0, 50),
                                          stored(2, 0, 30)};
  EXPECT_THAT(going(four, 0, {.age_ms = {}, .stored_bytes = 130}), IsEmpty());
  EXPECT_THAT(going(four, 0, {.age_ms = {}, .stored_bytes = 129}), ElementsAre("1 bytes"));
  EXPECT_THAT(going(four, 0, {.age_ms = {}, .stored_bytes = 119}),
              ElementsAre("1 bytes", "2 bytes"));
}

TEST(RetentionPolicy, OfTwoLimitsEitherIsEnough) {
  const std::vector<StoredPartition> three{stored(1, 0, 10), stored(2, 9 * kDayMs, 10),
                                           stored(3, 9 * kDayMs, 10)};
  EXPECT_THAT(going(three, 9 * kDayMs, {.age_ms = 5 * kDayMs, .stored_bytes = 15}),
              ElementsAre("1 age", "2 bytes"));
}

TEST(RetentionPolicy, WhatIsNotSealedStaysAndHoldsUpWhatIsNewer) {
  const RetentionLimits limits{.age_ms = kDayMs, .stored_bytes = 1};
  EXPECT_THAT(going({stored(1, 0, 10), stored(2, 0, 10, PartitionState::sealing), stored(3, 0, 10),
                     stored(4, 0, 10, PartitionState::open)},
                    9 * kDayMs, limits),
              ElementsAre("1 age"));
}

TEST(RetentionPolicy, TheNewestPartitionOfAStreamNeverGoes) {
  EXPECT_THAT(going({stored(1, 0, kGiB)}, 0, {.age_ms = {}, .stored_bytes = 1}), IsEmpty());
  EXPECT_THAT(going({stored(1, 0, kGiB), stored(2, 0, kGiB)}, 0, {.age_ms = {}, .stored_bytes = 1}),
              ElementsAre("1 bytes"));
}

TEST(RetentionPolicy, OlderEpochsGoFirstWhateverTheirSeqs) {
  const PartitionState sealed = PartitionState::sealed;
  EXPECT_THAT(going({stored(1, 0, 10, sealed, 2), stored(2, 0, 10, sealed, 2),
                     stored(8, 0, 10, sealed, 1), stored(9, 0, 10, sealed, 1)},
                    0, {.age_ms = {}, .stored_bytes = 10}),
              ElementsAre("8 bytes", "9 bytes", "1 bytes"));
}

TEST(RetentionPolicy, AStreamsOwnLimitsStandInPlaceOfThoseOfAll) {
  storage::RetentionPolicy policy;
  EXPECT_FALSE(policy.is_limited());
  policy.by_stream["labels"] = {};
  EXPECT_FALSE(policy.is_limited());
  policy.each.age_ms = kDayMs;
  policy.by_stream["west"].stored_bytes = kGiB;
  EXPECT_TRUE(policy.is_limited());
  EXPECT_EQ(policy.of("repos"), (RetentionLimits{.age_ms = kDayMs, .stored_bytes = {}}));
  EXPECT_EQ(policy.of("labels"), RetentionLimits{});
  EXPECT_EQ(policy.of("west"), (RetentionLimits{.age_ms = {}, .stored_bytes = kGiB}));
}

// -- Where partitions end -------------------------------------------------------------------------

TEST(PartitionCut, TheSpanIsASixteenthOfTheAgeBetweenAnHourAndADay) {
  const storage::ArchiveOptions options;
  const auto span = [&](std::optional<std::int64_t> age_ms) {
    return partition_cut(options, {.age_ms = age_ms, .stored_bytes = {}}).span_ms;
  };
  EXPECT_EQ(span({}), 24 * kHourMs);
  EXPECT_EQ(span(14 * kDayMs), 21 * kHourMs);
  EXPECT_EQ(span(16 * kDayMs), 24 * kHourMs);
  EXPECT_EQ(span(90 * kDayMs), 24 * kHourMs);
  EXPECT_EQ(span(16 * kHourMs), kHourMs);
  EXPECT_EQ(span(2 * kHourMs), kHourMs);
}

TEST(PartitionCut, AQuietStreamsPartitionIsOpenForAQuarterOfTheAgeAtMost) {
  storage::ArchiveOptions options;
  const auto open_for = [&](std::int64_t age_ms) {
    return partition_cut(options, {.age_ms = age_ms, .stored_bytes = {}}).age_max_ms;
  };
  EXPECT_EQ(partition_cut(options, {}).age_max_ms, 30 * kDayMs);
  EXPECT_EQ(open_for(14 * kDayMs), 84 * kHourMs);
  EXPECT_EQ(open_for(365 * kDayMs), 30 * kDayMs);
  EXPECT_EQ(open_for(2 * kHourMs), kHourMs);  // never less than the span
  options.partition_span_ms = 5 * kDayMs;
  EXPECT_EQ(open_for(14 * kDayMs), 5 * kDayMs);
}

TEST(PartitionCut, APartitionIsAtMostAnEighthOfTheBytes) {
  storage::ArchiveOptions options;
  const auto bytes = [&](std::uint64_t limit) {
    return partition_cut(options, {.age_ms = {}, .stored_bytes = limit}).bytes_max;
  };
  EXPECT_EQ(partition_cut(options, {}).bytes_max, 256 * kGiB);
  EXPECT_EQ(bytes(200 * kGiB), 25 * kGiB);
  EXPECT_EQ(bytes(4096 * kGiB), 256 * kGiB);
  options.partition_bytes_max = kGiB;
  EXPECT_EQ(bytes(200 * kGiB), kGiB);
}

// -- An archive under it --------------------------------------------------------------------------

class Retention : public ArchiveFixture {
 protected:
  Retention() { options.group_frames_max = kFrames; }

  // Commits of 64 frames, so that the clock is theirs, an hour apart: each is a partition where the
  // span is an hour, and all but the last one are sealed.
  static constexpr std::int64_t kFrames = 64;
  void given_hours(std::int64_t first, std::int64_t last) {
    for (std::int64_t hour = first; hour <= last; ++hour) {
      clock.set(kFirstFrameMs + hour * kHourMs + kHourMs / 2);
      for (std::int64_t i = 1; i <= kFrames; ++i) {
        append({.seq = (hour - 1) * kFrames + i,
                .blocks_bytes = 500,
                .time_ms = kFirstFrameMs + hour * kHourMs});
      }
      commit();
    }
  }
  std::size_t apply() {
    const auto applied = archive().apply_retention();
    EXPECT_OK(applied);
    return applied ? *applied : 0;
  }
  void forget_below(std::int64_t seq) { model.erase(model.begin(), model.lower_bound(seq)); }

  // "0..129 retention"
  std::vector<std::string> gaps() {
    std::vector<std::string> out;
    const auto all = archive().gaps(stream(), epoch(), kSeqNone, kSeqMax, 100);
    EXPECT_OK(all);
    for (const Gap& gap : *all) {
      out.push_back(std::to_string(to_int(gap.after)) + ".." + std::to_string(to_int(gap.before)) +
                    " " + std::string(to_string(gap.reason)));
    }
    return out;
  }
  std::uint64_t table_file_bytes() const {
    std::uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(archive_dir() / "db")) {
      if (entry.path().extension() == ".sst") bytes += entry.file_size();
    }
    return bytes;
  }
};

TEST_F(Retention, ByAgeTheWindowFollowsTheClockOfTheStream) {
  options.partition_span_ms = kHourMs;
  options.retention.each.age_ms = 4 * kHourMs;
  given_archive();
  given_hours(1, 6);  // the newest group is of hour 6: what ended at hour 2 is as old as the limit
  EXPECT_EQ(apply(), 2U);
  forget_below(129);
  expect_model();
  EXPECT_THAT(gaps(), ElementsAre("0..129 retention"));
  EXPECT_EQ(archive().find_stream("repos")->epochs.back().window_floor, Seq{128});
  EXPECT_EQ(apply(), 0U);
  given_hours(7, 7);
  EXPECT_EQ(apply(), 1U);
  EXPECT_THAT(gaps(), ElementsAre("0..193 retention"));
  EXPECT_EQ(archive().stats().retention_partitions, 3U);
  EXPECT_EQ(archive().stats().retention_frames, 192U);
  // Nothing of it depends on what the machine takes for today.
  clock.set(kFirstFrameMs + 1000 * kDayMs);
  EXPECT_EQ(apply(), 0U);
  close();
  reopen();
  EXPECT_EQ(apply(), 0U);
  EXPECT_THAT(gaps(), ElementsAre("0..193 retention"));
  forget_below(193);
  expect_model();
}

TEST_F(Retention, ByBytesTheTableFilesAreBoundedAndTheLimitItselfCutsThePartitions) {
  options.retention.each.stored_bytes = 1'000'000;
  given_archive();
  // Some 2.9 MB raw, incompressible; without the limit that is one partition.
  for (std::int64_t hour = 1; hour <= 60; ++hour) {
    given_hours(hour, hour);
    apply();
  }
  EXPECT_GT(archive().stats().retention_partitions, 10U);
  for (const PartitionInfo& partition : archive().partitions()) {
    EXPECT_LE(partition.raw_bytes, 125'000U);
  }
  forget_below(to_int(archive().find_stream("repos")->epochs.back().window_floor) + 1);
  EXPECT_GT(model.size(), 100U);
  expect_model();
  close();  // all is in tables now
  reopen();
  const std::uint64_t on_disk = table_file_bytes();
  EXPECT_LE(on_disk, 1'200'000U);  // the open partition, and the directory
  EXPECT_GE(on_disk, 700'000U);
}

TEST_F(Retention, WhatItSaysAPartitionTookIsWhatItsFilesTook) {
  options.partition_span_ms = kHourMs;
  options.retention.each.age_ms = kHourMs;
  given_archive();
  given_hours(1, 2);
  const std::uint64_t before = archive().stats().stored_bytes;
  ASSERT_EQ(apply(), 1U);
  const std::uint64_t gone = archive().stats().retention_bytes;
  EXPECT_GT(gone, 64U * 500U);
  EXPECT_LT(gone, before);
  EXPECT_NEAR(static_cast<double>(before - archive().stats().stored_bytes),
              static_cast<double>(gone), 10'000);  // the directory is flushed by the way
}

TEST_F(Retention, NothingGoesWhileALimitIsForAStreamThatIsNotThere) {
  options.partition_span_ms = kHourMs;
  options.retention.each.age_ms = kHourMs;
  options.retention.by_stream["reops"] = {};
  given_archive();
  given_hours(1, 5);
  const auto applied = archive().apply_retention();
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code, Errc::invalid);
  EXPECT_EQ(applied.error().detail, "retention names a stream that is not there: reops");
  expect_model();
}

TEST_F(Retention, OneStreamsLimitIsNotAnothers) {
  options.partition_span_ms = kHourMs;
  options.retention.each.age_ms = kHourMs;
  options.retention.by_stream["repos"] = {};
  given_archive();
  given_hours(1, 5);
  EXPECT_EQ(apply(), 0U);
  expect_model();
}

// What is due makes room; what is not stays, however little there is.
TEST_F(Retention, WhileTheDiskIsFullWhatIsDueGoesAndNothingElse) {
  options.partition_span_ms = kHourMs;
  options.retention.each.age_ms = 4 * kHourMs;
  std::uint64_t free_bytes = 1 << 30;
  options.free_bytes = [&free_bytes] { return free_bytes; };
  options.free_bytes_min = 1 << 20;
  given_archive();
  given_hours(1, 6);
  free_bytes = 1000;
  const auto refused = appender().commit();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::limit);
  EXPECT_EQ(archive().health(), storage::Health::disk_full);
  EXPECT_EQ(apply(), 2U);
  EXPECT_EQ(apply(), 0U);
  EXPECT_EQ(archive().health(), storage::Health::disk_full);
  free_bytes = 1 << 30;
  ASSERT_OK(archive().try_resume());
  renew_appender();
  given_hours(7, 7);
  forget_below(129);
  expect_model();
}

// However it ends between two steps, the next life takes it from there.
TEST_F(Retention, ACrashAtAnyStepOfAnyDropIsGoneOnFrom) {
  options.partition_span_ms = kHourMs;
  options.retention.each.age_ms = 3 * kHourMs;
  int steps_taken = 0;
  for (int crash_at = 1;; ++crash_at) {
    std::filesystem::remove_all(archive_dir());
    model.clear();
    int steps = 0;
    bool is_armed = false;
    options.on_step = [&](std::string_view step) {
      if (is_armed && step.starts_with("drop.") && ++steps == crash_at) {
        throw std::runtime_error("the power goes");
      }
    };
    given_archive();
    given_hours(1, 5);
    is_armed = true;
    bool has_crashed = false;
    try {
      EXPECT_EQ(apply(), 2U);
    } catch (const std::runtime_error&) {
      has_crashed = true;
    }
    is_armed = false;
    if (has_crashed) {
      reopen();
      apply();
    }
    forget_below(129);
    expect_model();
    EXPECT_THAT(gaps(), ElementsAre("0..129 retention")) << crash_at;
    crash();
    if (!has_crashed) break;
    ++steps_taken;
  }
  EXPECT_EQ(steps_taken, 8);  // four of each drop
}

TEST_F(Retention, AQuietStreamsRoomComesBackThoughItSharesItsFilesWithOthers) {
  constexpr std::int64_t kEach = 40;
  options.partition_bytes_max = 200'000;  // the room of which is told from that of the directory
  given_archive();
  const auto a = archive().ensure_stream({"labeler-a", storage::StreamKind::labels, "", {}});
  const auto b = archive().ensure_stream({"labeler-b", storage::StreamKind::labels, "", {}});
  ASSERT_OK(a);
  ASSERT_OK(b);
  {
    auto one = archive().appender(a->id);
    auto other = archive().appender(b->id);
    for (std::int64_t seq = 1; seq <= kEach; ++seq) {
      for (auto* appender : {&one, &other}) {
        ASSERT_OK(
            (*appender)->offer(make_frame({.seq = seq, .blocks_bytes = 20'000}), clock.now_ms()));
        ASSERT_OK((*appender)->commit());
      }
    }
  }
  close();
  options.retention.by_stream["labeler-a"].stored_bytes = 1;
  given_archive();
  const std::uint64_t before = archive().stats().stored_bytes;
  const std::size_t dropped = apply();
  EXPECT_EQ(dropped, 4U);  // of five; the newest is open
  const std::uint64_t after = archive().stats().stored_bytes;
  EXPECT_LT(after + dropped * 150'000, before);
  // What the other one has is whole.
  const auto frames = test::read_all(archive(), b->id, EpochNumber{1});
  ASSERT_OK(frames);
  ASSERT_EQ(frames->size(), static_cast<std::size_t>(kEach));
  for (const auto& [seq, bytes] : *frames) {
    EXPECT_TRUE(bytes == as_text(make_frame({.seq = seq, .blocks_bytes = 20'000}))) << seq;
  }
  EXPECT_OK(archive().verify_files());
}

}  // namespace
}  // namespace standpipe::test
