#include "storage/group_clock.h"

#include <gtest/gtest.h>

namespace standpipe::storage {
namespace {

constexpr std::int64_t kNow = 2'000'000'000'000;

TEST(GroupClock, IsTheMedianOfTheNewestFrames) {
  GroupClock clock;
  for (std::int64_t i = 1; i <= 9; ++i) clock.add_frame(i * 100);
  EXPECT_EQ(clock.end_group(kNow), 500);
}

TEST(GroupClock, ForgetsWhatIsOlderThanItsWindow) {
  GroupClock clock;
  for (std::int64_t i = 1; i <= 64; ++i) clock.add_frame(1);
  for (std::int64_t i = 1; i <= 64; ++i) clock.add_frame(1000 + i);
  EXPECT_EQ(clock.end_group(kNow), 1033);
}

TEST(GroupClock, OneAbsurdFrameMovesNothing) {
  constexpr std::int64_t kYear2099 = 4'070'908'800'000;
  GroupClock clock;
  for (std::int64_t i = 0; i < 20; ++i) clock.add_frame(1000);
  clock.add_frame(kYear2099);
  clock.add_frame(0);
  EXPECT_EQ(clock.end_group(kNow), 1000);
}

TEST(GroupClock, AnAbsurdFirstFrameMovesNothingOnceOthersFollow) {
  constexpr std::int64_t kYear2099 = 4'070'908'800'000;
  GroupClock clock;
  clock.add_frame(kYear2099);
  clock.add_frame(1000);
  EXPECT_EQ(clock.end_group(kNow), 1000);
}

TEST(GroupClock, NeverPassesTheTimeOfReceipt) {
  GroupClock clock;
  for (std::int64_t i = 0; i < 64; ++i) clock.add_frame(kNow + 1);
  EXPECT_EQ(clock.end_group(kNow - 5), kNow - 5);
}

TEST(GroupClock, NeverGoesBack) {
  GroupClock clock(5000);
  for (std::int64_t i = 0; i < 64; ++i) clock.add_frame(1000);
  EXPECT_EQ(clock.end_group(kNow), 5000);
}

TEST(GroupClock, IsTheTimeOfReceiptWhereFramesCarryNone) {
  GroupClock clock;
  clock.add_frame(std::nullopt);
  EXPECT_EQ(clock.end_group(kNow), kNow);
}

}  // namespace
}  // namespace standpipe::storage
