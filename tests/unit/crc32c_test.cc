#include "schema/base/crc32c.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>

namespace standpipe {
namespace {

// Expected values: RFC 3720, B.4, and the customary check value of "123456789".
TEST(Crc32c, MatchesThePublishedVectors) {
  const Bytes zeros(32, std::byte{0});
  const Bytes ones(32, std::byte{0xFF});
  Bytes rising;
  for (unsigned i = 0; i < 32; ++i) rising.push_back(static_cast<std::byte>(i));
  for (const auto function : {crc32c, crc32c_portable}) {
    EXPECT_EQ(function({}, 0), 0U);
    EXPECT_EQ(function(as_bytes("123456789"), 0), 0xE3069283U);
    EXPECT_EQ(function(zeros, 0), 0x8A9136AAU);
    EXPECT_EQ(function(ones, 0), 0x62A8AB43U);
    EXPECT_EQ(function(rising, 0), 0x46DD794EU);
  }
}

TEST(Crc32c, ContinuesAcrossEverySplit) {
  const ByteView whole = as_bytes("the stored column of water behind a fire hose");
  const std::uint32_t expected = crc32c_portable(whole);
  for (std::size_t at = 0; at <= whole.size(); ++at) {
    EXPECT_EQ(crc32c(whole.subspan(at), crc32c(whole.first(at))), expected) << "split at " << at;
  }
}

TEST(Crc32c, TheInstructionAndTheTableAgreeAtEveryLengthAndAlignment) {
  std::mt19937_64 random(20261123);
  Bytes bytes(300);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() & 0xFFU);
  for (std::size_t from = 0; from < 9; ++from) {
    for (std::size_t size = 0; size + from <= bytes.size(); ++size) {
      const ByteView view = ByteView(bytes).subspan(from, size);
      ASSERT_EQ(crc32c(view), crc32c_portable(view)) << "from " << from << ", size " << size;
    }
  }
}

// Long enough for lanes, and for what is left behind them.
TEST(Crc32c, TheInstructionAndTheTableAgreeOnLongInputs) {
  std::mt19937_64 random(20261124);
  Bytes bytes(20'000);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() & 0xFFU);
  for (std::size_t size = 3000; size <= bytes.size(); size += size < 3200 ? 1 : 251) {
    const ByteView view = ByteView(bytes).first(size);
    ASSERT_EQ(crc32c(view), crc32c_portable(view)) << "size " << size;
    const std::uint32_t before = crc32c_portable(view.first(size / 3));
    ASSERT_EQ(crc32c(view.subspan(size / 3), before), crc32c_portable(view)) << "size " << size;
  }
}

}  // namespace
}  // namespace standpipe
