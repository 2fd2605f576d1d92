// Retention: which partitions an archive may let go, and how they are cut so that some can.
//
// A partition goes whole or stays, so what is kept beyond a limit is up to one partition. Ages are
// by the clock of the stream itself (design: "Clock"), not by the one on the wall: an upstream that
// is away for a month, an import of old frames or a wrong date of the machine delete nothing.
// Pure, but for the types; who measures and drops is Archive.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/types.h"

namespace standpipe::storage {

struct ArchiveOptions;

inline constexpr std::int64_t kRetentionAgeMinMs = 3'600'000;              // one hour
inline constexpr std::int64_t kRetentionAgeMaxMs = 36'500LL * 86'400'000;  // a hundred years
inline constexpr std::uint64_t kRetentionBytesMin = 16 << 20;

// What is kept of one stream. Where both are set, what exceeds either goes.
struct RetentionLimits {
  std::optional<std::int64_t> age_ms;         // of clock, behind the stream's newest group
  std::optional<std::uint64_t> stored_bytes;  // in table files, all its epochs together
  bool is_limited() const { return age_ms.has_value() || stored_bytes.has_value(); }
  bool operator==(const RetentionLimits&) const = default;
};

struct RetentionPolicy {
  RetentionLimits each;  // of every stream that is not named below
  std::map<std::string, RetentionLimits, std::less<>> by_stream;

  const RetentionLimits& of(std::string_view stream) const;
  bool is_limited() const;  // any stream
};

// Where partitions of a stream end. Meanings as in ArchiveOptions.
struct PartitionCut {
  std::int64_t span_ms = 0;
  std::uint64_t bytes_max = 0;
  std::int64_t age_max_ms = 0;
};

// The options' own, made smaller where the limits ask for it:
// - the span, where it is not set: 24 h, or a sixteenth of the age but at least 1 h;
// - a small partition stays open for at most a quarter of the age, or a quiet stream would keep
//   what is older by a month, the default;
// - a partition ends at an eighth of the bytes (raw, so some twelfth stored): what is open cannot
//   go, and a limit that one partition fills would free nothing, or everything.
PartitionCut partition_cut(const ArchiveOptions& options, const RetentionLimits& limits);

struct StoredPartition {
  PartitionInfo partition;
  std::uint64_t stored_bytes = 0;  // its share of the table files
};

enum class ExpiryReason : std::uint8_t { age, bytes };

struct Expiry {
  PartitionId partition{};
  ExpiryReason reason = ExpiryReason::age;
};

// Of the partitions of one stream (open, sealing and sealed ones that hold frames, in any order)
// those that are to go, in the order in which they must go: oldest first, by epoch, then by seq. A
// beginning of that order, up to the first that is not sealed, and never the newest of all.
// `clock_ms`: of the stream's newest group.
std::vector<Expiry> expired_partitions(std::vector<StoredPartition> partitions,
                                       std::int64_t clock_ms, const RetentionLimits& limits);

}  // namespace standpipe::storage
