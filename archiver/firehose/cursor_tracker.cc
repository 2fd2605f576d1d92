#include "archiver/firehose/cursor_tracker.h"

#include <algorithm>

#include "schema/base/assert.h"

namespace standpipe::firehose {

CursorTracker::CursorTracker(std::optional<Seq> start, std::size_t in_flight_max)
    : in_flight_max_(in_flight_max), newest_(start), cursor_(start) {
  STANDPIPE_ASSERT(in_flight_max > 0, "in_flight_max is at least 1");
}

bool CursorTracker::begin(Seq seq) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_closed_ || entries_.size() < in_flight_max_; });
  if (is_closed_ || (newest_ && seq <= *newest_)) return false;
  newest_ = seq;
  entries_.push_back({seq});
  return true;
}

bool CursorTracker::done(Seq seq) {
  {
    const std::lock_guard lock(mutex_);
    const auto found =
        std::lower_bound(entries_.begin(), entries_.end(), seq,
                         [](const Entry& entry, Seq wanted) { return entry.seq < wanted; });
    if (found == entries_.end() || found->seq != seq || found->is_done) return false;
    found->is_done = true;
    while (!entries_.empty() && entries_.front().is_done) {
      cursor_ = entries_.front().seq;
      entries_.pop_front();
    }
  }
  changed_.notify_all();
  return true;
}

std::optional<Seq> CursorTracker::cursor() const {
  const std::lock_guard lock(mutex_);
  return cursor_;
}

std::size_t CursorTracker::in_flight() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

void CursorTracker::close() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  changed_.notify_all();
}

}  // namespace standpipe::firehose
