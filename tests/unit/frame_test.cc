#include "schema/frame.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/frame_printing.h"
#include "tests/support/hex.h"
#include "tests/support/worked_frames.h"

namespace standpipe {

namespace {

using test::hex;
using test::repeat;
using test::operator+;

constexpr std::string_view kCommitHeader = "a2 61't' 67'#commit' 62'op' 01";
constexpr std::string_view kSyncHeader = "a2 61't' 65'#sync' 62'op' 01";

Bytes commit(std::string_view payload) { return hex(kCommitHeader) + hex(payload); }

struct Case {
  std::string_view name;
  std::string_view frame;
  Unarchivable why;
  std::optional<std::int64_t> seq;  // what the envelope must tell in spite of `why`
  std::size_t error_at;
};

void check(std::span<const Case> cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const Bytes frame = hex(c.frame);
    const FrameScan scan = scan_frame(frame);
    EXPECT_EQ(scan.why, c.why);
    EXPECT_EQ(scan.error_at, c.error_at);
    EXPECT_EQ(scan.envelope.seq.has_value(), c.seq.has_value());
    if (scan.envelope.seq && c.seq) {
      EXPECT_EQ(to_int(*scan.envelope.seq), *c.seq);
    }
  }
}

TEST(Frame, GivesOneReasonForABrokenHeader) {
  using enum Unarchivable;
  const std::array cases{
      Case{"nothing at all", "", empty, {}, 0},
      Case{"header cut off", "a2 61't' 67'#com'", header_malformed, {}, 3},
      Case{"reserved head", "1c", header_malformed, {}, 0},
      Case{"lone break", "ff", header_malformed, {}, 0},
      Case{"indefinite integer", "a1 62'op' 1f", header_malformed, {}, 4},
      Case{"list", "81 01 a1 63'seq' 05", header_not_map, 5, 0},
      Case{"integer", "01 a1 63'seq' 05", header_not_map, 5, 0},
      Case{"map within a tag", "c1 a2 61't' 61'x' 62'op' 01 a1 63'seq' 05", header_not_map, 5, 0},
      Case{"no op", "a1 61't' 65'#sync' a1 63'seq' 05", op_missing, 5, 0},
      Case{"empty map", "a0 a1 63'seq' 05", op_missing, 5, 0},
      Case{"op is text", "a2 61't' 65'#sync' 62'op' 61'1' a1 63'seq' 05", op_missing, 5, 12},
      Case{"op is a float", "a2 61't' 65'#sync' 62'op' f93c00 a1 63'seq' 05", op_missing, 5, 12},
      Case{"op twice", "a3 61't' 65'#sync' 62'op' 01 62'op' 01 a1 63'seq' 05", op_missing, 5, 16},
      Case{"op 0", "a2 61't' 65'#sync' 62'op' 00 a1 63'seq' 05", op_unknown, 5, 12},
      Case{"op 2", "a2 61't' 65'#sync' 62'op' 02 a1 63'seq' 05", op_unknown, 5, 12},
      Case{"op -2", "a2 61't' 65'#sync' 62'op' 21 a1 63'seq' 05", op_unknown, 5, 12},
      Case{"no t", "a1 62'op' 01 a1 63'seq' 05", type_missing, 5, 0},
      Case{"t is a number", "a2 61't' 01 62'op' 01 a1 63'seq' 05", type_missing, 5, 3},
      Case{"t is bytes", "a2 61't' 41'x' 62'op' 01 a1 63'seq' 05", type_missing, 5, 3},
      Case{"t is null", "a2 61't' f6 62'op' 01 a1 63'seq' 05", type_missing, 5, 3},
      Case{"t in chunks", "a2 61't' 7f 61'x' ff 62'op' 01 a1 63'seq' 05", type_missing, 5, 3},
      Case{"t twice", "a3 61't' 61'x' 61't' 61'x' 62'op' 01 a1 63'seq' 05", type_missing, 5, 7},
  };
  check(cases);
}

TEST(Frame, GivesOneReasonForABrokenPayload) {
  using enum Unarchivable;
  const std::array cases{
      Case{"header alone", "a2 61't' 61'x' 62'op' 01", payload_missing, {}, 9},
      Case{"error header alone", "a1 62'op' 20", payload_missing, {}, 5},
      Case{"cut after the seq", "a2 61't' 61'x' 62'op' 01 a2 63'seq' 05 63'rev'", payload_malformed,
           5, 19},
      Case{"cut within the seq",
           "a2 61't' 61'x' 62'op' 01 a1 63'seq' 1901",
           payload_malformed,
           {},
           14},
      Case{"cut within blocks", "a2 61't' 61'x' 62'op' 01 a2 63'seq' 05 66'blocks' 4a00",
           payload_malformed, 5, 22},
      Case{"second seq cut off",
           "a2 61't' 61'x' 62'op' 01 a2 63'seq' 05 63'seq' 18",
           payload_malformed,
           {},
           19},
      Case{"count that nothing can hold", "a2 61't' 61'x' 62'op' 01 bb ffffffffffffffff 63'seq' 05",
           payload_malformed, 5, 23},
      Case{"list", "a2 61't' 61'x' 62'op' 01 81 05", payload_not_map, {}, 9},
      Case{"map within a tag", "a2 61't' 61'x' 62'op' 01 c1 a1 63'seq' 05", payload_not_map, {}, 9},
      Case{"third item", "a2 61't' 61'x' 62'op' 01 a1 63'seq' 05 00", trailing_bytes, 5, 15},
      Case{"rubbish behind", "a2 61't' 61'x' 62'op' 01 a1 63'seq' 05 ff", trailing_bytes, 5, 15},
      Case{"list and a third item", "a2 61't' 61'x' 62'op' 01 80 00", payload_not_map, {}, 9},
  };
  check(cases);
}

TEST(Frame, GivesOneReasonForABrokenSeq) {
  using enum Unarchivable;
  const std::array cases{
      Case{"none", "a2 61't' 61'x' 62'op' 01 a0", seq_missing, {}, 9},
      Case{"key in chunks", "a2 61't' 61'x' 62'op' 01 a1 7f 63'seq' ff 05", seq_missing, {}, 9},
      Case{"key is bytes", "a2 61't' 61'x' 62'op' 01 a1 43'seq' 05", seq_missing, {}, 9},
      Case{"inside something",
           "a2 61't' 61'x' 62'op' 01 a1 61'a' a1 63'seq' 05",
           seq_missing,
           {},
           9},
      Case{"twice", "a2 61't' 61'x' 62'op' 01 a2 63'seq' 05 63'seq' 05", seq_repeated, {}, 19},
      Case{"twice, one no integer",
           "a2 61't' 61'x' 62'op' 01 a2 63'seq' f6 63'seq' 05",
           seq_repeated,
           {},
           19},
      Case{"text", "a2 61't' 61'x' 62'op' 01 a1 63'seq' 61'5'", seq_not_integer, {}, 14},
      Case{"null", "a2 61't' 61'x' 62'op' 01 a1 63'seq' f6", seq_not_integer, {}, 14},
      Case{"float",
           "a2 61't' 61'x' 62'op' 01 a1 63'seq' fb4014000000000000",
           seq_not_integer,
           {},
           14},
      Case{"bignum", "a2 61't' 61'x' 62'op' 01 a1 63'seq' c24105", seq_not_integer, {}, 14},
      Case{"0", "a2 61't' 61'x' 62'op' 01 a1 63'seq' 00", seq_out_of_range, {}, 14},
      Case{"-1", "a2 61't' 61'x' 62'op' 01 a1 63'seq' 20", seq_out_of_range, {}, 14},
      Case{"2^53",
           "a2 61't' 61'x' 62'op' 01 a1 63'seq' 1b0020000000000000",
           seq_out_of_range,
           {},
           14},
      Case{"2^64-1",
           "a2 61't' 61'x' 62'op' 01 a1 63'seq' 1bffffffffffffffff",
           seq_out_of_range,
           {},
           14},
      Case{"-2^64",
           "a2 61't' 61'x' 62'op' 01 a1 63'seq' 3bffffffffffffffff",
           seq_out_of_range,
           {},
           14},
  };
  check(cases);
}

TEST(Frame, TakesEveryWellFormedEncoding) {
  using enum Unarchivable;
  const std::array cases{
      Case{"seq 1", "a2 61't' 61'x' 62'op' 01 a1 63'seq' 01", archivable, 1, 0},
      Case{"seq 2^53-1", "a2 61't' 61'x' 62'op' 01 a1 63'seq' 1b001fffffffffffff", archivable,
           9'007'199'254'740'991, 0},
      Case{"op before t", "a2 62'op' 01 61't' 61'x' a1 63'seq' 07", archivable, 7, 0},
      Case{"empty t", "a2 61't' 60 62'op' 01 a1 63'seq' 07", archivable, 7, 0},
      Case{"long heads",
           "b90002 7801't' 7a00000001'x' 7b0000000000000002'op' 1b0000000000000001"
           "b801 790003'seq' 1a00000007",
           archivable, 7, 0},
      Case{"indefinite maps", "bf 61't' 61'x' 62'op' 01 ff bf 63'seq' 07 ff", archivable, 7, 0},
      Case{"extra keys in the header", "a4 02 f5 61't' 61'x' 62'op' 01 40 80 a1 63'seq' 07",
           archivable, 7, 0},
      Case{"keys that are no text", "a2 61't' 61'x' 62'op' 01 a4 01 02 f6 03 80 a0 63'seq' 07",
           archivable, 7, 0},
      Case{"unsorted keys", "a2 61't' 61'x' 62'op' 01 a2 64'time' 60 63'seq' 07", archivable, 7, 0},
      Case{"other keys repeated", "a2 61't' 61'x' 62'op' 01 a3 61'a' 01 61'a' 01 63'seq' 07",
           archivable, 7, 0},
      Case{"every kind of value",
           "a2 61't' 61'x' 62'op' 01 a2 61'a' 8d 20 3903e7 5f41004100ff 7f6161ff 9fff bfff c000"
           "d9ffff00 f4 f7 f8ff f93c00 fb7ff0000000000000 63'seq' 07",
           archivable, 7, 0},
      Case{"text that is no UTF-8", "a2 61't' 61 ff 62'op' 01 a1 63'seq' 07", archivable, 7, 0},
  };
  check(cases);
}

// `levels` containers inside one another, of the given head, around an integer.
Bytes nested(std::string_view head, std::size_t levels) {
  Bytes item;
  for (std::size_t i = 0; i < levels; ++i) item = item + hex(head);
  return item + hex("00");
}

TEST(Frame, AllowsNestingUpTo128AndNoDeeper) {
  // The payload's own map is the first level.
  for (const std::string_view head : {"81", "c1", "a100", "d9d9f7"}) {
    SCOPED_TRACE(head);
    const Bytes begin = hex("a2 61't' 61'x' 62'op' 01 a2 63'seq' 07 61'a'");
    EXPECT_EQ(scan_frame(begin + nested(head, 127)).why, Unarchivable::archivable);
    const FrameScan deeper = scan_frame(begin + nested(head, 128));
    EXPECT_EQ(deeper.why, Unarchivable::payload_malformed);
    EXPECT_EQ(deeper.envelope.seq, Seq{7});
  }
  const Bytes payload = hex("a1 63'seq' 07");
  EXPECT_EQ(scan_frame(hex("a3 61't' 61'x' 62'op' 01 61'a'") + nested("81", 127) + payload).why,
            Unarchivable::archivable);
  EXPECT_EQ(scan_frame(hex("a3 61't' 61'x' 62'op' 01 61'a'") + nested("81", 128) + payload).why,
            Unarchivable::header_malformed);
  // An entry of `ops` starts three levels down: the payload, the array, the entry.
  const Bytes ops = hex("a2 61't' 61'x' 62'op' 01 a2 63'seq' 07 63'ops' 81 a1 61'a'");
  EXPECT_EQ(scan_frame(ops + nested("81", 125)).why, Unarchivable::archivable);
  EXPECT_EQ(scan_frame(ops + nested("81", 126)).why, Unarchivable::payload_malformed);
}

TEST(Frame, AllowsNestingInIndefiniteItemsAlike) {
  const Bytes begin = hex("a2 61't' 61'x' 62'op' 01 a2 63'seq' 07 61'a'");
  const auto indefinite = [](std::size_t levels) {
    return repeat(std::byte{0x9F}, levels) + repeat(std::byte{0xFF}, levels);
  };
  EXPECT_EQ(scan_frame(begin + indefinite(127)).why, Unarchivable::archivable);
  EXPECT_EQ(scan_frame(begin + indefinite(128)).why, Unarchivable::payload_malformed);
}

TEST(Frame, RefusesABreakWhereNoneMayStand) {
  for (const std::string_view value :
       {"ff", "81ff", "a1ff", "a100ff", "bf00ff", "c1ff", "9fc1ff", "5f6161ff", "7f4161ff",
        "5f5f4100ffff", "f801", "f81f", "fc", "dc", "3f", "df"}) {
    SCOPED_TRACE(value);
    EXPECT_EQ(scan_frame(hex("a2 61't' 61'x' 62'op' 01 a2 63'seq' 07 61'a'") + hex(value)).why,
              Unarchivable::payload_malformed);
  }
}

TEST(Frame, TakesTimeInProportionToItsBytesHoweverItIsNested) {
  // Five megabytes of heads that open something and never close it. Quadratic behaviour would take
  // hours here; the limit of the test runner is what fails then.
  for (const int head : {0x81, 0x9F, 0xBF, 0xC1, 0x5F, 0xA1, 0x80, 0xA0, 0x00}) {
    const Bytes frame = hex("a2 61't' 61'x' 62'op' 01 a2 63'seq' 07 63'ops' 9f") +
                        repeat(static_cast<std::byte>(head), kFrameBytesMax - 20);
    ASSERT_EQ(frame.size(), kFrameBytesMax);
    const FrameScan scan = scan_frame(frame);
    EXPECT_EQ(scan.why, Unarchivable::payload_malformed);
    EXPECT_EQ(scan.envelope.seq, Seq{7});
  }
}

TEST(Frame, AllowsFiveMebibytesAndNoMore) {
  const Bytes begin = hex("a2 61't' 61'x' 62'op' 01 a2 63'seq' 07 66'blocks'");
  ASSERT_EQ(begin.size(), 22U);
  const auto frame_of = [&](std::size_t content_bytes) {
    Bytes head(5);
    head[0] = std::byte{0x5A};
    store_be(head.data() + 1, static_cast<std::uint32_t>(content_bytes));
    return begin + head + repeat(std::byte{0xAB}, content_bytes);
  };
  const Bytes greatest = frame_of(5'242'880 - 27);
  ASSERT_EQ(greatest.size(), 5'242'880U);
  EXPECT_EQ(scan_frame(greatest).why, Unarchivable::archivable);
  EXPECT_EQ(scan_frame(greatest).envelope.blocks.size(), 5'242'853U);

  const FrameScan larger = scan_frame(frame_of(5'242'881 - 27));
  EXPECT_EQ(larger.why, Unarchivable::too_large);
  EXPECT_EQ(larger.envelope.seq, Seq{7});
  // The beginning of it, which is all that is kept.
  const FrameScan beginning = scan_frame(ByteView(greatest).first(65'536));
  EXPECT_EQ(beginning.why, Unarchivable::payload_malformed);
  EXPECT_EQ(beginning.envelope.seq, Seq{7});
}

TEST(Frame, JudgesErrorFramesOnceTheyAreWhole) {
  for (const std::string_view worked : {test::kWorkedTooSlow, test::kWorkedTooSlowGo}) {
    const Bytes frame = hex(worked);
    const FrameScan scan = scan_frame(frame);
    EXPECT_EQ(scan.why, Unarchivable::error_frame);
    EXPECT_EQ(scan.envelope.kind, FrameKind::error);
    EXPECT_EQ(scan.envelope.op, -1);
    EXPECT_EQ(scan.envelope.error_name, "ConsumerTooSlow");
    EXPECT_EQ(scan.envelope.type, "");
  }
  const Bytes future = hex(test::kWorkedFutureCursor);
  EXPECT_EQ(scan_frame(future).envelope.error_name, "FutureCursor");
  EXPECT_EQ(scan_frame(future).envelope.message, "Cursor in the future.");
  EXPECT_EQ(scan_frame(hex("a1 62'op' 20 a0")).why, Unarchivable::error_frame);
  EXPECT_EQ(scan_frame(hex("a1 62'op' 20 a0 00")).why, Unarchivable::trailing_bytes);
  EXPECT_EQ(scan_frame(hex("a1 62'op' 20 80")).why, Unarchivable::payload_not_map);
}

TEST(Frame, TakesAnInfoFrameForANoteUnlessItHasASeq) {
  const Bytes frame = hex(test::kWorkedOutdatedCursor);
  const FrameScan scan = scan_frame(frame);
  EXPECT_EQ(scan.why, Unarchivable::info_frame);
  EXPECT_EQ(scan.error_at, 0U);
  EXPECT_EQ(scan.envelope.kind, FrameKind::info);
  EXPECT_EQ(scan.envelope.error_name, "OutdatedCursor");
  EXPECT_EQ(scan.envelope.message, "Requested cursor exceeded limit. Possibly missing events");
  const std::string_view header = "a2 61't' 65'#info' 62'op' 01";
  EXPECT_EQ(scan_frame(hex(header) + hex("a1 63'seq' 07")).why, Unarchivable::archivable);
  EXPECT_EQ(scan_frame(hex(header) + hex("a1 63'seq' f6")).why, Unarchivable::seq_not_integer);
  EXPECT_EQ(scan_frame(hex("a2 61't' 66'#infos' 62'op' 01 a0")).why, Unarchivable::seq_missing);
}

TEST(Frame, KnowsItsKindsAndPassesOthersOn) {
  EXPECT_EQ(frame_kind("#commit"), FrameKind::commit);
  EXPECT_EQ(frame_kind("#sync"), FrameKind::sync);
  EXPECT_EQ(frame_kind("#identity"), FrameKind::identity);
  EXPECT_EQ(frame_kind("#account"), FrameKind::account);
  EXPECT_EQ(frame_kind("#info"), FrameKind::info);
  EXPECT_EQ(frame_kind("#labels"), FrameKind::labels);
  EXPECT_EQ(frame_kind("#handle"), FrameKind::handle);
  EXPECT_EQ(frame_kind("#migrate"), FrameKind::migrate);
  EXPECT_EQ(frame_kind("#tombstone"), FrameKind::tombstone);
  for (const std::string_view other :
       {"", "commit", "#Commit", "#commit ", "com.atproto.sync.subscribeRepos#commit"}) {
    EXPECT_EQ(frame_kind(other), FrameKind::unknown) << other;
  }
  const Bytes frame =
      hex("a2 61't' 77'com.example.other#event' 62'op' 01 a2 63'did' 67'did:x:y' 63'seq' 07");
  const FrameScan scan = scan_frame(frame);
  EXPECT_EQ(scan.why, Unarchivable::archivable);
  EXPECT_EQ(scan.envelope.kind, FrameKind::unknown);
  EXPECT_EQ(scan.envelope.type, "com.example.other#event");
  EXPECT_EQ(scan.envelope.did, "did:x:y");
}

TEST(Frame, ReadsTheDidFromRepoOfACommitOnly) {
  const std::string_view both = "a3 63'did' 61'd' 64'repo' 61'r' 63'seq' 07";
  const Bytes a = commit(both);
  const Bytes b = hex(kSyncHeader) + hex(both);
  EXPECT_EQ(scan_frame(a).envelope.did, "r");
  EXPECT_EQ(scan_frame(b).envelope.did, "d");
}

TEST(Frame, LeavesFieldsEmptyThatAreOfAnotherTypeOrRepeated) {
  const Bytes other = commit(
      "a7 63'seq' 07 64'repo' 01 64'time' f6 63'rev' 41'x' 66'blocks' 61'x' 63'ops' a0"
      "64'repo' 61'd'");
  for (const Bytes& frame :
       {other, commit("ad 63'seq' 07 64'repo' 61'a' 64'repo' 61'b' 64'time' 61'a' 64'time' 61'b'"
                      "63'rev' 61'a' 63'rev' 61'a' 66'blocks' 41'a' 66'blocks' 41'a'"
                      "63'ops' 81 a0 63'ops' 81 a0 63'rev' 61'a' 66'blocks' 41'c'")}) {
    const FrameScan scan = scan_frame(frame);
    EXPECT_EQ(scan.why, Unarchivable::archivable);
    EXPECT_EQ(scan.envelope.seq, Seq{7});
    EXPECT_EQ(scan.envelope.did, "");
    EXPECT_EQ(scan.envelope.time, "");
    EXPECT_EQ(scan.envelope.rev, "");
    EXPECT_TRUE(scan.envelope.blocks.empty());
    EXPECT_EQ(scan.envelope.ops_total, 0U);
    EXPECT_TRUE(scan.envelope.ops.empty());
  }
}

TEST(Frame, GivesOpsUpToTheRoomThereIsAndAllThroughTheReader) {
  const Bytes frame = commit(
      "a2 63'ops' 9f a3 64'path' 63'a/b' 63'cid' f6 66'action' 66'delete' 05 a0"
      "bf 66'action' 66'create' ff a1 64'path' 61'c' ff 63'seq' 07");
  std::array<EnvelopeOp, 2> room;
  const FrameScan scan = scan_frame(frame, room);
  EXPECT_EQ(scan.why, Unarchivable::archivable);
  EXPECT_EQ(scan.envelope.ops_total, 5U);
  EXPECT_EQ(room[0].action, "delete");
  EXPECT_EQ(room[0].path, "a/b");
  EXPECT_EQ(room[0].collection(), "a");
  EXPECT_EQ(room[1].action, "");

  std::vector<std::pair<std::string_view, std::string_view>> all;
  OpReader reader(scan.envelope);
  EnvelopeOp op;
  while (reader.next(op)) all.emplace_back(op.action, op.path);
  EXPECT_EQ(all, (std::vector<std::pair<std::string_view, std::string_view>>{
                     {"delete", "a/b"}, {"", ""}, {"", ""}, {"create", ""}, {"", "c"}}));
  EXPECT_FALSE(OpReader(Envelope{}).next(op));
}

TEST(Frame, TellsTheExtentOfItsPayload) {
  const Bytes frame = hex("a2 61't' 61'x' 62'op' 01 a1 63'seq' 07");
  const Envelope envelope = scan_frame(frame).envelope;
  EXPECT_EQ(envelope.payload.data(), frame.data() + 9);
  EXPECT_EQ(envelope.payload.size(), 6U);
}

TEST(Frame, NamesEveryReasonAndKind) {
  EXPECT_EQ(to_string(Unarchivable::archivable), "archivable");
  EXPECT_EQ(to_string(Unarchivable::too_large), "too_large");
  EXPECT_EQ(to_string(Unarchivable::seq_missing), "seq_missing");
  EXPECT_EQ(to_string(Unarchivable::seq_out_of_range), "seq_out_of_range");
  EXPECT_EQ(to_string(Unarchivable::conflict), "conflict");
  EXPECT_EQ(to_string(Unarchivable::text_message), "text_message");
  EXPECT_EQ(to_string(FrameKind::tombstone), "tombstone");
  EXPECT_EQ(to_string(FrameKind::unknown), "unknown");
}

TEST(Frame, ScansTheWorkedCommit) {
  const Bytes frame = hex(test::kWorkedCommit);
  ASSERT_EQ(frame.size(), 841U);
  std::array<EnvelopeOp, 4> ops;
  const FrameScan scan = scan_frame(frame, ops);
  EXPECT_EQ(scan.why, Unarchivable::archivable);
  EXPECT_EQ(scan.envelope.kind, FrameKind::commit);
  EXPECT_EQ(scan.envelope.type, "#commit");
  EXPECT_EQ(scan.envelope.op, 1);
  EXPECT_EQ(scan.envelope.seq, Seq{1});
  EXPECT_EQ(scan.envelope.did, test::kWorkedDid);
  EXPECT_EQ(scan.envelope.time, test::kWorkedTime);
  EXPECT_EQ(scan.envelope.rev, "3l3qo2vuoiw2z");
  EXPECT_EQ(scan.envelope.ops_total, 1U);
  EXPECT_EQ(ops[0].action, "create");
  EXPECT_EQ(ops[0].path, "com.example.record/3jqfcqzm3fo2j");
  EXPECT_EQ(ops[0].collection(), "com.example.record");
  EXPECT_EQ(scan.envelope.blocks.size(), 490U);
  EXPECT_EQ(scan.envelope.payload.data(), frame.data() + 15);
  EXPECT_EQ(scan.envelope.payload.size(), 826U);
}

TEST(Frame, ScansTheWorkedFramesOfOtherKinds) {
  struct Worked {
    std::string_view frame;
    FrameKind kind;
    std::int64_t seq;
    std::size_t bytes;
    std::string_view did, rev;
    std::size_t blocks_bytes;
  };
  for (const Worked& worked : {
           Worked{test::kWorkedSync, FrameKind::sync, 4, 401, test::kWorkedDid, "3l3qo2vuoiw2z",
                  285},
           Worked{test::kWorkedIdentity, FrameKind::identity, 2, 110, test::kWorkedDid, "", 0},
           Worked{test::kWorkedAccount, FrameKind::account, 3, 114, test::kWorkedDid, "", 0},
           Worked{test::kWorkedLabels, FrameKind::labels, 5, 258, "", "", 0},
       }) {
    const Bytes frame = hex(worked.frame);
    ASSERT_EQ(frame.size(), worked.bytes);
    const FrameScan scan = scan_frame(frame);
    EXPECT_EQ(scan.why, Unarchivable::archivable);
    EXPECT_EQ(scan.envelope.kind, worked.kind);
    EXPECT_EQ(scan.envelope.seq, Seq{worked.seq});
    EXPECT_EQ(scan.envelope.did, worked.did);
    EXPECT_EQ(scan.envelope.time, worked.kind == FrameKind::labels ? "" : test::kWorkedTime);
    EXPECT_EQ(scan.envelope.rev, worked.rev);
    EXPECT_EQ(scan.envelope.blocks.size(), worked.blocks_bytes);
  }
}

}  // namespace
}  // namespace standpipe
