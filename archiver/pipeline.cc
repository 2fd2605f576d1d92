#include "archiver/pipeline.h"

#include <algorithm>
#include <utility>

namespace standpipe::archiver {

PipelineEntry PipelineBatch::entry(std::size_t index) const {
  const Head& head = entries_[index];
  return {head.kind, head.received_ms, head.bytes_total,
          ByteView(bytes_).subspan(head.offset, head.size)};
}

bool Pipeline::append(const PipelineEntry& entry) {
  const bool is_session =
      entry.kind == EntryKind::session_begin || entry.kind == EntryKind::session_end;
  const std::size_t size = entry.bytes.size() + kEntryBytes;
  std::unique_lock lock(mutex_);
  if (!is_session) {
    while (!is_closed_ && queued_bytes_ > 0 && queued_bytes_ + size > bytes_max_) {
      producer_waits_ = true;
      has_room_.wait(lock);
    }
    producer_waits_ = false;
  }
  if (is_closed_) return false;
  Bytes& bytes = queued_.bytes_;
  if (bytes.capacity() - bytes.size() < entry.bytes.size()) {
    // Doubling must not reach beyond what the limit can ever ask for.
    const std::size_t wanted = bytes.size() + entry.bytes.size();
    bytes.reserve(std::max(wanted, std::min(2 * bytes.capacity(), bytes_max_)));
  }
  queued_.entries_.push_back(
      {bytes.size(), entry.bytes.size(), entry.bytes_total, entry.received_ms, entry.kind});
  bytes.insert(bytes.end(), entry.bytes.begin(), entry.bytes.end());
  queued_bytes_ += size;
  if (is_session) is_urgent_ = true;
  if (consumer_waits_ && (is_urgent_ || queued_bytes_ >= wake_at_bytes_)) {
    consumer_waits_ = false;
    lock.unlock();
    has_entries_.notify_one();
  }
  return true;
}

bool Pipeline::take(PipelineBatch& batch, const Wait& wait) {
  batch.entries_.clear();
  batch.bytes_.clear();
  std::unique_lock lock(mutex_);
  while (!is_closed_ && !is_urgent_) {
    const bool has_some = !queued_.empty();
    if (has_some && queued_bytes_ >= wait.bytes_enough) break;
    const auto deadline = has_some ? wait.not_before : wait.until;
    if (std::chrono::steady_clock::now() >= deadline) break;
    consumer_waits_ = true;
    wake_at_bytes_ = has_some ? wait.bytes_enough : 1;
    has_entries_.wait_until(lock, deadline);
    consumer_waits_ = false;
  }
  is_urgent_ = false;
  const bool is_end = is_closed_ && queued_.empty();
  std::swap(batch, queued_);
  queued_bytes_ = 0;
  const bool wakes = std::exchange(producer_waits_, false);
  lock.unlock();
  if (wakes) has_room_.notify_one();
  return !is_end;
}

void Pipeline::wake() {
  {
    const std::lock_guard lock(mutex_);
    is_urgent_ = true;
  }
  has_entries_.notify_one();
}

void Pipeline::close() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  has_entries_.notify_one();
  has_room_.notify_one();
}

std::size_t Pipeline::bytes() const {
  const std::lock_guard lock(mutex_);
  return queued_bytes_;
}

}  // namespace standpipe::archiver
