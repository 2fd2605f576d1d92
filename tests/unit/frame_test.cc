#include "schema/frame.h"

#include <gtest/gtest.h>

namespace standpipe {
namespace {

Bytes hex(std::string_view text) {
  std::string packed;
  for (const char c : text) {
    if (c != ' ' && c != '\n') packed += c;
  }
  return parse_hex(packed).value();
}

// protocol reference, appendix A.
TEST(Frame, ScansTheWorkedIdentityFrame) {
  const Bytes frame = hex(
      "a2617469236964656e74697479626f7001a46364696478206469643a706c633a7374616e647069706532323232"
      "32323232323261626364656373657102 6474696d657818323032362d30312d30325430333a30343a30352e36"
      "37385a6668616e646c656a616c6963652e74657374");
  ASSERT_EQ(frame.size(), 110U);
  const FrameScan scan = scan_frame(frame);
  EXPECT_EQ(scan.why, Unarchivable::archivable);
  EXPECT_EQ(scan.envelope.kind, FrameKind::identity);
  EXPECT_EQ(scan.envelope.op, 1);
  EXPECT_EQ(scan.envelope.type, "#identity");
  EXPECT_EQ(scan.envelope.seq, Seq{2});
  EXPECT_EQ(scan.envelope.did, "did:plc:standpipe2222222222abcde");
  EXPECT_EQ(scan.envelope.time, "2026-01-02T03:04:05.678Z");
}

}  // namespace
}  // namespace standpipe
