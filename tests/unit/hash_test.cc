#include "schema/hash.h"

#include <gtest/gtest.h>

#include <thread>

namespace standpipe {
namespace {

// FIPS 180-2, appendix B.
constexpr std::string_view kTwoBlocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
constexpr std::string_view kTwoBlocksHash =
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";

TEST(Sha256, MatchesThePublishedVectors) {
  EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256(as_bytes(kTwoBlocks))), kTwoBlocksHash);
  EXPECT_EQ(to_hex(sha256(ByteView())),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

// Values by coreutils' sha256sum: what fits into one block with its padding, and what does not.
TEST(Sha256, IsRightAroundTheEndOfABlock) {
  const std::pair<std::size_t, std::string_view> expected[] = {
      {54, "63cdf8f1f8a893e9c4cac6ed013c383912122dd0532d946bdde22d343fd5d5b4"},
      {55, "94abcc11f65698688ffc2858efb9b3d55f20c579abaad82735ae6817887595f4"},
      {56, "493a700b8fd71c2a186c018e1d3a9b1bebbcec358a13daa67e76a788fddc2e07"},
      {63, "d4bacb34b88e17aabe42b5e49c36ab951d4fe19a13c11410eebbc73265e4edfe"},
      {64, "2519b49bcf69feac270ac3c8631539e8caed4c7e6a62c6cc5511228a61780745"},
      {65, "f39cdc2584758c99cf81c1f41d2572f54e17066afffc9d187aeafe5f7cbe2122"},
  };
  for (const auto& [length, digest] : expected) {
    EXPECT_EQ(to_hex(sha256(as_bytes(std::string(length, 'k')))), digest) << length;
  }
}

TEST(Sha256, PartsHashAsIfTheyWereJoined) {
  const ByteView whole = as_bytes(kTwoBlocks);
  for (std::size_t at = 0; at <= whole.size(); ++at) {
    const ByteView parts[] = {whole.first(at), whole.subspan(at)};
    EXPECT_EQ(to_hex(sha256(parts)), kTwoBlocksHash) << "split at " << at;
    Sha256 hash;
    hash.update(parts[0]);
    hash.update(parts[1]);
    EXPECT_EQ(to_hex(hash.finish()), kTwoBlocksHash) << "split at " << at;
  }
}

TEST(Sha256, TellsTheHashSoFarAndGoesOn) {
  Sha256 hash;
  hash.update(as_bytes("abc"));
  EXPECT_EQ(to_hex(hash.so_far()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  hash.update(as_bytes(kTwoBlocks).subspan(3));  // which begins with "abc"
  EXPECT_EQ(to_hex(hash.so_far()), kTwoBlocksHash);
  EXPECT_EQ(to_hex(hash.finish()), kTwoBlocksHash);
}

TEST(Sha256, BeginsAnewAfterFinishAndMovesWithItsState) {
  Sha256 hash;
  hash.update(as_bytes("something else"));
  EXPECT_NE(to_hex(hash.finish()), kTwoBlocksHash);
  hash.update(as_bytes(kTwoBlocks).first(20));
  Sha256 moved = std::move(hash);
  moved.update(as_bytes(kTwoBlocks).subspan(20));
  EXPECT_EQ(to_hex(moved.finish()), kTwoBlocksHash);
}

TEST(Sha256, EveryThreadHasItsOwnState) {
  std::vector<std::jthread> threads;
  std::vector<int> wrong(4);
  for (int& count : wrong) {
    threads.emplace_back([&count] {
      for (int i = 0; i < 500; ++i) {
        if (to_hex(sha256(as_bytes(kTwoBlocks))) != kTwoBlocksHash) ++count;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, std::vector<int>({0, 0, 0, 0}));
}

// NIST's example of one block, and the same text changed in place.
TEST(Sha256, ShortTextIsHashedAgainAfterEachChange) {
  ShortSha256 text(as_bytes("abd"));
  EXPECT_EQ(text.digest(), sha256(as_bytes("abd")));
  text.text()[2] = std::byte{'c'};
  EXPECT_EQ(to_hex(text.digest()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  for (std::size_t size = 0; size <= ShortSha256::kBytesMax; ++size) {
    const std::string whole(size, 'q');
    EXPECT_EQ(ShortSha256(as_bytes(whole)).digest(), sha256(as_bytes(whole))) << size;
  }
}

}  // namespace
}  // namespace standpipe
