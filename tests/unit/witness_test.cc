#include "storage/witness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/archive_fixture.h"
#include "tests/support/temp_dir.h"

namespace standpipe::test {
namespace {

using storage::Witness;
using storage::WitnessState;
using testing::HasSubstr;

WitnessState at_seq(std::int64_t newest) {
  WitnessState state;
  state.archive.fill(std::byte{7});
  state.entries.push_back(
      {storage::StreamId{1}, storage::EpochNumber{2}, Seq{newest}, Seq{newest}});
  return state;
}

class WitnessTest : public ::testing::Test {
 protected:
  void given_writes(std::int64_t count) {
    auto witness = Witness::open(path());
    ASSERT_OK(witness);
    for (std::int64_t i = 1; i <= count; ++i) ASSERT_OK(witness->write(at_seq(i * 100)));
  }
  void flip(std::streamoff at) {
    std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(at);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(at);
    file.put(byte);
  }
  std::filesystem::path path() const { return dir_ / "witness"; }

 private:
  TempDir dir_;
};

TEST_F(WitnessTest, SaysNothingBeforeTheFirstWrite) {
  const auto witness = Witness::open(path());
  ASSERT_OK(witness);
  EXPECT_FALSE(witness->state().has_value());
}

TEST_F(WitnessTest, RemembersTheNewestWrite) {
  for (const std::int64_t writes : {1, 2, 3, 4}) {
    std::filesystem::remove(path());
    given_writes(writes);
    const auto witness = Witness::open(path());
    ASSERT_OK(witness);
    ASSERT_TRUE(witness->state().has_value());
    EXPECT_EQ(witness->state()->entries, at_seq(writes * 100).entries);
    EXPECT_EQ(witness->warning(), "");
  }
}

TEST_F(WitnessTest, FallsBackToTheOtherSlotAndSaysSo) {
  given_writes(2);  // 100 in the first slot, 200 in the second
  flip(4096 + 50);
  const auto witness = Witness::open(path());
  ASSERT_OK(witness);
  ASSERT_TRUE(witness->state().has_value());
  EXPECT_EQ(witness->state()->entries.front().newest, Seq{100});
  EXPECT_THAT(witness->warning(), HasSubstr("slot 1 (byte 4096): wrong checksum"));
}

TEST_F(WitnessTest, IsDamagedWhereNeitherSlotIsValid) {
  given_writes(2);
  flip(60);
  flip(4096 + 60);
  const auto witness = Witness::open(path());
  ASSERT_FALSE(witness);
  EXPECT_EQ(witness.error().code, Errc::corrupt);
  EXPECT_THAT(witness.error().detail, HasSubstr(path().string()));
}

TEST_F(WitnessTest, AFlipAnywhereInTheOnlySlotIsSeen) {
  given_writes(1);
  for (std::streamoff at = 0; at < 4096; at += 5) {
    flip(at);
    EXPECT_FALSE(Witness::open(path())) << "byte " << at;
    flip(at);
  }
  EXPECT_OK(Witness::open(path()));
}

}  // namespace
}  // namespace standpipe::test
