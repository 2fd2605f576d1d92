#include "tools/play/frame_edit.h"

#include <gtest/gtest.h>

#include <string>

#include "schema/frame.h"
#include "tests/support/frames.h"
#include "tests/support/hex.h"

namespace standpipe::tools::play {
namespace {

using test::hex;
using test::make_frame;

// The bytes that PDS and relay send. Spec: atproto event-stream, "Framing".
TEST(FrameEdit, ErrorsAndInfosAreThoseOfRealServers) {
  EXPECT_EQ(
      error_frame("FutureCursor", "Cursor in the future."),
      hex("a1 62'op' 20 a2 65'error' 6c'FutureCursor' 67'message' 75'Cursor in the future.'"));
  EXPECT_EQ(info_frame(kOutdatedCursor, kOutdatedCursorText),
            hex("a2 61't' 65'#info' 62'op' 01 a2 64'name' 6e'OutdatedCursor' 67'message' "
                "78 38'Requested cursor exceeded limit. Possibly missing events'"));
}

TEST(FrameEdit, AnotherHeaderLeavesThePayload) {
  const Bytes frame = hex("a2 62'op' 01 61't' 64'#old' a1 63'seq' 05");
  EXPECT_EQ(with_header(frame, 1, "#new"), hex("a2 61't' 64'#new' 62'op' 01 a1 63'seq' 05"));
  EXPECT_EQ(with_header(frame, 7, ""), hex("a1 62'op' 07 a1 63'seq' 05"));
  EXPECT_EQ(with_header(Bytes(), 1, "#new"), std::nullopt);
  EXPECT_EQ(with_header(hex("ff"), 1, "#new"), std::nullopt);
  EXPECT_EQ(type_of(frame), "#old");
  EXPECT_EQ(type_of(hex("a0")), "");
}

TEST(FrameEdit, AnotherSeqLeavesEverythingElse) {
  const Bytes frame = hex("a2 61't' 62'#x' 62'op' 01 a3 61'a' 82 01 02 63'seq' 05 61'b' f6");
  EXPECT_EQ(with_seq(frame, 1000),
            hex("a2 61't' 62'#x' 62'op' 01 a3 61'a' 82 01 02 63'seq' 19 03e8 61'b' f6"));
  EXPECT_EQ(with_seq(hex("a0 a0"), 1), std::nullopt);
  EXPECT_EQ(with_seq(hex("a0"), 1), std::nullopt);
  EXPECT_EQ(with_seq(hex("a0 80"), 1), std::nullopt);
  EXPECT_EQ(with_seq(hex("a0 a1 63'seq' 61'5'"), 1), std::nullopt);
  EXPECT_EQ(with_seq(hex("a0 a2 63'seq' 05"), 6).has_value(), true);  // cut off behind it
  EXPECT_EQ(with_seq(hex("a0 a2 61'a'"), 1), std::nullopt);
}

TEST(FrameEdit, PaddingMakesAWellFormedFrameOfThatSize) {
  for (const std::size_t size : {1'000'000U, 5'242'881U, 5'242'882U, 20'000'001U}) {
    const auto padded = padded_to(make_frame(70'000), size);
    ASSERT_TRUE(padded.has_value());
    EXPECT_EQ(padded->size(), size);
    const FrameScan scan = scan_frame(*padded);
    EXPECT_EQ(scan.why, size > kFrameBytesMax ? Unarchivable::too_large : Unarchivable::archivable);
    EXPECT_EQ(scan.envelope.seq, Seq{70'000});
    EXPECT_EQ(scan.envelope.type, "#commit");
    // Its beginning alone tells the seq.
    EXPECT_EQ(scan_frame(ByteView(*padded).first(60)).envelope.seq, Seq{70'000});
  }
  EXPECT_EQ(padded_to(make_frame(1), 999'999), std::nullopt);
  EXPECT_EQ(padded_to(hex("a0 a0"), 5'242'881), std::nullopt);
}

}  // namespace
}  // namespace standpipe::tools::play
