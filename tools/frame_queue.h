// Frames on their way from the thread that reads files to the one that writes the archive.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "schema/base/bytes.h"
#include "schema/base/result.h"

namespace standpipe::tools {

struct QueueEntry {
  enum class Kind : std::uint8_t { file_begin, frame, failed } kind = Kind::frame;
  std::size_t file = 0;           // which of the files
  Bytes bytes;                    // frame: whole, or the head of one that is too large
  std::uint64_t bytes_total = 0;  // frame: its size
  std::uint64_t bytes_read = 0;   // of all files so far, compressed
  std::optional<Error> error;     // failed: nothing follows
};

// Why the archive's side is to stop before the input has ended.
enum class StopReason : std::uint8_t { signal, new_epoch };

// Bounded by bytes; one thread pushes, one pops, any may stop it.
class FrameQueue {
 public:
  explicit FrameQueue(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // Waits while it is full. False once stopped: there is nobody to read for.
  bool push(QueueEntry entry);
  void finish();                 // nothing more will be pushed
  void stop(StopReason reason);  // the first reason stays; what is queued is forgotten

  enum class Popped : std::uint8_t { entry, idle, finished, stopped };
  // idle: nothing came for that long. After finish(), finished once the queue is empty.
  Popped pop(QueueEntry& entry, std::chrono::milliseconds idle);

  std::optional<StopReason> stop_reason() const;

 private:
  const std::size_t bytes_max_;
  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::deque<QueueEntry> entries_;
  std::size_t bytes_ = 0;  // sum of entries_[i].bytes.size()
  bool is_finished_ = false;
  std::optional<StopReason> stop_;
};

}  // namespace standpipe::tools
