#include "storage/rows.h"

#include <algorithm>

#include "schema/base/crc32c.h"
#include "storage/fields.h"

namespace standpipe::storage {
namespace {

constexpr std::uint8_t kRowVersion = 1;
constexpr std::size_t kRowOverhead = 5;           // version and checksum
constexpr Seq kAfterSeqMax{to_int(kSeqMax) + 1};  // `before` of a gap that reaches the last seq

std::string key_of(char prefix) { return std::string(1, prefix); }

void append_be32(std::string& key, std::uint32_t value) {
  std::byte bytes[4];
  store_be(bytes, value);
  key.append(as_text(bytes));
}

void append_be64(std::string& key, std::uint64_t value) {
  std::byte bytes[8];
  store_be(bytes, value);
  key.append(as_text(bytes));
}

// Begins and ends a row; the fields between are written through `out`.
struct RowWriter {
  RowWriter() { out.u8(kRowVersion); }
  std::string finish() {
    out.u32(crc32c(as_bytes(row)));
    return std::move(row);
  }

  std::string row;
  FieldWriter out{row};
};

Error row_error(Errc code, std::string_view what, const std::string& why) {
  return Error{code, std::string(what) + " row: " + why};
}

// A reader of what stands before the checksum, the version byte first. The checksum is judged
// before the version: it stands in the same place in every version, so a flipped version byte is
// damage.
Result<FieldReader> checked_row(std::string_view what, std::string_view value) {
  if (value.size() < kRowOverhead) {
    return row_error(Errc::corrupt, what,
                     std::to_string(value.size()) + " bytes, at least 5 are needed");
  }
  const std::string_view checked = value.substr(0, value.size() - 4);
  const auto stored = load_le<std::uint32_t>(as_bytes(value).data() + checked.size());
  if (crc32c(as_bytes(checked)) != stored) {
    return row_error(Errc::corrupt, what,
                     "checksum does not match (" + std::to_string(value.size()) + " bytes)");
  }
  return FieldReader(checked);
}

// The same for a row of the version that this build knows; the reader stands at the first field.
Result<FieldReader> begin_row(std::string_view what, std::string_view value) {
  STANDPIPE_TRY(FieldReader in, checked_row(what, value));
  const std::uint8_t version = in.u8("version");
  if (version != kRowVersion) {
    return row_error(Errc::unsupported, what,
                     "version " + std::to_string(version) + ", this build knows version " +
                         std::to_string(kRowVersion));
  }
  return in;
}

Result<void> finish_row(std::string_view what, FieldReader& in) {
  if (!in.failed() && in.left() != 0) {
    in.fail("end", std::to_string(in.left()) + " bytes too many");
  }
  if (in.failed()) return row_error(Errc::corrupt, what, in.error());
  return {};
}

// Takes a fixed number of bytes into an array.
template <std::size_t N>
void read_array(FieldReader& in, std::string_view field, std::array<std::byte, N>& into) {
  const ByteView bytes = in.raw(field, N);
  if (!bytes.empty()) std::copy(bytes.begin(), bytes.end(), into.begin());
}

// An enum whose values run from `min` to `max` without holes.
template <typename Enum>
Enum read_enum(FieldReader& in, std::string_view field, Enum min, Enum max) {
  const std::uint8_t value = in.u8(field, static_cast<std::uint8_t>(max));
  if (!in.failed() && value < static_cast<std::uint8_t>(min)) in.fail(field, "0 is not a value");
  return in.failed() ? min : static_cast<Enum>(value);
}

template <typename Enum>
void write_enum(FieldWriter& out, Enum value) {
  out.u8(static_cast<std::uint8_t>(value));
}

StreamKind read_stream_kind(FieldReader& in) {
  return read_enum(in, "kind", StreamKind::repos, StreamKind::labels);
}

}  // namespace

// -- Keys -----------------------------------------------------------------------------------------

std::string format_key() { return key_of('F'); }
std::string counters_key() { return key_of('C'); }

std::string stream_key(StreamId stream) {
  std::string key = key_of('S');
  append_be32(key, to_int(stream));
  return key;
}

std::string epoch_key(StreamId stream, EpochNumber epoch) {
  std::string key = key_of('E');
  append_be32(key, to_int(stream));
  append_be32(key, to_int(epoch));
  return key;
}

std::string head_key(StreamId stream, EpochNumber epoch) {
  std::string key = key_of('H');
  append_be32(key, to_int(stream));
  append_be32(key, to_int(epoch));
  return key;
}

std::string reset_key(StreamId stream, EpochNumber epoch) {
  std::string key = key_of('U');
  append_be32(key, to_int(stream));
  append_be32(key, to_int(epoch));
  return key;
}

std::string partition_key(PartitionId id) {
  std::string key = key_of('P');
  append_be64(key, to_int(id));
  return key;
}

std::string gap_key(StreamId stream, EpochNumber epoch, Seq after) {
  std::string key = key_of('G');
  append_be32(key, to_int(stream));
  append_be32(key, to_int(epoch));
  append_be64(key, static_cast<std::uint64_t>(to_int(after)));
  return key;
}

std::string note_key(std::uint64_t number) {
  std::string key = key_of('N');
  append_be64(key, number);
  return key;
}

std::string quarantine_key(std::uint64_t number) {
  std::string key;
  append_be64(key, number);
  return key;
}

std::string group_key(PartitionId id, Seq first) {
  std::string key;
  append_be64(key, to_int(id));
  append_be64(key, static_cast<std::uint64_t>(to_int(first)));
  return key;
}

std::string self_description_key(PartitionId id) { return group_key(id, kSeqNone); }

Result<GroupKey> parse_group_key(std::string_view key) {
  if (key.size() != 16) {
    return Error{Errc::corrupt, "group key: " + std::to_string(key.size()) +
                                    " bytes, 16 are needed (partition, first seq)"};
  }
  const ByteView bytes = as_bytes(key);
  const auto first = load_be<std::uint64_t>(bytes.data() + 8);
  if (first > static_cast<std::uint64_t>(to_int(kSeqMax))) {
    return Error{Errc::corrupt,
                 "group key: first seq " + std::to_string(first) + " is above 2^53-1"};
  }
  return GroupKey{PartitionId{load_be<std::uint64_t>(bytes.data())},
                  Seq{static_cast<std::int64_t>(first)}};
}

// -- Format, counters -----------------------------------------------------------------------------

std::string encode_format_row(const FormatRow& row) {
  RowWriter writer;
  writer.out.u32(row.version);
  writer.out.raw(row.archive);
  writer.out.i64(row.created_ms);
  return writer.finish();
}

Result<FormatRow> parse_format_row(std::string_view value) {
  STANDPIPE_TRY(FieldReader in, checked_row("format", value));
  const std::uint8_t row_version = in.u8("version");
  FormatRow row;
  row.version = in.u32("format version");
  read_array(in, "archive id", row.archive);
  row.created_ms = in.i64("created");
  // A newer format may have its own row version and add fields; these three stay where they are.
  if (!in.failed() && row.version > kFormatVersion) return row;
  if (row_version != kRowVersion) in.fail("row version", "does not go with the format version");
  STANDPIPE_CHECK(finish_row("format", in));
  return row;
}

std::string encode_counters_row(const CountersRow& row) {
  RowWriter writer;
  writer.out.varint(row.next_partition);
  writer.out.varint(row.next_stream);
  return writer.finish();
}

Result<CountersRow> parse_counters_row(std::string_view value) {
  STANDPIPE_TRY(FieldReader in, begin_row("counters", value));
  CountersRow row;
  row.next_partition = in.varint("next partition");
  row.next_stream = in.varint32("next stream");
  STANDPIPE_CHECK(finish_row("counters", in));
  return row;
}

// -- Streams, epochs ------------------------------------------------------------------------------

std::string encode_stream_row(const StreamRow& row) {
  RowWriter writer;
  writer.out.varint(to_int(row.id));
  writer.out.raw(row.unique_id);
  writer.out.text(row.spec.name);
  write_enum(writer.out, row.spec.kind);
  writer.out.text(row.spec.url);
  write_enum(writer.out, row.spec.density);
  writer.out.flag(row.shares_container);
  writer.out.i64(row.created_ms);
  return writer.finish();
}

Result<StreamRow> parse_stream_row(std::string_view value) {
  STANDPIPE_TRY(FieldReader in, begin_row("stream", value));
  StreamRow row;
  row.id = StreamId{in.varint32("id")};
  read_array(in, "unique id", row.unique_id);
  row.spec.name = in.text("name");
  row.spec.kind = read_stream_kind(in);
  row.spec.url = in.text("url");
  row.spec.density = read_enum(in, "density", Density::automatic, Density::sparse);
  row.shares_container = in.flag("shares container");
  row.created_ms = in.i64("created");
  STANDPIPE_CHECK(finish_row("stream", in));
  return row;
}

std::string encode_epoch_row(const EpochRow& row) {
  RowWriter writer;
  writer.out.varint(to_int(row.stream));
  writer.out.varint(to_int(row.number));
  writer.out.raw(row.id);
  writer.out.i64(row.started_ms);
  writer.out.text(row.reason);
  return writer.finish();
}

Result<EpochRow> parse_epoch_row(std::string_view value) {
  STANDPIPE_TRY(FieldReader in, begin_row("epoch", value));
  EpochRow row;
  row.stream = StreamId{in.varint32("stream")};
  row.number = EpochNumber{in.varint32("number")};
  read_array(in, "id", row.id);
  row.started_ms = in.i64("started");
  row.reason = in.text("reason");
  STANDPIPE_CHECK(finish_row("epoch", in));
  return row;
}

std::string encode_head_row(const HeadRow& row) {
  RowWriter writer;
  FieldWriter& out = writer.out;
  out.flag(row.has_origin);
  out.seq(row.origin);
  out.seq(row.floor);
  out.seq(row.newest);
  out.seq(row.window_floor);
  out.i64(row.clock_ms);
  out.varint(row.steps);
  out.varint(row.steps_skipping);
  out.varint(to_int(row.open_partition));
  out.seq(row.open_first);
  out.seq(row.open_last);
  out.i64(row.open_clock_first_ms);
  out.i64(row.open_clock_last_ms);
  out.varint(row.open_frames);
  out.varint(row.open_raw_bytes);
  out.varint(row.open_groups);
  out.raw(row.open_digest);
  return writer.finish();
}

Result<HeadRow> parse_head_row(std::string_view value) {
  STANDPIPE_TRY(FieldReader in, begin_row("head", value));
  HeadRow row;
  row.has_origin = in.flag("has origin");
  row.origin = in.seq("origin");
  row.floor = in.seq("floor");
  row.newest = in.seq("newest");
  row.window_floor = in.seq("window floor");
  row.clock_ms = in.i64("clock");
  row.steps = in.varint("steps");
  row.steps_skipping = in.varint("steps skipping");
  row.open_partition = PartitionId{in.varint("open partition")};
  row.open_first = in.seq("open first");
  row.open_last = in.seq("open last");
  row.open_clock_first_ms = in.i64("open clock first");
  row.open_clock_last_ms = in.i64("open clock last");
  row.open_frames = in.varint("open frames");
  row.open_raw_bytes = in.varint("open raw bytes");
  row.open_groups = in.varint("open groups");
  read_array(in, "open digest", row.open_digest);
  STANDPIPE_CHECK(finish_row("head", in));
  return row;
}

// -- Partitions, gaps -----------------------------------------------------------------------------

std::string encode_partition_row(const PartitionInfo& row) {
  RowWriter writer;
  FieldWriter& out = writer.out;
  out.varint(to_int(row.id));
  out.varint(to_int(row.stream));
  out.varint(to_int(row.epoch));
  write_enum(out, row.state);
  out.text(row.container);
  out.u8(row.codec);
  out.seq(row.first);
  out.seq(row.last);
  out.i64(row.clock_first_ms);
  out.i64(row.clock_last_ms);
  out.varint(row.frames);
  out.varint(row.raw_bytes);
  out.varint(row.groups);
  out.raw(row.digest);
  out.varint(row.replaces ? to_int(*row.replaces) : 0);  // ids count from 1
  return writer.finish();
}

Result<PartitionInfo> parse_partition_row(std::string_view value) {
  STANDPIPE_TRY(FieldReader in, begin_row("partition", value));
  PartitionInfo row;
  row.id = PartitionId{in.varint("id")};
  row.stream = StreamId{in.varint32("stream")};
  row.epoch = EpochNumber{in.varint32("epoch")};
  row.state = read_enum(in, "state", PartitionState::creating, PartitionState::dropping);
  row.container = in.text("container");
  row.codec = in.u8("codec");
  row.first = in.seq("first");
  row.last = in.seq("last");
  if (row.last < row.first) in.fail("last", "is below first");
  row.clock_first_ms = in.i64("clock first");
  row.clock_last_ms = in.i64("clock last");
  row.frames = in.varint("frames");
  row.raw_bytes = in.varint("raw bytes");
  row.groups = in.varint("groups");
  read_array(in, "digest", row.digest);
  const std::uint64_t replaces = in.varint("replaces");
  if (replaces != 0) row.replaces = PartitionId{replaces};
  STANDPIPE_CHECK(finish_row("partition", in));
  return row;
}

std::string encode_gap_row(const Gap& row) {
  RowWriter writer;
  writer.out.seq(row.after);
  writer.out.seq(row.before);
  write_enum(writer.out, row.reason);
  writer.out.i64(row.recorded_ms);
  writer.out.text(row.detail);
  return writer.finish();
}

Result<Gap> parse_gap_row(std::string_view value) {
  STANDPIPE_TRY(FieldReader in, begin_row("gap", value));
  Gap row;
  row.after = in.seq("after");
  row.before = in.seq("before", kAfterSeqMax);
  if (distance(row.after, row.before) < 2) in.fail("before", "leaves no seq after `after`");
  row.reason = read_enum(in, "reason", GapReason::upstream, GapReason::lost);
  row.recorded_ms = in.i64("recorded");
  row.detail = in.text("detail");
  STANDPIPE_CHECK(finish_row("gap", in));
  return row;
}

// -- Notes, quarantine ----------------------------------------------------------------------------

std::string encode_note_row(const Note& row) {
  RowWriter writer;
  writer.out.varint(row.number);
  writer.out.varint(to_int(row.stream));
  writer.out.i64(row.when_ms);
  writer.out.text(row.kind);
  writer.out.text(row.text);
  return writer.finish();
}

Result<Note> parse_note_row(std::string_view value) {
  STANDPIPE_TRY(FieldReader in, begin_row("note", value));
  Note row;
  row.number = in.varint("number");
  row.stream = StreamId{in.varint32("stream")};
  row.when_ms = in.i64("when");
  row.kind = in.text("kind");
  row.text = in.text("text");
  STANDPIPE_CHECK(finish_row("note", in));
  return row;
}

std::string encode_quarantine_row(const QuarantineEntry& row) {
  RowWriter writer;
  writer.out.varint(to_int(row.stream));
  writer.out.varint(row.number);
  write_enum(writer.out, row.reason);
  writer.out.i64(row.received_ms);
  writer.out.seq(row.seq.value_or(kSeqNone));  // no frame has seq 0
  writer.out.varint(row.bytes_total);
  writer.out.text(row.bytes);
  return writer.finish();
}

Result<QuarantineEntry> parse_quarantine_row(std::string_view value) {
  STANDPIPE_TRY(FieldReader in, begin_row("quarantine", value));
  QuarantineEntry row;
  row.stream = StreamId{in.varint32("stream")};
  row.number = in.varint("number");
  row.reason = read_enum(in, "reason", Unarchivable::archivable, Unarchivable::text_message);
  row.received_ms = in.i64("received");
  const Seq seq = in.seq("seq");
  if (seq != kSeqNone) row.seq = seq;
  row.bytes_total = in.varint("bytes total");
  row.bytes = in.text("bytes");
  STANDPIPE_CHECK(finish_row("quarantine", in));
  return row;
}

// -- Self-description -----------------------------------------------------------------------------

std::string encode_self_description(const SelfDescription& row) {
  RowWriter writer;
  writer.out.u32(row.format_version);
  writer.out.raw(row.stream);
  writer.out.text(row.stream_name);
  write_enum(writer.out, row.kind);
  writer.out.raw(row.epoch);
  writer.out.varint(to_int(row.epoch_number));
  writer.out.varint(to_int(row.partition));
  writer.out.u8(row.codec);
  writer.out.seq(row.first);
  return writer.finish();
}

Result<SelfDescription> parse_self_description(std::string_view value) {
  STANDPIPE_TRY(FieldReader in, begin_row("self-description", value));
  SelfDescription row;
  row.format_version = in.u32("format version");
  read_array(in, "stream", row.stream);
  row.stream_name = in.text("stream name");
  row.kind = read_stream_kind(in);
  read_array(in, "epoch", row.epoch);
  row.epoch_number = EpochNumber{in.varint32("epoch number")};
  row.partition = PartitionId{in.varint("partition")};
  row.codec = in.u8("codec");
  row.first = in.seq("first");
  STANDPIPE_CHECK(finish_row("self-description", in));
  return row;
}

}  // namespace standpipe::storage
