// Keys and rows of the `meta` and `quarantine` families, and the keys of groups.
// The only file, with group.h, that knows byte layouts; docs/format.md mirrors it.
//
// Every row: version byte, fields (varints, fixed 64-bit, length-prefixed text), CRC-32C (LE) of
// all before it. parse_ functions return corrupt with the key's meaning and what is wrong,
// unsupported for a newer version byte; encode_ functions cannot fail.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "schema/base/result.h"
#include "storage/types.h"

namespace standpipe::storage {

inline constexpr std::uint32_t kFormatVersion = 1;

// -- Keys: order matters, so integers are big-endian ----------------------------------------------
std::string format_key();                                            // 'F'
std::string counters_key();                                          // 'C'
std::string stream_key(StreamId stream);                             // 'S' u32
std::string epoch_key(StreamId stream, EpochNumber epoch);           // 'E' u32 u32
std::string head_key(StreamId stream, EpochNumber epoch);            // 'H' u32 u32
std::string partition_key(PartitionId id);                           // 'P' u64
std::string gap_key(StreamId stream, EpochNumber epoch, Seq after);  // 'G' u32 u32 u64
std::string note_key(std::uint64_t number);                          // 'N' u64
std::string reset_key(StreamId stream, EpochNumber epoch);           // 'U' u32 u32, a note row
std::string quarantine_key(std::uint64_t number);                    // u64, in its own family
std::string group_key(PartitionId id, Seq first);  // u64 u64, in every frames family
// Where the self-description of a partition stands, in its frames family: group key with seq 0.
std::string self_description_key(PartitionId id);

struct GroupKey {
  PartitionId partition{};
  Seq first{};  // kSeqNone: the self-description
};
Result<GroupKey> parse_group_key(std::string_view key);

// -- Rows -----------------------------------------------------------------------------------------
struct FormatRow {
  std::uint32_t version = kFormatVersion;
  UniqueId archive{};
  std::int64_t created_ms = 0;
};
// Never unsupported: the version it holds is what tells a newer format.
std::string encode_format_row(const FormatRow& row);
Result<FormatRow> parse_format_row(std::string_view value);

// Next numbers to give out.
struct CountersRow {
  std::uint64_t next_partition = 1;
  std::uint32_t next_stream = 1;
};
std::string encode_counters_row(const CountersRow& row);
Result<CountersRow> parse_counters_row(std::string_view value);

struct StreamRow {
  StreamId id{};
  UniqueId unique_id{};
  StreamSpec spec;
  bool shares_container = false;  // quiet: partitions live together in one family
  std::int64_t created_ms = 0;
};
std::string encode_stream_row(const StreamRow& row);
Result<StreamRow> parse_stream_row(std::string_view value);

struct EpochRow {
  StreamId stream{};
  EpochNumber number{};
  UniqueId id{};
  std::int64_t started_ms = 0;
  std::string reason;
};
std::string encode_epoch_row(const EpochRow& row);
Result<EpochRow> parse_epoch_row(std::string_view value);

// The moving part of an epoch, written with every commit.
struct HeadRow {
  bool has_origin = false;
  Seq origin = kSeqNone;
  Seq floor = kSeqNone;
  Seq newest = kSeqNone;
  Seq window_floor = kSeqNone;
  std::int64_t clock_ms = 0;
  std::uint64_t steps = 0;           // accepted frames that followed another
  std::uint64_t steps_skipping = 0;  // of these, the ones that did not follow directly
  // The open partition, if there is one: its directory row carries what was true when it opened.
  PartitionId open_partition{};  // 0: none
  Seq open_first = kSeqNone;
  Seq open_last = kSeqNone;
  std::int64_t open_clock_first_ms = 0;
  std::int64_t open_clock_last_ms = 0;
  std::uint64_t open_frames = 0, open_raw_bytes = 0, open_groups = 0;
  std::array<std::byte, 32> open_digest{};
};
std::string encode_head_row(const HeadRow& row);
Result<HeadRow> parse_head_row(std::string_view value);

std::string encode_partition_row(const PartitionInfo& row);
Result<PartitionInfo> parse_partition_row(std::string_view value);

std::string encode_gap_row(const Gap& row);  // `after` is in the key and in the row
Result<Gap> parse_gap_row(std::string_view value);

std::string encode_note_row(const Note& row);
Result<Note> parse_note_row(std::string_view value);

std::string encode_quarantine_row(const QuarantineEntry& row);
Result<QuarantineEntry> parse_quarantine_row(std::string_view value);

// In each frames family, one per partition in it: enough to rebuild the directory from families.
struct SelfDescription {
  std::uint32_t format_version = kFormatVersion;
  UniqueId stream{};
  std::string stream_name;
  StreamKind kind = StreamKind::repos;
  UniqueId epoch{};
  EpochNumber epoch_number{};
  PartitionId partition{};
  std::uint8_t codec = 0;
  Seq first = kSeqNone;
};
std::string encode_self_description(const SelfDescription& row);
Result<SelfDescription> parse_self_description(std::string_view value);

}  // namespace standpipe::storage
