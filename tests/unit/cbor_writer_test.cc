#include "schema/cbor_writer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace standpipe {
namespace {

TEST(CborWriter, HeadsOfEveryLengthAreTheShortest) {
  const auto written = [](std::int64_t value) {
    Bytes out;
    CborWriter(out).write_integer(value);
    return to_hex(out);
  };
  EXPECT_EQ(written(23), "17");
  EXPECT_EQ(written(24), "1818");
  EXPECT_EQ(written(0xFF), "18ff");
  EXPECT_EQ(written(0x100), "190100");
  EXPECT_EQ(written(0xFFFF), "19ffff");
  EXPECT_EQ(written(0x10000), "1a00010000");
  EXPECT_EQ(written(0xFFFFFFFF), "1affffffff");
  EXPECT_EQ(written(0x100000000), "1b0000000100000000");
  EXPECT_EQ(written(-0x101), "390100");
}

TEST(CborMapWriter, WritesKeysThatRise) {
  Bytes out;
  CborWriter writer(out);
  {
    CborMapWriter map(writer, 3);
    map.write_key("b");
    writer.write_integer(1);
    map.write_key("c");
    writer.write_integer(2);
    map.write_key("aa");
    writer.write_null();
  }
  EXPECT_EQ(to_hex(out),
            "a361620161630262"
            "6161f6");
}

TEST(CborMapWriterDeathTest, RefusesKeysOutOfOrderAndMapsThatAreNotFull) {
  Bytes out;
  CborWriter writer(out);
  const auto write = [&](std::size_t pairs, std::string_view first, std::string_view second) {
    CborMapWriter map(writer, pairs);
    map.write_key(first);
    writer.write_null();
    map.write_key(second);
    writer.write_null();
  };
  EXPECT_DEATH(write(2, "aa", "b"), "canonical order");  // longer before shorter
  EXPECT_DEATH(write(2, "c", "b"), "canonical order");
  EXPECT_DEATH(write(2, "b", "b"), "canonical order");
  EXPECT_DEATH(write(1, "b", "c"), "more pairs");
  EXPECT_DEATH(write(3, "b", "c"), "lacks pairs");
}

}  // namespace
}  // namespace standpipe
