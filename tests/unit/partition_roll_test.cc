// Where one partition ends and the next begins, and what a group's clock makes of odd times.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/archive_fixture.h"

namespace standpipe::test {
namespace {

using storage::PartitionInfo;
using storage::PartitionState;
using ::testing::ElementsAre;

constexpr std::int64_t kHourMs = 3'600'000;
constexpr std::int64_t kYear2099Ms = 4'070'908'800'000;  // 2099-01-01T00:00:00Z

class PartitionRoll : public ArchiveFixture {
 protected:
  PartitionRoll() {
    options.group_frames_max = 64;
    clock.set(kFirstFrameMs + 1000 * kHourMs);
  }

  // A group of 64 frames that all say `time_ms`: so does the clock of the group.
  void given_group(std::int64_t first, std::int64_t time_ms) {
    for (std::int64_t seq = first; seq < first + 64; ++seq) {
      append({.seq = seq, .blocks_bytes = 20, .time_ms = time_ms});
    }
    commit();
  }

  // Last seqs, oldest partition first.
  std::vector<std::int64_t> ends() {
    std::vector<std::int64_t> out;
    for (const PartitionInfo& partition : archive().partitions()) {
      if (partition.frames > 0) out.push_back(to_int(partition.last));
    }
    return out;
  }
};

TEST_F(PartitionRoll, EndsBeforeItsBytesAreTooMany) {
  options.group_frames_max = 8;
  options.partition_bytes_max = 20'000;
  given_archive();
  given_frames(1, 200);
  std::uint64_t frames = 0;
  std::int64_t last = 0;
  const auto partitions = archive().partitions();
  ASSERT_GE(partitions.size(), 4U);
  for (const PartitionInfo& partition : partitions) {
    if (partition.frames == 0) continue;
    EXPECT_LE(partition.raw_bytes, 20'000U);
    EXPECT_EQ(to_int(partition.first), last + 1);
    last = to_int(partition.last);
    frames += partition.frames;
    if (last < 200) {
      EXPECT_GT(partition.raw_bytes, 10'000U) << "it ended too early";
      EXPECT_EQ(partition.state, PartitionState::sealed);
    }
  }
  EXPECT_EQ(last, 200);
  EXPECT_EQ(frames, 200U);
  expect_model();
}

TEST_F(PartitionRoll, EndsAfterItsSpanOfClock) {
  options.partition_span_ms = 24 * kHourMs;
  given_archive();
  given_group(1, kFirstFrameMs);
  given_group(65, kFirstFrameMs + 12 * kHourMs);
  given_group(129, kFirstFrameMs + 24 * kHourMs - 1);
  given_group(193, kFirstFrameMs + 24 * kHourMs);  // the next one begins here
  given_group(257, kFirstFrameMs + 47 * kHourMs);
  given_group(321, kFirstFrameMs + 90 * kHourMs);
  EXPECT_THAT(ends(), ElementsAre(192, 320, 384));
  const auto partitions = archive().partitions();
  EXPECT_EQ(partitions.at(0).clock_first_ms, kFirstFrameMs);
  EXPECT_EQ(partitions.at(0).clock_last_ms, kFirstFrameMs + 24 * kHourMs - 1);
  EXPECT_EQ(partitions.at(1).clock_first_ms, kFirstFrameMs + 24 * kHourMs);
  expect_model();
  reopen();
  EXPECT_THAT(ends(), ElementsAre(192, 320, 384));
  expect_model();
}

TEST_F(PartitionRoll, ASmallOneStaysOpenUntilItIsOldEnough) {
  options.partition_span_ms = 24 * kHourMs;
  options.partition_bytes_min = 1'000'000;
  options.partition_age_max_ms = 100 * kHourMs;
  given_archive();
  given_group(1, kFirstFrameMs);
  given_group(65, kFirstFrameMs + 25 * kHourMs);
  given_group(129, kFirstFrameMs + 100 * kHourMs - 1);
  EXPECT_THAT(ends(), ElementsAre(192));
  given_group(193, kFirstFrameMs + 100 * kHourMs);
  EXPECT_THAT(ends(), ElementsAre(192, 256));
  expect_model();
}

TEST_F(PartitionRoll, OneThatHasGrownEndsAfterItsSpanAlthoughTheMinimumIsSet) {
  options.partition_span_ms = 24 * kHourMs;
  options.partition_bytes_min = 1000;
  options.partition_age_max_ms = 100 * kHourMs;
  given_archive();
  given_group(1, kFirstFrameMs);
  given_group(65, kFirstFrameMs + 25 * kHourMs);
  EXPECT_THAT(ends(), ElementsAre(64, 128));
}

TEST_F(PartitionRoll, SealEndsTheOpenOneAndAnEmptyOneIsNotSealed) {
  given_archive();
  given_group(1, kFirstFrameMs);
  ASSERT_OK(archive().seal(stream()));
  ASSERT_OK(archive().seal(stream()));
  given_group(65, kFirstFrameMs);
  EXPECT_THAT(ends(), ElementsAre(64, 128));
  std::size_t sealed = 0;
  for (const PartitionInfo& partition : archive().partitions()) {
    if (partition.state == PartitionState::sealed) ++sealed;
  }
  EXPECT_EQ(sealed, 1U);
}

TEST_F(PartitionRoll, OneFrameFrom2099AndOneFrom1970MoveNoClock) {
  given_archive();
  for (std::int64_t seq = 1; seq <= 64; ++seq) {
    std::int64_t time_ms = kFirstFrameMs + 5 * kHourMs;
    if (seq == 20) time_ms = kYear2099Ms;
    if (seq == 40) time_ms = 1000;  // 1970
    append({.seq = seq, .blocks_bytes = 20, .time_ms = time_ms});
  }
  const auto report = commit();
  ASSERT_EQ(report.runs.size(), 1U);
  EXPECT_EQ(report.runs.front()->clock_ms, kFirstFrameMs + 5 * kHourMs);
  EXPECT_THAT(ends(), ElementsAre(64));
}

TEST_F(PartitionRoll, AStreamThatBeginsWithAFrameFrom2099IsNotThere) {
  given_archive();
  append({.seq = 1, .blocks_bytes = 20, .time_ms = kYear2099Ms});
  append({.seq = 2, .blocks_bytes = 20, .time_ms = kFirstFrameMs});
  const auto report = commit();
  ASSERT_EQ(report.runs.size(), 1U);
  EXPECT_EQ(report.runs.front()->clock_ms, kFirstFrameMs) << "the smallest while there are few";
}

TEST_F(PartitionRoll, AClockIsNeverAheadOfTheReceiveTime) {
  clock.set(kFirstFrameMs + kHourMs);
  given_archive();
  given_group(1, kYear2099Ms);
  EXPECT_EQ(archive().partitions().front().clock_last_ms, kFirstFrameMs + kHourMs);
}

TEST_F(PartitionRoll, AClockNeverFalls) {
  given_archive();
  given_group(1, kFirstFrameMs + 10 * kHourMs);
  given_group(65, kFirstFrameMs);
  EXPECT_EQ(archive().partitions().front().clock_last_ms, kFirstFrameMs + 10 * kHourMs);
  reopen();
  given_group(129, kFirstFrameMs);
  EXPECT_EQ(archive().partitions().front().clock_last_ms, kFirstFrameMs + 10 * kHourMs);
}

}  // namespace
}  // namespace standpipe::test
