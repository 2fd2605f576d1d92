// How far a reader that goes on decodes ahead. Private to storage/.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>

#include "storage/run_cache.h"

namespace standpipe::storage {

// To decode ahead saves opening a scan for each run, as long as the runs are still in the cache
// when the reader comes for them. Where many readers share the cache they may not be, and are
// decoded twice. How many readers there are says little (most may be stalled, or on the same runs),
// so each goes by what becomes of its own runs: half as far after a run that was lost, twice as far
// after several times in which none was. One thread.
class ReadAhead {
 public:
  explicit ReadAhead(std::size_t bytes_max)
      : bytes_max_(bytes_max), bytes_(std::min(kFirstBytes, bytes_max)) {}

  // The reader begins somewhere else: what lies ahead of it there it has not decoded.
  void restart() { last_.reset(); }

  // The reader goes on with this run, which is not in the cache. Bytes to decode behind it.
  std::size_t bytes_after(const RunKey& missed) {
    const bool is_lost =
        last_ && last_->partition == missed.partition && missed.first <= last_->first;
    if (is_lost) {
      bytes_ = bytes_ / 2 < kLeastBytes ? 0 : bytes_ / 2;
      has_lost_ = true;
      kept_ = 0;
    } else if (last_ || bytes_ == 0) {
      if (!has_lost_ || ++kept_ == kKeptToGrow) {
        bytes_ = std::min(std::max(bytes_ * 2, kLeastBytes), bytes_max_);
        kept_ = 0;
      }
    }
    last_.reset();
    return bytes_;
  }

  // A run that was decoded ahead, and is in the cache now.
  void keep(const RunKey& run) { last_ = run; }

 private:
  static constexpr std::size_t kFirstBytes = 512 << 10;
  static constexpr std::size_t kLeastBytes = 128 << 10;  // less is not worth a scan: none
  static constexpr int kKeptToGrow = 8;

  std::size_t bytes_max_;
  std::size_t bytes_;
  std::optional<RunKey> last_;  // of those decoded ahead
  bool has_lost_ = false;
  int kept_ = 0;  // times in a row that nothing was lost
};

}  // namespace standpipe::storage
