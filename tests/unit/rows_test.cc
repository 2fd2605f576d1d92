#include "storage/rows.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "schema/base/crc32c.h"

namespace standpipe::storage {
namespace {

constexpr std::int64_t kWhenMs = 1'767'323'045'678;  // 2026-01-02T03:04:05.678Z

std::string hex(std::string_view bytes) { return to_hex(as_bytes(bytes)); }
std::string unhex(std::string_view text) { return std::string(as_text(parse_hex(text).value())); }

template <std::size_t N>
std::array<std::byte, N> counted_bytes() {
  std::array<std::byte, N> bytes;
  for (std::size_t i = 0; i < N; ++i) bytes[i] = static_cast<std::byte>(i);
  return bytes;
}

// A row with these bytes before its checksum, and a checksum that matches.
std::string with_checksum(std::string row) {
  std::byte checksum[4];
  store_le(checksum, crc32c(as_bytes(row)));
  return row + std::string(as_text(checksum));
}
std::string without_checksum(const std::string& row) { return row.substr(0, row.size() - 4); }

template <typename T>
std::string verdict(const Result<T>& result) {
  return result.has_value() ? "ok" : std::string(to_string(result.error().code));
}

HeadRow sample_head() {
  HeadRow row;
  row.has_origin = true;
  row.origin = Seq{9};
  row.floor = Seq{1000};
  row.newest = Seq{999};
  row.window_floor = Seq{9};
  row.clock_ms = kWhenMs;
  row.steps = 900;
  row.steps_skipping = 1;
  row.open_partition = PartitionId{2};
  row.open_first = Seq{500};
  row.open_last = Seq{999};
  row.open_clock_first_ms = kWhenMs - 1000;
  row.open_clock_last_ms = kWhenMs;
  row.open_frames = 499;
  row.open_raw_bytes = 70000;
  row.open_groups = 10;
  row.open_digest = counted_bytes<32>();
  return row;
}

PartitionInfo sample_partition() {
  PartitionInfo row;
  row.id = PartitionId{7};
  row.stream = StreamId{1};
  row.epoch = EpochNumber{2};
  row.state = PartitionState::building;
  row.container = "frames/repos/0000000000000007";
  row.codec = 0;
  row.first = Seq{1};
  row.last = kSeqMax;
  row.clock_first_ms = -5;
  row.clock_last_ms = kWhenMs;
  row.frames = 5;
  row.raw_bytes = 1ULL << 40;
  row.groups = 3;
  row.digest = counted_bytes<32>();
  row.replaces = PartitionId{6};
  return row;
}

StreamRow sample_stream() {
  StreamRow row;
  row.id = StreamId{1};
  row.unique_id = counted_bytes<16>();
  row.spec = {"repos", StreamKind::repos, "wss://relay.test", Density::dense};
  row.shares_container = true;
  row.created_ms = kWhenMs;
  return row;
}

QuarantineEntry sample_quarantine() {
  QuarantineEntry row;
  row.stream = StreamId{1};
  row.number = 300;
  row.reason = Unarchivable::text_message;
  row.received_ms = kWhenMs;
  row.seq = Seq{77};
  row.bytes_total = 6'000'000;
  row.bytes = std::string("\x00\xff\x82", 3);
  return row;
}

SelfDescription sample_self_description() {
  SelfDescription row;
  row.stream = counted_bytes<16>();
  row.stream_name = "labeler.test";
  row.kind = StreamKind::labels;
  row.epoch = counted_bytes<16>();
  row.epoch_number = EpochNumber{3};
  row.partition = PartitionId{9};
  row.first = Seq{12};
  return row;
}

// One row of each type, encoded, and the verdict of its parser on other bytes.
struct RowCase {
  std::string name;
  std::string encoded;
  std::function<std::string(std::string_view)> parse;
};

const std::vector<RowCase>& row_cases() {
  static const std::vector<RowCase> cases = {
      {"format", encode_format_row({1, counted_bytes<16>(), kWhenMs}),
       [](std::string_view value) { return verdict(parse_format_row(value)); }},
      {"counters", encode_counters_row({300, 2}),
       [](std::string_view value) { return verdict(parse_counters_row(value)); }},
      {"stream", encode_stream_row(sample_stream()),
       [](std::string_view value) { return verdict(parse_stream_row(value)); }},
      {"epoch",
       encode_epoch_row({StreamId{1}, EpochNumber{2}, counted_bytes<16>(), kWhenMs, "reset"}),
       [](std::string_view value) { return verdict(parse_epoch_row(value)); }},
      {"head", encode_head_row(sample_head()),
       [](std::string_view value) { return verdict(parse_head_row(value)); }},
      {"partition", encode_partition_row(sample_partition()),
       [](std::string_view value) { return verdict(parse_partition_row(value)); }},
      {"gap", encode_gap_row({Seq{100}, Seq{300}, GapReason::outage, kWhenMs, "bye"}),
       [](std::string_view value) { return verdict(parse_gap_row(value)); }},
      {"note", encode_note_row({5, StreamId{1}, kWhenMs, "info", "OutdatedCursor"}),
       [](std::string_view value) { return verdict(parse_note_row(value)); }},
      {"quarantine", encode_quarantine_row(sample_quarantine()),
       [](std::string_view value) { return verdict(parse_quarantine_row(value)); }},
      {"self-description", encode_self_description(sample_self_description()),
       [](std::string_view value) { return verdict(parse_self_description(value)); }},
  };
  return cases;
}

TEST(Rows, KeysAreOrderedByBigEndianIntegers) {
  EXPECT_EQ(hex(format_key()), "46");
  EXPECT_EQ(hex(counters_key()), "43");
  EXPECT_EQ(hex(stream_key(StreamId{0x01020304})), "5301020304");
  EXPECT_EQ(hex(epoch_key(StreamId{1}, EpochNumber{2})), "450000000100000002");
  EXPECT_EQ(hex(head_key(StreamId{1}, EpochNumber{2})), "480000000100000002");
  EXPECT_EQ(hex(partition_key(PartitionId{0x1122334455667788})), "501122334455667788");
  EXPECT_EQ(hex(gap_key(StreamId{1}, EpochNumber{2}, Seq{3})),
            "4700000001000000020000000000000003");
  EXPECT_EQ(hex(note_key(258)), "4e0000000000000102");
  EXPECT_EQ(hex(quarantine_key(258)), "0000000000000102");
  EXPECT_EQ(hex(group_key(PartitionId{1}, Seq{255})), "000000000000000100000000000000ff");
  EXPECT_EQ(hex(self_description_key(PartitionId{1})), "00000000000000010000000000000000");
}

TEST(Rows, GroupKeysAreReadBackAndOthersRefused) {
  const auto key = parse_group_key(unhex("0000000000000007001fffffffffffff"));
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(key->partition, PartitionId{7});
  EXPECT_EQ(key->first, kSeqMax);
  EXPECT_EQ(verdict(parse_group_key(unhex("00000000000000070020000000000000"))), "corrupt");
  EXPECT_EQ(verdict(parse_group_key("")), "corrupt");
  EXPECT_EQ(verdict(parse_group_key(unhex("0000000000000007001fffffffffff"))), "corrupt");
  EXPECT_EQ(verdict(parse_group_key(unhex("0000000000000007001fffffffffffff00"))), "corrupt");
}

// Written by hand from docs/format.md, checksums by an independent program.
TEST(Rows, EncodedBytesAreTheOnesOfTheFormat) {
  EXPECT_EQ(hex(encode_gap_row({Seq{100}, Seq{300}, GapReason::outage, kWhenMs, "bye"})),
            "0164ac02022e8fa97c9b0100000362796517c937e0");
  EXPECT_EQ(hex(encode_counters_row({300, 2})), "01ac0202eeb7b09f");
  EXPECT_EQ(hex(encode_format_row({1, counted_bytes<16>(), kWhenMs})),
            "0101000000000102030405060708090a0b0c0d0e0f2e8fa97c9b010000fe2c0514");
  EXPECT_EQ(hex(encode_head_row(sample_head())),
            "010109e807e707092e8fa97c9b01000084070102f403e707468ba97c9b0100002e8fa97c9b010000"
            "f303f0a2040a000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f794e"
            "f17c");
}

TEST(Rows, EveryFieldComesBack) {
  const auto head = parse_head_row(encode_head_row(sample_head()));
  ASSERT_TRUE(head.has_value());
  EXPECT_TRUE(head->has_origin);
  EXPECT_EQ(head->origin, Seq{9});
  EXPECT_EQ(head->floor, Seq{1000});
  EXPECT_EQ(head->newest, Seq{999});
  EXPECT_EQ(head->window_floor, Seq{9});
  EXPECT_EQ(head->clock_ms, kWhenMs);
  EXPECT_EQ(head->steps, 900U);
  EXPECT_EQ(head->steps_skipping, 1U);
  EXPECT_EQ(head->open_partition, PartitionId{2});
  EXPECT_EQ(head->open_first, Seq{500});
  EXPECT_EQ(head->open_last, Seq{999});
  EXPECT_EQ(head->open_clock_first_ms, kWhenMs - 1000);
  EXPECT_EQ(head->open_clock_last_ms, kWhenMs);
  EXPECT_EQ(head->open_frames, 499U);
  EXPECT_EQ(head->open_raw_bytes, 70000U);
  EXPECT_EQ(head->open_groups, 10U);
  EXPECT_EQ(head->open_digest, counted_bytes<32>());

  const auto partition = parse_partition_row(encode_partition_row(sample_partition()));
  ASSERT_TRUE(partition.has_value());
  EXPECT_EQ(partition->id, PartitionId{7});
  EXPECT_EQ(partition->stream, StreamId{1});
  EXPECT_EQ(partition->epoch, EpochNumber{2});
  EXPECT_EQ(partition->state, PartitionState::building);
  EXPECT_EQ(partition->container, "frames/repos/0000000000000007");
  EXPECT_EQ(partition->codec, 0);
  EXPECT_EQ(partition->first, Seq{1});
  EXPECT_EQ(partition->last, Seq{9'007'199'254'740'991});
  EXPECT_EQ(partition->clock_first_ms, -5);
  EXPECT_EQ(partition->clock_last_ms, kWhenMs);
  EXPECT_EQ(partition->frames, 5U);
  EXPECT_EQ(partition->raw_bytes, 1ULL << 40);
  EXPECT_EQ(partition->groups, 3U);
  EXPECT_EQ(partition->digest, counted_bytes<32>());
  EXPECT_EQ(partition->replaces, PartitionId{6});
  PartitionInfo alone = sample_partition();
  alone.replaces.reset();
  EXPECT_EQ(parse_partition_row(encode_partition_row(alone)).value().replaces, std::nullopt);

  const auto quarantine = parse_quarantine_row(encode_quarantine_row(sample_quarantine()));
  ASSERT_TRUE(quarantine.has_value());
  EXPECT_EQ(quarantine->stream, StreamId{1});
  EXPECT_EQ(quarantine->number, 300U);
  EXPECT_EQ(quarantine->reason, Unarchivable::text_message);
  EXPECT_EQ(quarantine->received_ms, kWhenMs);
  EXPECT_EQ(quarantine->seq, Seq{77});
  EXPECT_EQ(quarantine->bytes_total, 6'000'000U);
  EXPECT_EQ(quarantine->bytes, std::string("\x00\xff\x82", 3));
  QuarantineEntry unnumbered = sample_quarantine();
  unnumbered.seq.reset();
  EXPECT_EQ(parse_quarantine_row(encode_quarantine_row(unnumbered)).value().seq, std::nullopt);
}

TEST(Rows, EveryFieldOfTheSmallerRowsComesBack) {
  const auto format = parse_format_row(encode_format_row({1, counted_bytes<16>(), kWhenMs}));
  ASSERT_TRUE(format.has_value());
  EXPECT_EQ(format->version, 1U);
  EXPECT_EQ(format->archive, counted_bytes<16>());
  EXPECT_EQ(format->created_ms, kWhenMs);

  const auto counters = parse_counters_row(encode_counters_row({1ULL << 63, 0xFFFF'FFFF}));
  ASSERT_TRUE(counters.has_value());
  EXPECT_EQ(counters->next_partition, 1ULL << 63);
  EXPECT_EQ(counters->next_stream, 0xFFFF'FFFFU);

  const auto stream = parse_stream_row(encode_stream_row(sample_stream()));
  ASSERT_TRUE(stream.has_value());
  EXPECT_EQ(stream->id, StreamId{1});
  EXPECT_EQ(stream->unique_id, counted_bytes<16>());
  EXPECT_EQ(stream->spec.name, "repos");
  EXPECT_EQ(stream->spec.kind, StreamKind::repos);
  EXPECT_EQ(stream->spec.url, "wss://relay.test");
  EXPECT_EQ(stream->spec.density, Density::dense);
  EXPECT_TRUE(stream->shares_container);
  EXPECT_EQ(stream->created_ms, kWhenMs);

  const auto epoch = parse_epoch_row(
      encode_epoch_row({StreamId{1}, EpochNumber{2}, counted_bytes<16>(), kWhenMs, "reset"}));
  ASSERT_TRUE(epoch.has_value());
  EXPECT_EQ(epoch->stream, StreamId{1});
  EXPECT_EQ(epoch->number, EpochNumber{2});
  EXPECT_EQ(epoch->id, counted_bytes<16>());
  EXPECT_EQ(epoch->started_ms, kWhenMs);
  EXPECT_EQ(epoch->reason, "reset");

  const Gap last{previous(kSeqMax), next(kSeqMax), GapReason::lost, kWhenMs, ""};
  EXPECT_EQ(parse_gap_row(encode_gap_row(last)).value(), last);  // reaches the last seq there is

  const auto note = parse_note_row(encode_note_row({5, StreamId{1}, kWhenMs, "info", "text"}));
  ASSERT_TRUE(note.has_value());
  EXPECT_EQ(note->number, 5U);
  EXPECT_EQ(note->stream, StreamId{1});
  EXPECT_EQ(note->when_ms, kWhenMs);
  EXPECT_EQ(note->kind, "info");
  EXPECT_EQ(note->text, "text");

  const auto self = parse_self_description(encode_self_description(sample_self_description()));
  ASSERT_TRUE(self.has_value());
  EXPECT_EQ(self->format_version, 1U);
  EXPECT_EQ(self->stream, counted_bytes<16>());
  EXPECT_EQ(self->stream_name, "labeler.test");
  EXPECT_EQ(self->kind, StreamKind::labels);
  EXPECT_EQ(self->epoch, counted_bytes<16>());
  EXPECT_EQ(self->epoch_number, EpochNumber{3});
  EXPECT_EQ(self->partition, PartitionId{9});
  EXPECT_EQ(self->codec, 0);
  EXPECT_EQ(self->first, Seq{12});
}

TEST(Rows, EveryFlippedBitAndEveryTruncationIsCorrupt) {
  for (const RowCase& row : row_cases()) {
    ASSERT_EQ(row.parse(row.encoded), "ok") << row.name;
    for (std::size_t i = 0; i < row.encoded.size(); ++i) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        std::string damaged = row.encoded;
        damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ (1U << bit));
        ASSERT_EQ(row.parse(damaged), "corrupt") << row.name << " byte " << i;
      }
      ASSERT_EQ(row.parse(row.encoded.substr(0, i)), "corrupt") << row.name << " cut at " << i;
    }
    EXPECT_EQ(row.parse(row.encoded + '\0'), "corrupt") << row.name;
  }
}

// The checksum guards against damage; the fields are checked all the same.
TEST(Rows, ARowCutInAnyFieldIsCorruptThoughItsChecksumMatches) {
  for (const RowCase& row : row_cases()) {
    const std::string body = without_checksum(row.encoded);
    for (std::size_t size = 0; size < body.size(); ++size) {
      ASSERT_EQ(row.parse(with_checksum(body.substr(0, size))), "corrupt") << row.name;
    }
    EXPECT_EQ(row.parse(with_checksum(body + '\0')), "corrupt") << row.name << ": trailing byte";
  }
}

TEST(Rows, ANewerRowVersionIsUnsupported) {
  for (const RowCase& row : row_cases()) {
    std::string newer = without_checksum(row.encoded);
    newer[0] = 2;
    EXPECT_EQ(row.parse(with_checksum(newer)), row.name == "format" ? "corrupt" : "unsupported");
  }
}

TEST(Rows, TheFormatRowOfANewerArchiveTellsItsVersion) {
  std::string newer = without_checksum(encode_format_row({7, counted_bytes<16>(), kWhenMs}));
  newer[0] = 3;
  const auto row = parse_format_row(with_checksum(newer + "and something that is new"));
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->version, 7U);
  EXPECT_EQ(row->archive, counted_bytes<16>());
}

TEST(Rows, LengthsAndValuesBeyondTheirRangeAreCorrupt) {
  const std::string when(8, '\0');
  const auto gap = [&](std::string_view fields) {
    const auto result = parse_gap_row(with_checksum("\x01" + std::string(fields)));
    return result.has_value() ? "ok" : result.error().detail;
  };
  EXPECT_EQ(gap(std::string("\x01\x03\x01") + when + std::string(1, '\0')), "ok");
  EXPECT_EQ(gap("\x01\x03\x01" + when +
                "\x05"
                "abcd"),
            "gap row: at byte 12: detail: 5 bytes announced, 4 left");
  EXPECT_EQ(gap("\x01\x03\x01" + when +
                "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                "abcd"),
            "gap row: at byte 12: detail: 18446744073709551615 bytes announced, 4 left");
  EXPECT_EQ(gap("\x01\x02\x01" + when + std::string(1, '\0')),
            "gap row: at byte 3: before: leaves no seq after `after`");
  EXPECT_EQ(gap("\x01\x03\x07" + when + std::string(1, '\0')),
            "gap row: at byte 3: reason: 7 is above 6");
  EXPECT_EQ(gap(std::string("\x01\x03\x00", 3) + when + std::string(1, '\0')),
            "gap row: at byte 4: reason: 0 is not a value");
  EXPECT_EQ(gap(std::string("\x81\x00", 2)),
            "gap row: at byte 1: after: varint is not in its shortest form");
  EXPECT_EQ(gap("\x80\x80\x80\x80\x80\x80\x80\x10\x03"),
            "gap row: at byte 1: after: 9007199254740992 is above 9007199254740991");
  EXPECT_EQ(gap("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
            "gap row: at byte 1: after: varint passes 64 bits");
  EXPECT_EQ(gap("\xff\xff"), "gap row: at byte 1: after: varint is cut short");
}

}  // namespace
}  // namespace standpipe::storage
