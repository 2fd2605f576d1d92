#include "schema/label_signature.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/worked_frames.h"

namespace standpipe {
namespace {

constexpr std::string_view kDidKey = "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme";

class WorkedLabel : public ::testing::Test {
 protected:
  Bytes frame_ = parse_hex(test::kWorkedLabels).value();
  Event event_ = decode_event(frame_).value();
  Label label_ = std::get<Labels>(event_).labels.at(0);
  PublicKey key_ = PublicKey::parse_did_key(kDidKey).value();
};

// Protocol reference, 3.3.
TEST_F(WorkedLabel, IsSignedOverItsOwnFields) {
  const Bytes unsigned_label = encode_unsigned_label(label_);
  EXPECT_EQ(
      to_hex(unsigned_label),
      "a5636374737818323032362d30312d30325430333a30343a30352e3637385a6373726378206469643a706c63"
      "3a7374616e647069706532323232323232323232616263646563757269784661743a2f2f6469643a706c633a"
      "7374616e64706970653232323232323232323261626364652f636f6d2e6578616d706c652e7265636f72642f"
      "336a716663717a6d33666f326a6376616c647370616d6376657201");
  EXPECT_EQ(to_hex(sha256(unsigned_label)),
            "3be9725da36dc6211dc0ddad6f33d8d103e90f11a5a97ba89d3c15f71b06f63b");
  EXPECT_EQ(verify_label(label_, key_), LabelCheck::valid);
}

TEST_F(WorkedLabel, AnyOtherFieldIsAnotherLabel) {
  const auto check_with = [this](auto change) {
    Label changed = label_;
    change(changed);
    return verify_label(changed, key_);
  };
  const auto wrong = LabelCheck::wrong_signature;
  EXPECT_EQ(check_with([](Label& label) { label.val = "spaM"; }), wrong);
  EXPECT_EQ(check_with([](Label& label) { label.src = "did:plc:other"; }), wrong);
  EXPECT_EQ(check_with([](Label& label) { label.uri = "at://other"; }), wrong);
  EXPECT_EQ(check_with([](Label& label) { label.cts = "2026-01-02T03:04:05.679Z"; }), wrong);
  EXPECT_EQ(check_with([](Label& label) { label.exp = "2026-01-02T03:04:05.679Z"; }), wrong);
  EXPECT_EQ(check_with([](Label& label) { label.cid = "bafy"; }), wrong);
  EXPECT_EQ(check_with([](Label& label) { label.is_negation = true; }), wrong);
  EXPECT_EQ(check_with([](Label& label) { label.ver = std::nullopt; }), LabelCheck::no_version);
  EXPECT_EQ(check_with([](Label& label) { label.ver = 2; }), LabelCheck::no_version);
  EXPECT_EQ(check_with([](Label& label) { label.sig = std::nullopt; }), LabelCheck::no_signature);
}

TEST_F(WorkedLabel, WithEveryFieldIsInCanonicalOrder) {
  label_.exp = "e";
  label_.cid = "c";
  label_.is_negation = true;
  label_.cts = "t";
  label_.src = "s";
  label_.uri = "u";
  label_.val = "v";
  EXPECT_EQ(to_hex(encode_unsigned_label(label_)),
            "a8"
            "636369646163"
            "636374736174"
            "636578706165"
            "636e6567f5"
            "637372636173"
            "637572696175"
            "6376616c6176"
            "6376657201");
}

}  // namespace
}  // namespace standpipe
