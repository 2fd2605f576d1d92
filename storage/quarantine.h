// Frames that could not be archived as events: newest kept, bounded by bytes and by rate.
//
// Without the rate a hostile upstream would make this the write path: what exceeds it is counted
// and not kept.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "schema/base/result.h"
#include "storage/options.h"
#include "storage/store.h"
#include "storage/types.h"

namespace standpipe::storage {

inline constexpr std::size_t kQuarantineHeadBytes = 64 << 10;  // kept of a frame that is too large

// The in-memory side of the `quarantine` family. One thread at a time.
class Quarantine {
 public:
  explicit Quarantine(const ArchiveOptions& options);

  // Reads what is stored. corrupt: a row that does not decode.
  Result<void> load(const Store& store);

  // Whether an entry of `bytes` fits into the rate now, at `now_ms`; if so it is charged.
  bool admit(std::size_t bytes, std::int64_t now_ms);
  // Adds the entry, numbering it, and the removal of the oldest ones that no longer fit.
  void add(StoreBatch& batch, QuarantineEntry entry);

  std::vector<std::uint64_t> numbers() const;  // oldest first
  std::uint64_t entries() const { return kept_.size(); }
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Kept {
    std::uint64_t number = 0;
    std::size_t bytes = 0;
  };

  void refill(std::int64_t now_ms);

  std::uint64_t bytes_max_;
  double rate_bytes_;    // per second
  double rate_entries_;  // per second
  double credit_bytes_;
  double credit_entries_;
  std::int64_t refilled_ms_ = 0;
  std::uint64_t next_number_ = 1;
  std::uint64_t bytes_ = 0;
  std::deque<Kept> kept_;  // oldest first
};

}  // namespace standpipe::storage
