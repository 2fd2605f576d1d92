// The bounded queue between the thread that reads a socket and the one that writes the archive.
//
// Entries lie one behind the other in a batch; the consumer takes the whole batch and gives the one
// before back, whose memory is used again. So a frame costs one copy, no allocation, and no wake-up
// while the consumer is at work.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "schema/base/bytes.h"

namespace standpipe::archiver {

enum class EntryKind : std::uint8_t {
  session_begin,  // a connection was made
  session_end,    // it ended, or could not be made
  frame,
  oversize,  // the head of a message above kFrameBytesMax
  text,      // a text message, or the head of one
};

struct PipelineEntry {
  EntryKind kind = EntryKind::frame;
  std::int64_t received_ms = 0;
  std::uint64_t bytes_total =
      0;           // on the wire; more than bytes.size() where the head alone is kept
  ByteView bytes;  // of a batch: valid until the batch is taken into again
};

// What was queued, in order. Used by the consumer alone once it was taken.
class PipelineBatch {
 public:
  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  std::size_t bytes() const { return bytes_.size(); }
  PipelineEntry entry(std::size_t index) const;

 private:
  friend class Pipeline;
  struct Head {
    std::size_t offset = 0;  // into bytes_
    std::size_t size = 0;
    std::uint64_t bytes_total = 0;
    std::int64_t received_ms = 0;
    EntryKind kind = EntryKind::frame;
  };
  std::vector<Head> entries_;
  Bytes bytes_;
};

// One producer, one consumer; wake(), close() and the counters from any thread.
class Pipeline {
 public:
  // `bytes_max`: of what is queued, with kEntryBytes for each entry; one entry always fits. As much
  // again may be in the batch that the consumer holds.
  explicit Pipeline(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  static constexpr std::size_t kEntryBytes = 48;

  // Waits while there is no room for it; session entries need none. False once closed.
  bool append(const PipelineEntry& entry);

  struct Wait {
    std::chrono::steady_clock::time_point until;       // with nothing queued, returns by then
    std::chrono::steady_clock::time_point not_before;  // with something queued, waits so long ...
    std::size_t bytes_enough = 0;                      // ... unless it is this much
  };
  // Exchanges `batch`, which is cleared, for what is queued: perhaps nothing, after wake() or
  // `until`. False once closed and empty.
  bool take(PipelineBatch& batch, const Wait& wait);

  void wake();   // take() returns at once, or the next one does
  void close();  // append() fails from now on; what is queued can still be taken

  std::size_t bytes() const;  // queued
  std::size_t bytes_max() const { return bytes_max_; }

 private:
  const std::size_t bytes_max_;
  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable has_room_;
  std::condition_variable has_entries_;
  PipelineBatch queued_;
  std::size_t queued_bytes_ = 0;  // as bytes_max_ counts
  bool producer_waits_ = false;
  bool consumer_waits_ = false;
  std::size_t wake_at_bytes_ = 0;  // consumer_waits_: what it waits for
  bool is_urgent_ = false;         // wake() was called, or a session entry is queued
  bool is_closed_ = false;
};

}  // namespace standpipe::archiver
