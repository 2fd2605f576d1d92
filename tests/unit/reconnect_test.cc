#include "archiver/firehose/reconnect.h"

#include <gtest/gtest.h>

#include "archiver/firehose/ws_client.h"

namespace standpipe::firehose {
namespace {

using std::chrono::milliseconds;

constexpr double kNoJitter = 0.5;

milliseconds delay(unsigned attempts, double random = kNoJitter, DialOutcome outcome = {}) {
  return next_dial(attempts, outcome, random, ReconnectOptions{}).delay;
}

TEST(Reconnect, TheDelayDoublesUpToItsMaximum) {
  unsigned attempts = 0;
  for (const int seconds : {1, 2, 4, 8, 16, 32, 60, 60, 60}) {
    const ReconnectStep step = next_dial(attempts, {}, kNoJitter, ReconnectOptions{});
    EXPECT_EQ(step.delay, milliseconds(seconds * 1000)) << attempts;
    attempts = step.attempts;
  }
  EXPECT_EQ(delay(4'000'000'000U), milliseconds(60'000));
}

TEST(Reconnect, JitterSpreadsTheDelayByAQuarter) {
  EXPECT_EQ(delay(0, 0.0), milliseconds(750));
  EXPECT_EQ(delay(0, 0.75), milliseconds(1'125));
  EXPECT_EQ(delay(10, 0.0), milliseconds(45'000));
  EXPECT_EQ(delay(10, 0.999999), milliseconds(75'000));
}

TEST(Reconnect, AConnectionThatWasUpForAMinuteGoesBackToTheFirstStepNotToNone) {
  const ReconnectStep healthy =
      next_dial(6, {milliseconds(60'000), {}}, kNoJitter, ReconnectOptions{});
  EXPECT_EQ(healthy.delay, milliseconds(1'000));
  EXPECT_EQ(healthy.attempts, 1U);
  EXPECT_EQ(delay(6, kNoJitter, {milliseconds(59'999), {}}), milliseconds(60'000));
}

TEST(Reconnect, WhatTheServerAsksForIsHonouredUpToTenMinutes) {
  EXPECT_EQ(delay(0, 0.0, {milliseconds(0), milliseconds(30'000)}), milliseconds(30'000));
  EXPECT_EQ(delay(0, 0.0, {milliseconds(0), milliseconds(600'000)}), milliseconds(600'000));
  EXPECT_EQ(delay(0, 0.0, {milliseconds(0), milliseconds(600'001)}), milliseconds(600'000));
  // It asks for less than we would wait anyway.
  EXPECT_EQ(delay(3, kNoJitter, {milliseconds(0), milliseconds(0)}), milliseconds(8'000));
}

TEST(Reconnect, RetryAfterIsANumberOfSecondsOrADate) {
  constexpr std::int64_t kNow = 784'111'777'000;  // Sun, 06 Nov 1994 08:49:37 GMT
  EXPECT_EQ(parse_retry_after("120", kNow), milliseconds(120'000));
  EXPECT_EQ(parse_retry_after("0", kNow), milliseconds(0));
  EXPECT_EQ(parse_retry_after("99999999999999999999", kNow), milliseconds(31'536'000'000));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:50:07 GMT", kNow), milliseconds(30'000));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", kNow), milliseconds(0));
  for (const char* nothing : {"", "-1", "soon", "1.5", "Sun, 06 Abc 1994 08:50:07 GMT",
                              "Sun, 36 Nov 1994 08:50:07 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"}) {
    EXPECT_EQ(parse_retry_after(nothing, kNow), std::nullopt) << nothing;
  }
}

}  // namespace
}  // namespace standpipe::firehose
