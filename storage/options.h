// Every limit and policy of an archive, with its unit and default.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "schema/base/clock.h"
#include "storage/retention.h"

namespace rocksdb {
class Env;
}

namespace standpipe::storage {

enum class Access : std::uint8_t {
  write,      // the one holder; creates the archive if there is none
  read_only,  // any number, while nobody writes; changes nothing on disk
};

struct ArchiveOptions {
  Access access = Access::write;
  bool create_if_missing = true;

  // -- Changes behaviour ------------------------------------------------------------------------
  std::optional<std::int64_t> partition_span_ms;     // of clock; a partition rolls after it;
                                                     // nullopt: see storage/retention.h
  std::uint64_t partition_bytes_max = 256ULL << 30;  // wire bytes; rolls before exceeding it
  std::uint64_t partition_bytes_min = 1ULL << 30;    // a smaller one stays open ...
  std::int64_t partition_age_max_ms = 30LL * 24 * 3600 * 1000;  // ... until this much clock
  RetentionPolicy retention;                  // who writes drops what exceeds it; none: nothing
  std::uint64_t free_bytes_min = 2ULL << 30;  // --min-free: below it nothing is written
  std::uint64_t quarantine_bytes_max = 64ULL << 20;
  std::uint64_t quarantine_rate_bytes = 1ULL << 20;  // per second, with a burst of ten seconds
  std::uint64_t quarantine_rate_entries = 200;       // per second, with a burst of ten seconds
  std::size_t notes_max = 10'000;                    // newest kept

  // -- Changes speed ----------------------------------------------------------------------------
  std::size_t group_frames_max = 64;
  std::size_t group_bytes_max = 256 << 10;   // a larger frame is a group of its own
  std::size_t run_bytes_target = 256 << 10;  // decoded groups are joined up to this
  std::size_t run_cache_bytes = 128 << 20;
  std::size_t write_buffer_bytes = 64 << 20;   // per frames family
  std::uint64_t log_bytes_max = 512ULL << 20;  // RocksDB's log, all files
  bool background = true;  // sealing and preparing partitions on a thread of the archive's own;
                           // false: within commit(), for tests that count each step

  // -- Seams ------------------------------------------------------------------------------------
  const Clock* clock = &SystemClock::instance();  // not ours, outlives the archive
  rocksdb::Env* env = nullptr;  // file system under RocksDB; null: the real one. Not ours.
  // Free bytes of the file system that holds the archive; null: ask the system.
  std::function<std::uint64_t()> free_bytes;
  // Called at each numbered step of the partition protocols (storage/partition.h), for crash tests.
  std::function<void(std::string_view step)> on_step;
};

}  // namespace standpipe::storage
