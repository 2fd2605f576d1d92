#include "schema/datetime.h"

#include <gtest/gtest.h>

#include <limits>

namespace standpipe {
namespace {

TEST(Datetime, KeepsItsTextAndKnowsItsInstant) {
  const auto datetime = Datetime::parse("2026-01-02T03:04:05.678901+01:45");
  ASSERT_TRUE(datetime);
  EXPECT_EQ(datetime->text(), "2026-01-02T03:04:05.678901+01:45");
  EXPECT_EQ(datetime->ms(), 1767316745678);  // 2026-01-02T01:19:05.678Z
}

TEST(Datetime, SaysWhichRuleIsBroken) {
  const auto why = [](std::string_view text) { return Datetime::parse(text).error().detail; };
  EXPECT_EQ(why("1985-04-12"), "datetime: not YYYY-MM-DDTHH:MM:SS.sssZ");
  EXPECT_EQ(why("1985-04-12t23:20:50z"), "datetime: not YYYY-MM-DDTHH:MM:SS.sssZ");
  EXPECT_EQ(why("1985-02-29T23:20:50Z"), "datetime: no such day or time of day");
  EXPECT_EQ(why("1985-04-12T23:20:60Z"), "datetime: no such day or time of day");
  EXPECT_EQ(why("1985-04-12T23:20:50-00:00"), "datetime: -00:00 is not allowed, use Z");
  EXPECT_EQ(why("0000-01-01T00:00:00+00:01"), "datetime: before 0000-01-01T00:00:00Z");
  EXPECT_EQ(why("1985-04-12T23:20:50.123456789012345678901Z"),
            "datetime: more than 20 digits of a fraction");
  EXPECT_EQ(why("1985-04-12T23:20:50." + std::string(50, '0') + "Z"),
            "datetime: longer than 64 bytes");
}

TEST(DatetimeMs, ReadsTheInstant) {
  EXPECT_EQ(parse_datetime_ms("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_datetime_ms("2026-01-02T03:04:05.678Z"), 1767323045678);
  EXPECT_EQ(parse_datetime_ms("2000-02-29T12:00:00Z"), 951825600000);
  EXPECT_EQ(parse_datetime_ms("1969-12-31T23:59:59.999Z"), -1);
  EXPECT_EQ(parse_datetime_ms("0000-01-01T00:00:00Z"), -62167219200000);
  EXPECT_EQ(parse_datetime_ms("9999-12-31T23:59:59.999Z"), 253402300799999);
  EXPECT_EQ(parse_datetime_ms("1970-01-01T01:00:00+01:00"), 0);
  EXPECT_EQ(parse_datetime_ms("1969-12-31T16:30:00-07:30"), 0);
}

TEST(DatetimeMs, CutsFractionsAndPadsShortOnes) {
  EXPECT_EQ(parse_datetime_ms("1970-01-01T00:00:00.9999999Z"), 999);
  EXPECT_EQ(parse_datetime_ms("1970-01-01T00:00:00.5Z"), 500);
  EXPECT_EQ(parse_datetime_ms("1970-01-01T00:00:00.05Z"), 50);
}

TEST(DatetimeMs, ForgivesWhatRfc3339Allows) {
  EXPECT_EQ(parse_datetime_ms("1970-01-01t00:00:01z"), 1000);
  EXPECT_EQ(parse_datetime_ms("1970-01-01T00:00:00-00:00"), 0);
  EXPECT_EQ(parse_datetime_ms("2016-12-31T23:59:60Z"), 1483228800000);
}

TEST(DatetimeMs, RefusesWhatIsNoDatetime) {
  for (const char* text :
       {"", "2026-01-02", "2026-01-02T03:04Z", "2026-01-02T03:04:05", "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05.Z", "2026-13-02T03:04:05Z", "2026-02-30T03:04:05Z",
        "1900-02-29T00:00:00Z", "2026-01-02T24:00:00Z", "2026-01-02T03:04:61Z",
        "2026-01-02T03:04:05+24:00", "2026-01-02T03:04:05+1:00", "2026-01-02T03:04:05ZZ",
        "12026-01-02T03:04:05Z", "-026-01-02T03:04:05Z"}) {
    EXPECT_EQ(parse_datetime_ms(text), std::nullopt) << text;
  }
}

TEST(DatetimeMs, FormatsWithMillisecondsInUtc) {
  EXPECT_EQ(format_datetime_ms(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(format_datetime_ms(1767323045678), "2026-01-02T03:04:05.678Z");
  EXPECT_EQ(format_datetime_ms(-1), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(format_datetime_ms(-62167219200000), "0000-01-01T00:00:00.000Z");
  EXPECT_EQ(format_datetime_ms(253402300799999), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(format_datetime_ms(253402300800000), "10000-01-01T00:00:00.000Z");
  EXPECT_EQ(format_datetime_ms(std::numeric_limits<std::int64_t>::max()),
            "292278994-08-17T07:12:55.807Z");
}

// Every day of 800 years, which holds two eras of the calendar.
TEST(DatetimeMs, ReadsBackWhatItFormats) {
  for (std::int64_t day = -146'097; day < 146'097; ++day) {
    const std::int64_t ms = day * 86'400'000 + 45'296'789;
    ASSERT_EQ(parse_datetime_ms(format_datetime_ms(ms)), ms) << format_datetime_ms(ms);
  }
}

}  // namespace
}  // namespace standpipe
