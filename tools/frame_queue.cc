#include "tools/frame_queue.h"

#include <utility>

namespace standpipe::tools {

bool FrameQueue::push(QueueEntry entry) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stop_ || entries_.empty() || bytes_ < bytes_max_; });
  if (stop_) return false;
  bytes_ += entry.bytes.size();
  entries_.push_back(std::move(entry));
  changed_.notify_all();
  return true;
}

void FrameQueue::finish() {
  const std::lock_guard lock(mutex_);
  is_finished_ = true;
  changed_.notify_all();
}

void FrameQueue::stop(StopReason reason) {
  const std::lock_guard lock(mutex_);
  if (!stop_) stop_ = reason;
  entries_.clear();
  bytes_ = 0;
  changed_.notify_all();
}

FrameQueue::Popped FrameQueue::pop(QueueEntry& entry, std::chrono::milliseconds idle) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, idle, [&] { return stop_ || is_finished_ || !entries_.empty(); });
  if (stop_) return Popped::stopped;
  if (entries_.empty()) return is_finished_ ? Popped::finished : Popped::idle;
  entry = std::move(entries_.front());
  entries_.pop_front();
  bytes_ -= entry.bytes.size();
  changed_.notify_all();
  return Popped::entry;
}

std::optional<StopReason> FrameQueue::stop_reason() const {
  const std::lock_guard lock(mutex_);
  return stop_;
}

}  // namespace standpipe::tools
