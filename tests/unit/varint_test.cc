#include "schema/varint.h"

#include <gtest/gtest.h>

#include <string>

namespace standpipe {
namespace {

std::string written(std::uint64_t value) {
  Bytes out;
  append_varint(out, value);
  return to_hex(out);
}

Result<Varint> parsed(std::string_view text) {
  const Bytes bytes = parse_hex(text).value();
  return parse_varint(bytes);
}

TEST(Varint, WritesTheExamplesOfTheSpecification) {
  EXPECT_EQ(written(0), "00");
  EXPECT_EQ(written(127), "7f");
  EXPECT_EQ(written(128), "8001");
  EXPECT_EQ(written(255), "ff01");
  EXPECT_EQ(written(300), "ac02");
  EXPECT_EQ(written(16384), "808001");
  EXPECT_EQ(written(kVarintMax), "ffffffffffffffff7f");
}

TEST(Varint, ReadsThemAndLeavesTheRest) {
  EXPECT_EQ(parsed("00")->value, 0U);
  EXPECT_EQ(parsed("7f")->value, 127U);
  EXPECT_EQ(parsed("ac02")->value, 300U);
  EXPECT_EQ(parsed("808001ff")->value, 16384U);
  EXPECT_EQ(parsed("808001ff")->length, 3U);
  EXPECT_EQ(parsed("ffffffffffffffff7f")->value, 9223372036854775807U);
}

TEST(Varint, RefusesWhatIsCutOffTooLongOrNotShortest) {
  EXPECT_EQ(parsed("").error().detail, "varint is cut off");
  EXPECT_EQ(parsed("80").error().detail, "varint is cut off");
  EXPECT_EQ(parsed("8000").error().detail, "varint is not in its shortest form");
  EXPECT_EQ(parsed("ff808000").error().detail, "varint is not in its shortest form");
  EXPECT_EQ(parsed("ffffffffffffffffff").error().detail, "varint is longer than 9 bytes");
  EXPECT_EQ(parsed("ffffffffffffffffff01").error().detail, "varint is longer than 9 bytes");
}

TEST(VarintDeathTest, WritesNothingThatItWouldNotRead) {
  EXPECT_DEATH(written(kVarintMax + 1), "varints end at");
}

}  // namespace
}  // namespace standpipe
