// How far a reader decodes ahead, by what became of the runs that it decoded.
#include "storage/read_ahead.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace standpipe::test {
namespace {

using storage::PartitionId;
using storage::ReadAhead;
using storage::RunKey;

constexpr std::size_t kKiB = 1024;

RunKey run(std::int64_t first, std::uint64_t partition = 1) {
  return {PartitionId{partition}, Seq{first}};
}

// What it says at one miss after the other, all that was decoded ahead having been there.
std::vector<std::size_t> kibibytes_of_whole_uses(ReadAhead& ahead, std::int64_t first,
                                                 std::size_t count) {
  std::vector<std::size_t> said;
  for (std::size_t i = 0; i < count; ++i, first += 2) {
    said.push_back(ahead.bytes_after(run(first)) / kKiB);
    if (said.back() > 0) ahead.keep(run(first + 1));
  }
  return said;
}

TEST(ReadAhead, GoesFurtherEachTimeUntilItLosesSomething) {
  ReadAhead ahead(2048 * kKiB);
  EXPECT_EQ(kibibytes_of_whole_uses(ahead, 1, 4),
            (std::vector<std::size_t>{512, 1024, 2048, 2048}));
}

TEST(ReadAhead, ASmallCacheBoundsIt) {
  ReadAhead ahead(300 * kKiB);
  EXPECT_EQ(kibibytes_of_whole_uses(ahead, 1, 3), (std::vector<std::size_t>{300, 300, 300}));
  ReadAhead none(0);
  EXPECT_EQ(kibibytes_of_whole_uses(none, 1, 12), std::vector<std::size_t>(12, 0));
}

TEST(ReadAhead, HalfAsFarAfterALossAndNotAtAllIfThatGoesOn) {
  ReadAhead ahead(2048 * kKiB);
  kibibytes_of_whole_uses(ahead, 1, 3);
  std::vector<std::size_t> said;
  for (std::int64_t first = 10; first < 16; ++first) {
    ahead.keep(run(first));
    said.push_back(ahead.bytes_after(run(first)) / kKiB);  // the run that was decoded is gone
  }
  EXPECT_EQ(said, (std::vector<std::size_t>{1024, 512, 256, 128, 0, 0}));
}

TEST(ReadAhead, AfterALossItGrowsSlowly) {
  ReadAhead ahead(2048 * kKiB);
  ahead.bytes_after(run(1));
  ahead.keep(run(5));
  EXPECT_EQ(ahead.bytes_after(run(3)), 256 * kKiB) << "3 was decoded on the way to 5";
  ahead.keep(run(4));
  std::vector<std::size_t> expected(7, 256);
  expected.insert(expected.end(), 8, 512);
  expected.push_back(1024);
  EXPECT_EQ(kibibytes_of_whole_uses(ahead, 5, 16), expected);
}

TEST(ReadAhead, FromNothingItTriesAgain) {
  ReadAhead ahead(128 * kKiB);
  ahead.keep(run(1));
  EXPECT_EQ(ahead.bytes_after(run(1)), 0U);
  std::vector<std::size_t> expected(7, 0);
  expected.push_back(128);
  EXPECT_EQ(kibibytes_of_whole_uses(ahead, 2, 8), expected);
}

TEST(ReadAhead, WhatItDidNotDecodeIsNoLoss) {
  ReadAhead ahead(512 * kKiB);
  ahead.keep(run(9));
  EXPECT_EQ(ahead.bytes_after(run(3, 2)), 512 * kKiB) << "another partition";
  ahead.keep(run(9));
  ahead.restart();
  EXPECT_EQ(ahead.bytes_after(run(3)), 512 * kKiB) << "the reader began anew, before all that";
}

}  // namespace
}  // namespace standpipe::test
