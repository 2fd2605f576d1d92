#include "replay/egress.h"

#include <gtest/gtest.h>

namespace standpipe::replay {
namespace {

TEST(TokenBucket, WithoutARateNothingIsHeldBack) {
  TokenBucket bucket(0, 0);
  EXPECT_TRUE(bucket.is_unlimited());
  EXPECT_EQ(bucket.take(1'000'000'000, 0), 1'000'000'000U);
}

TEST(TokenBucket, BeginsWithATenthOfASecond) {
  TokenBucket bucket(1'000'000, 0);
  EXPECT_EQ(bucket.take(1'000'000, 0), 100'000U);
  EXPECT_EQ(bucket.take(1'000'000, 0), 0U);
}

TEST(TokenBucket, FillsWithTimeUpToTheBurst) {
  TokenBucket bucket(1'000'000, 0);
  EXPECT_EQ(bucket.take(100'000, 0), 100'000U);
  EXPECT_EQ(bucket.take(1'000'000, 10), 10'000U);
  EXPECT_EQ(bucket.take(1'000'000, 10'000), 100'000U);
}

TEST(TokenBucket, OverASecondGivesItsRateWhateverTheSteps) {
  for (const std::uint64_t rate : {700U, 4'321U, 1'000'000U}) {
    TokenBucket bucket(rate, 0);
    while (bucket.take(1'000'000, 0) > 0) {
    }
    std::uint64_t taken = 0;
    for (std::int64_t ms = 1; ms <= 10'000; ++ms) taken += bucket.take(1'000'000, ms);
    EXPECT_LE(taken, rate * 10);
    EXPECT_GE(taken, rate * 9);
  }
}

TEST(TokenBucket, TakesBackWhatWasNotSent) {
  TokenBucket bucket(1'000'000, 0);
  EXPECT_EQ(bucket.take(60'000, 0), 60'000U);
  bucket.give_back(50'000);
  EXPECT_EQ(bucket.take(1'000'000, 0), 90'000U);
  bucket.give_back(5'000'000);
  EXPECT_EQ(bucket.take(1'000'000, 0), 100'000U);
}

}  // namespace
}  // namespace standpipe::replay
