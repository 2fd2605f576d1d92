#include "tests/support/shared_data.h"

#include <gtest/gtest.h>

namespace standpipe::test {
namespace {

// The figures are those of the READMEs beside the files.
TEST(SharedData, TheFrameCorporaHoldWhatTheirReadmesSay) {
  STANDPIPE_REQUIRE_SHARED();
  const auto total = [](const std::vector<Bytes>& frames) {
    std::size_t bytes = 0;
    for (const Bytes& frame : frames) bytes += frame.size();
    return bytes;
  };
  const auto jetstream = read_frame_corpus(shared_dir() / "data/jetstream-corpus/frames.bin.zst");
  EXPECT_EQ(jetstream.size(), 150U);
  EXPECT_EQ(total(jetstream), 818'776U);
  const auto horizon = read_frame_corpus(shared_dir() / "data/horizon-firehose/frames.bin.zst");
  EXPECT_EQ(horizon.size(), 21U);
  EXPECT_EQ(total(horizon), 117'052U);
  const auto rune = read_frame_corpus(shared_dir() / "data/proto-rune/frames.bin.zst");
  EXPECT_EQ(rune.size(), 12U);
  EXPECT_EQ(total(rune), 58'906U);
}

}  // namespace
}  // namespace standpipe::test
