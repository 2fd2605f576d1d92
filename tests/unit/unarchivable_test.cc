// Whatever cannot be archived as an event: quarantine, notes, and what they do to ledger and floor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <string>

#include "tests/support/appender_fixture.h"

namespace standpipe::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using UnarchivableTest = AppenderFixture;

// A frame of exactly `size` bytes.
Bytes make_frame_of_size(std::int64_t seq, std::size_t size) {
  const std::size_t guess = size - 1000;
  const std::size_t more = size - make_frame({.seq = seq, .blocks_bytes = guess}).size();
  return make_frame({.seq = seq, .blocks_bytes = guess + more});
}

// -- What is not archivable -----------------------------------------------------------------------

struct Refused {
  const char* hex;
  const char* reason;
  std::int64_t seq;  // as the quarantine must know it; 0: it cannot be read
};

// In order of the reasons. Header {"t":"#commit","op":1} is a261746723636f6d6d6974626f7001.
// clang-format off
const Refused kRefused[] = {
    {"", "empty", 0},
    {"a261", "header_malformed", 0},                                     // cut short
    {"ff", "header_malformed", 0},                                       // a break without a start
    {"01" "a16373657101", "header_not_map", 1},                          // 1
    {"a161746723636f6d6d6974" "a16373657118c8", "op_missing", 200},      // {"t":"#commit"}
    {"a261746723636f6d6d6974626f7002" "a16373657118c9", "op_unknown", 201},
    {"a1626f7001" "a16373657118ca", "type_missing", 202},                // {"op":1}
    {"a261746723636f6d6d6974626f7001", "payload_missing", 0},
    {"a261746723636f6d6d6974626f7001" "a1", "payload_malformed", 0},
    {"a261746723636f6d6d6974626f7001" "8101", "payload_not_map", 0},     // [1]
    {"a261746723636f6d6d6974626f7001" "a16373657118cb" "00", "trailing_bytes", 203},
    {"a261746723636f6d6d6974626f7001" "a0", "seq_missing", 0},
    {"a261746723636f6d6d6974626f7001" "a26373657101" "6373657102", "seq_repeated", 0},
    {"a261746723636f6d6d6974626f7001" "a1637365716131", "seq_not_integer", 0},  // "1"
    {"a261746723636f6d6d6974626f7001" "a16373657100", "seq_out_of_range", 0},   // 0
    {"a261746723636f6d6d6974626f7001" "a16373657120", "seq_out_of_range", 0},   // -1
    {"a261746723636f6d6d6974626f7001" "a1637365711b0020000000000000", "seq_out_of_range", 0},
};
// clang-format on

TEST_F(UnarchivableTest, WhateverIsNotArchivableIsKeptAsideWithItsReason) {
  given_archive();
  for (const Refused& refused : kRefused) {
    const Bytes frame = parse_hex(refused.hex).value();
    EXPECT_EQ(judged(frame), "quarantined") << refused.hex;
    clock.advance(1);
    commit();
    const auto kept = archive().quarantine(1);
    ASSERT_OK(kept);
    ASSERT_EQ(kept->size(), 1U) << refused.hex;
    const storage::QuarantineEntry& entry = kept->front();
    EXPECT_EQ(to_string(entry.reason), refused.reason) << refused.hex;
    EXPECT_EQ(entry.seq ? to_int(*entry.seq) : 0, refused.seq) << refused.hex;
    EXPECT_EQ(entry.bytes, as_text(frame)) << refused.hex;
    EXPECT_EQ(entry.bytes_total, frame.size());
    EXPECT_EQ(entry.received_ms, clock.now_ms() - 1);
    EXPECT_EQ(entry.stream, stream());
  }
  EXPECT_EQ(appender().stats().quarantined, std::size(kRefused));
  EXPECT_EQ(appender().newest(), kSeqNone);
  expect_model();
}

TEST_F(UnarchivableTest, AFrameOfFiveMebibytesIsStoredAndOneByteMoreIsNot) {
  given_archive();
  constexpr std::size_t kLargest = 5'242'880;
  const Bytes largest = make_frame_of_size(1, kLargest);
  ASSERT_EQ(largest.size(), kLargest);
  EXPECT_EQ(judged(largest), "accepted");
  const Bytes too_large = make_frame_of_size(2, kLargest + 1);
  EXPECT_EQ(judged(too_large), "quarantined");
  commit();
  EXPECT_EQ(read_all(), (FrameMap{{1, std::string(as_text(largest))}}));
  const auto kept = archive().quarantine(10);
  ASSERT_OK(kept);
  ASSERT_EQ(kept->size(), 1U);
  EXPECT_EQ(to_string(kept->front().reason), "too_large");
  EXPECT_EQ(kept->front().bytes_total, kLargest + 1);
  EXPECT_EQ(kept->front().bytes.size(), 65'536U) << "only its beginning is kept";
  EXPECT_EQ(kept->front().seq, Seq{2});
  EXPECT_THAT(gaps(), ElementsAre("1..3 quarantined"));
  EXPECT_EQ(appender().floor(), Seq{2}) << "or it would come back for ever";
}

TEST_F(UnarchivableTest, AFrameOfWhichOnlyTheHeadWasReadIsKeptAsideWithItsSeq) {
  given_archive();
  append(1);
  const Bytes large = make_frame({.seq = 2, .blocks_bytes = 100'000});
  const auto judgement =
      appender().offer_oversize(ByteView(large).first(65'536), 6'000'000, clock.now_ms());
  ASSERT_OK(judgement);
  EXPECT_EQ(to_string(*judgement), "quarantined");
  commit();
  append(3);
  commit();
  const auto kept = archive().quarantine(10);
  ASSERT_OK(kept);
  ASSERT_EQ(kept->size(), 1U);
  EXPECT_EQ(to_string(kept->front().reason), "too_large");
  EXPECT_EQ(kept->front().bytes_total, 6'000'000U);
  EXPECT_EQ(kept->front().bytes.size(), 65'536U);
  EXPECT_EQ(kept->front().seq, Seq{2});
  EXPECT_THAT(gaps(), ElementsAre("1..3 quarantined"));
}

TEST_F(UnarchivableTest, ATextMessageIsKeptAside) {
  given_archive();
  const auto judgement =
      appender().offer_foreign(Unarchivable::text_message, as_bytes("hello"), clock.now_ms());
  ASSERT_OK(judgement);
  EXPECT_EQ(to_string(*judgement), "quarantined");
  commit();
  const auto kept = archive().quarantine(10);
  ASSERT_OK(kept);
  ASSERT_EQ(kept->size(), 1U);
  EXPECT_EQ(to_string(kept->front().reason), "text_message");
  EXPECT_EQ(kept->front().bytes, "hello");
}

TEST_F(UnarchivableTest, InfoAndErrorFramesAreNotedWithTheirWords) {
  given_archive();
  // ConsumerTooSlow, as indigo sends it: with an empty `t` and an empty message.
  EXPECT_EQ(judged(parse_hex("a2617460626f7020a2656572726f726f436f6e73756d6572546f6f536c6f77"
                             "676d65737361676560")
                       .value()),
            "noted");
  EXPECT_EQ(judged(parse_hex("a261746523696e666f626f7001a2646e616d656e4f75746461746564437572736f72"
                             "676d65737361676563616c6c")
                       .value()),
            "noted");
  commit();
  const auto notes = archive().notes(10);
  ASSERT_OK(notes);
  ASSERT_EQ(notes->size(), 2U);  // newest first
  EXPECT_EQ(notes->at(0).kind, "info");
  EXPECT_EQ(notes->at(0).text, "OutdatedCursor: all");
  EXPECT_EQ(notes->at(0).stream, stream());
  EXPECT_EQ(notes->at(0).when_ms, clock.now_ms());
  EXPECT_EQ(notes->at(1).kind, "error");
  EXPECT_EQ(notes->at(1).text, "ConsumerTooSlow");
  EXPECT_EQ(appender().stats().noted, 2U);
  EXPECT_FALSE(appender().was_reset());
  EXPECT_THAT(*archive().quarantine(10), IsEmpty());
  expect_model();
}

TEST_F(UnarchivableTest, AnInfoFrameWithASeqIsAnEventLikeAnyOther) {
  given_archive();
  // {"t":"#info","op":1}{"seq":1,"name":"x"}
  EXPECT_EQ(judged(parse_hex("a261746523696e666f626f7001a26373657101646e616d656178").value()),
            "accepted");
  commit();
  EXPECT_EQ(appender().newest(), Seq{1});
}

TEST_F(UnarchivableTest, AFutureCursorErrorFrameIsNotedAndMeansThatTheUpstreamWasReset) {
  given_archive();
  // As a PDS sends it.
  EXPECT_EQ(judged(parse_hex("a1626f7020a2656572726f726c467574757265437572736f72676d657373616765"
                             "75437572736f7220696e20746865206675747572652e")
                       .value()),
            "noted");
  EXPECT_TRUE(appender().was_reset());
  EXPECT_EQ(judged(1), "refused");
  commit();
  const auto notes = archive().notes(10);
  ASSERT_OK(notes);
  ASSERT_EQ(notes->size(), 2U);
  EXPECT_EQ(notes->at(0).kind, "reset");
  EXPECT_EQ(notes->at(1).text, "FutureCursor: Cursor in the future.");
}

TEST_F(UnarchivableTest, NotesAreBoundedAndTheNewestAreKept) {
  options.notes_max = 10;
  given_archive();
  // {"t":"#info","op":1}{"name":"N<digit><digit>"}
  for (int i = 0; i < 35; ++i) {
    Bytes frame = parse_hex("a261746523696e666f626f7001a1646e616d65634e3030").value();
    frame[frame.size() - 2] = static_cast<std::byte>('0' + i / 10);
    frame[frame.size() - 1] = static_cast<std::byte>('0' + i % 10);
    EXPECT_EQ(judged(frame), "noted");
    if (i % 3 == 0) commit();
  }
  commit();
  reopen();
  const auto notes = archive().notes(100);
  ASSERT_OK(notes);
  ASSERT_EQ(notes->size(), 10U);
  EXPECT_THAT(notes->front().text, ::testing::HasSubstr("N34"));
  EXPECT_THAT(notes->back().text, ::testing::HasSubstr("N25"));
}

// -- Quarantine, ledger and floor -----------------------------------------------------------------

Bytes with_trailing_byte(std::int64_t seq) {
  Bytes frame = make_frame(seq);
  frame.push_back(std::byte{0});
  return frame;
}

TEST_F(UnarchivableTest, TheFloorPassesOverAQuarantinedFrameThatFollowsNewest) {
  given_archive();
  append(10);
  commit();
  EXPECT_EQ(judged(with_trailing_byte(11)), "quarantined");
  EXPECT_EQ(appender().floor(), Seq{10}) << "not durable yet";
  commit();
  EXPECT_EQ(appender().floor(), Seq{11});
  EXPECT_EQ(appender().newest(), Seq{10});
  EXPECT_THAT(gaps(), ElementsAre("10..12 quarantined"));
  reopen();
  EXPECT_EQ(appender().floor(), Seq{11});
  append(12);
  commit();
  EXPECT_THAT(gaps(), ElementsAre("10..12 quarantined"));
  EXPECT_EQ(appender().floor(), Seq{12});
}

TEST_F(UnarchivableTest, QuarantinedNeighboursAreOneGap) {
  given_archive();
  append(10);
  for (std::int64_t seq : {11, 12, 13}) EXPECT_EQ(judged(with_trailing_byte(seq)), "quarantined");
  commit();
  EXPECT_EQ(judged(with_trailing_byte(14)), "quarantined");
  commit();
  append(15);
  commit();
  EXPECT_THAT(gaps(), ElementsAre("10..15 quarantined"));
}

TEST_F(UnarchivableTest, AQuarantinedSeqFarAheadCannotPushTheFloor) {
  given_archive();
  append(10);
  commit();
  EXPECT_EQ(judged(with_trailing_byte(9'000'000'000)), "quarantined");
  commit();
  EXPECT_EQ(appender().floor(), Seq{10});
  EXPECT_THAT(gaps(), IsEmpty());
  append(11);
  commit();
  EXPECT_EQ(appender().floor(), Seq{11});
  EXPECT_THAT(gaps(), IsEmpty());
}

TEST_F(UnarchivableTest, AQuarantinedSeqAheadIsInTheLedgerOnceALaterFrameCame) {
  given_archive();
  append(10);
  commit();
  EXPECT_EQ(judged(with_trailing_byte(14)), "quarantined");
  append(17);
  commit();
  EXPECT_THAT(gaps(), ElementsAre("10..14 upstream", "13..15 quarantined", "14..17 upstream"));
}

TEST_F(UnarchivableTest, AFloodOfGarbageIsKeptWithinRateAndSize) {
  options.quarantine_bytes_max = 20'000;
  options.quarantine_rate_entries = 5;  // a burst of 50
  options.quarantine_rate_bytes = 1'000'000;
  given_archive();
  const std::string garbage(1000, '\xFF');
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(judged(as_bytes(garbage)), "quarantined");
  commit();
  EXPECT_EQ(appender().stats().quarantined, 1000U);
  EXPECT_EQ(appender().stats().quarantine_dropped, 950U);
  EXPECT_LE(archive().stats().quarantine_bytes, 20'000U);
  EXPECT_LE(archive().stats().quarantine_entries, 20U);
  EXPECT_GE(archive().stats().quarantine_entries, 10U);

  clock.advance(2000);  // ten more
  for (int i = 0; i < 100; ++i) EXPECT_EQ(judged(as_bytes("\xFF\xFF newer")), "quarantined");
  commit();
  EXPECT_EQ(appender().stats().quarantine_dropped, 950U + 90U);
  reopen();
  const auto kept = archive().quarantine(1000);
  ASSERT_OK(kept);
  EXPECT_EQ(kept->size(), archive().stats().quarantine_entries);
  EXPECT_LE(archive().stats().quarantine_bytes, 20'000U);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(kept->at(i).bytes, "\xFF\xFF newer");
  EXPECT_EQ(kept->at(10).bytes, garbage);
}

TEST_F(UnarchivableTest, AFloodOfLargeGarbageIsKeptWithinBytesPerSecond) {
  options.quarantine_rate_bytes = 1'000;  // a burst of 10'000
  given_archive();
  const std::string garbage(1000, '\xFF');
  for (int i = 0; i < 100; ++i) EXPECT_EQ(judged(as_bytes(garbage)), "quarantined");
  commit();
  EXPECT_EQ(archive().stats().quarantine_entries, 10U);
  EXPECT_LE(archive().stats().quarantine_bytes, 11'000U) << "with what each row has besides";
  EXPECT_EQ(appender().stats().quarantine_dropped, 90U);
}

TEST_F(UnarchivableTest, AFrameDroppedFromAFullQuarantineStillMovesTheFloor) {
  options.quarantine_rate_entries = 1;  // a burst of 10
  given_archive();
  append(1);
  for (std::int64_t seq = 2; seq <= 101; ++seq) {
    EXPECT_EQ(judged(with_trailing_byte(seq)), "quarantined");
  }
  commit();
  EXPECT_EQ(appender().stats().quarantine_dropped, 90U);
  EXPECT_THAT(gaps(), ElementsAre("1..102 quarantined"));
  EXPECT_EQ(appender().floor(), Seq{101});
}

}  // namespace
}  // namespace standpipe::test
