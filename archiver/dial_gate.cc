#include "archiver/dial_gate.h"

#include <utility>

namespace standpipe::archiver {

bool DialGate::is_idle() const {
  const std::lock_guard lock(mutex_);
  return !offered_ && !has_session_;
}

void DialGate::open(firehose::Dial dial) {
  {
    const std::lock_guard lock(mutex_);
    offered_ = dial;
  }
  changed_.notify_all();
}

bool DialGate::end_session() {
  const std::lock_guard lock(mutex_);
  offered_.reset();
  if (has_session_) is_session_over_ = true;
  return has_session_;
}

void DialGate::session_ended() {
  const std::lock_guard lock(mutex_);
  has_session_ = false;
  is_session_over_ = false;
}

std::optional<firehose::Dial> DialGate::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_refused_ || offered_; });
  if (is_refused_) return std::nullopt;
  has_session_ = true;
  return std::exchange(offered_, std::nullopt);
}

void DialGate::refuse() {
  {
    const std::lock_guard lock(mutex_);
    is_refused_ = true;
  }
  changed_.notify_all();
}

}  // namespace standpipe::archiver
