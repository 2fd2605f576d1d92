#include "archiver/validator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/appender_fixture.h"

namespace standpipe::test {
namespace {

using archiver::EntryKind;
using archiver::PipelineEntry;
using archiver::Validator;
using archiver::Verdict;
using storage::Judgement;
using ::testing::ElementsAre;

// As they stand in the notes on the protocol: what a PDS and a relay send.
constexpr const char* kFutureCursor =
    "a1626f7020a2656572726f726c467574757265437572736f72676d657373616765754375"
    "72736f7220696e20746865206675747572652e";
constexpr const char* kTooSlow =
    "a2617460626f7020a2656572726f726f436f6e73756d6572546f6f536c6f77676d65737361676560";

class ValidatorTest : public AppenderFixture {
 protected:
  Verdict judge(ByteView bytes, EntryKind kind = EntryKind::frame, std::uint64_t bytes_total = 0) {
    PipelineEntry entry;
    entry.kind = kind;
    entry.bytes = bytes;
    entry.bytes_total = bytes_total == 0 ? bytes.size() : bytes_total;
    entry.received_ms = clock.now_ms();
    const Result<Verdict> verdict = validator.judge(appender(), entry);
    EXPECT_OK(verdict);
    return verdict ? *verdict : Verdict{};
  }

  Validator validator{"repos", clock};
};

TEST_F(ValidatorTest, FramesAreOfferedAndCountedAsTheyAreJudged) {
  given_archive();
  EXPECT_EQ(judge(make_frame(1)).judgement, Judgement::accepted);
  EXPECT_EQ(judge(make_frame(2)).judgement, Judgement::accepted);
  EXPECT_EQ(judge(make_frame(2)).judgement, Judgement::duplicate);
  EXPECT_EQ(judge(make_frame({.seq = 2, .variant = 1})).judgement, Judgement::conflict);
  EXPECT_EQ(judge(as_bytes("junk")).judgement, Judgement::quarantined);
  EXPECT_EQ(validator.stats().frames, 5U);
  EXPECT_EQ(validator.stats().of(Judgement::accepted), 2U);
  EXPECT_EQ(validator.stats().of(Judgement::duplicate), 1U);
  EXPECT_EQ(validator.stats().of(Unarchivable::conflict), 1U);
  EXPECT_EQ(validator.stats().of(Unarchivable::header_malformed), 1U);
  EXPECT_EQ(appender().pending_frames(), 2U);
}

TEST_F(ValidatorTest, ATextMessageIsKeptAsideAsOneWhateverItHolds) {
  given_archive();
  const Bytes frame = make_frame(1);
  EXPECT_EQ(judge(frame, EntryKind::text).judgement, Judgement::quarantined);
  commit();
  const auto kept = archive().quarantine(10);
  ASSERT_OK(kept);
  ASSERT_EQ(kept->size(), 1U);
  EXPECT_EQ(kept->front().reason, Unarchivable::text_message);
  EXPECT_EQ(kept->front().bytes, as_text(frame));
  EXPECT_EQ(validator.stats().text, 1U);
  EXPECT_EQ(validator.stats().frames, 0U);
  EXPECT_EQ(validator.stats().of(Unarchivable::text_message), 1U);
}

TEST_F(ValidatorTest, OfAnOversizeFrameTheHeadIsKeptAndTheFloorPassesIt) {
  given_archive();
  EXPECT_EQ(judge(make_frame(1)).judgement, Judgement::accepted);
  const Bytes whole = make_frame({.seq = 2, .blocks_bytes = kFrameBytesMax});
  const ByteView head = ByteView(whole).first(64 << 10);
  EXPECT_EQ(judge(head, EntryKind::oversize, whole.size()).judgement, Judgement::quarantined);
  commit();
  EXPECT_EQ(appender().floor(), Seq{2});
  EXPECT_THAT(gaps(), ElementsAre("1..3 quarantined"));
  EXPECT_EQ(archive().quarantine(1)->front().bytes_total, whole.size());
  EXPECT_EQ(validator.stats().oversize, 1U);
  EXPECT_EQ(validator.stats().bytes, make_frame(1).size() + whole.size());
}

TEST_F(ValidatorTest, AnErrorFrameEndsTheConnectionButFutureCursorIsAReset) {
  given_archive();
  const Verdict slow = judge(parse_hex(kTooSlow).value());
  EXPECT_EQ(slow.judgement, Judgement::noted);
  EXPECT_TRUE(slow.is_error);
  EXPECT_FALSE(appender().was_reset());
  const Verdict future = judge(parse_hex(kFutureCursor).value());
  EXPECT_EQ(future.judgement, Judgement::noted);
  EXPECT_FALSE(future.is_error);
  EXPECT_TRUE(appender().was_reset());
  EXPECT_EQ(judge(make_frame(1)).judgement, Judgement::refused);
  EXPECT_EQ(validator.stats().of(Judgement::noted), 2U);
  EXPECT_EQ(validator.stats().of(Judgement::refused), 1U);
}

TEST_F(ValidatorTest, AnInfoFrameIsNotedAndEndsNothing) {
  given_archive();
  // {"t":"#info","op":1} {"name":"OutdatedCursor"}
  const Bytes info =
      parse_hex("a261746523696e666f626f7001a1646e616d656e4f75746461746564437572736f72").value();
  const Verdict verdict = judge(info);
  EXPECT_EQ(verdict.judgement, Judgement::noted);
  EXPECT_FALSE(verdict.is_error);
}

}  // namespace
}  // namespace standpipe::test
