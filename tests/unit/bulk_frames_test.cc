// That bulk frames are what benches and long runs take them for.
#include "tests/support/bulk_frames.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <set>
#include <string>

#include "schema/frame.h"

namespace standpipe::test {
namespace {

// Stored over raw of groups of 64, as the archive would compress them.
double ratio_of(BulkFrames& frames, int groups) {
  std::size_t raw = 0, stored = 0;
  for (int i = 0; i < groups; ++i) {
    std::string group;
    for (int j = 0; j < 64; ++j) group += as_text(frames.next());
    std::string out(ZSTD_compressBound(group.size()), '\0');
    stored += ZSTD_compress(out.data(), out.size(), group.data(), group.size(), 1);
    raw += group.size();
  }
  return static_cast<double>(stored) / static_cast<double>(raw);
}

std::set<std::string> digests_of(std::string_view frame) {
  std::set<std::string> out;
  constexpr std::string_view kPrefix("\x01\x71\x12\x20");
  for (std::size_t at = frame.find(kPrefix); at != std::string_view::npos;
       at = frame.find(kPrefix, at + 1)) {
    out.emplace(frame.substr(at + 4, 32));
  }
  return out;
}

void expect_like_real_ones(bool uses_corpus) {
  BulkFrames frames({.uses_corpus = uses_corpus});
  std::set<std::string> digests;
  std::size_t bytes = 0, occurrences = 0;
  for (std::int64_t i = 0; i < 450; ++i) {
    const ByteView frame = frames.next();
    bytes += frame.size();
    const FrameScan scan = scan_frame(frame);
    ASSERT_EQ(to_string(scan.why), "archivable");
    ASSERT_EQ(scan.envelope.seq, Seq{31'527'015'472 + i});
    ASSERT_EQ(parse_datetime_ms(scan.envelope.time), frames.time_ms());
    const std::set<std::string> own = digests_of(as_text(frame));
    occurrences += own.size();
    digests.insert(own.begin(), own.end());
  }
  EXPECT_EQ(digests.size(), occurrences) << "a digest stands in two frames";
  EXPECT_GT(occurrences, 450U * 40);
  EXPECT_GT(bytes / 450, 4'800U);
  EXPECT_LT(bytes / 450, 6'200U);
  const double ratio = ratio_of(frames, 20);
  EXPECT_GT(ratio, 0.62);
  EXPECT_LT(ratio, 0.68);
}

TEST(BulkFrames, WeighAndCompressLikeRealOnes) { expect_like_real_ones(true); }

TEST(BulkFrames, OfOurOwnMakingWeighAndCompressLikeRealOnes) { expect_like_real_ones(false); }

TEST(BulkFrames, AreTheSameForTheSameSeedAndOthersForAnother) {
  BulkFrames one({.seed = 5, .uses_corpus = false});
  BulkFrames same({.seed = 5, .uses_corpus = false});
  BulkFrames other({.seed = 6, .uses_corpus = false});
  for (int i = 0; i < 200; ++i) {
    const Bytes frame = to_bytes(one.next());
    ASSERT_TRUE(equal(frame, same.next()));
    ASSERT_FALSE(equal(frame, other.next()));
  }
}

}  // namespace
}  // namespace standpipe::test
