#include "schema/base/bytes.h"

#include <gtest/gtest.h>

#include <array>

namespace standpipe {
namespace {

TEST(Bytes, HexReadsEitherCaseAndWritesLower) {
  EXPECT_EQ(to_hex(parse_hex("00fFAb").value()), "00ffab");
  EXPECT_TRUE(parse_hex("")->empty());
  EXPECT_EQ(parse_hex("abc").error().detail, "hex text of odd length");
  EXPECT_EQ(parse_hex("ab0g").error().detail, "not a hex digit at position 2");
}

TEST(Bytes, FixedWidthIntegersKeepTheirOrder) {
  std::array<std::byte, 8> place{};
  store_le<std::uint32_t>(place.data(), 0x01020304);
  EXPECT_EQ(to_hex(ByteView(place).first(4)), "04030201");
  EXPECT_EQ(load_le<std::uint32_t>(place.data()), 0x01020304U);
  store_be<std::uint64_t>(place.data(), 0xFF02030405060708);
  EXPECT_EQ(to_hex(place), "ff02030405060708");
  EXPECT_EQ(load_be<std::uint64_t>(place.data()), 0xFF02030405060708U);
  EXPECT_EQ(load_be<std::uint16_t>(place.data()), 0xFF02U);
}

TEST(Bytes, EqualComparesLengthAndContent) {
  EXPECT_TRUE(equal({}, {}));
  EXPECT_TRUE(equal(as_bytes("ab"), as_bytes("ab")));
  EXPECT_FALSE(equal(as_bytes("ab"), as_bytes("abc")));
  EXPECT_FALSE(equal(as_bytes("ab"), as_bytes("ac")));
}

}  // namespace
}  // namespace standpipe
