#include "tests/support/upstream_state.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "schema/base/assert.h"

namespace standpipe::test {

WakeEvent::WakeEvent() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  STANDPIPE_ASSERT(fd_.get() >= 0, "no eventfd");
}

void WakeEvent::wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(fd(), &one, sizeof one);
}

void WakeEvent::clear() const {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t size = ::read(fd(), &count, sizeof count);
}

UpstreamState::UpstreamState(UpstreamOptions options)
    : options_(std::move(options)), tls_(options_.tls ? make_server_tls(*options_.tls) : nullptr) {
  if (options_.is_paced) permits_ = 0;
  append(options_.frames);
}

void UpstreamState::append(std::vector<UpstreamFrame> frames) {
  const std::lock_guard lock(mutex_);
  for (UpstreamFrame& frame : frames) {
    STANDPIPE_ASSERT(frame.seq > newest_seq_, "seqs must rise");
    newest_seq_ = frame.seq;
    frames_.push_back(std::make_shared<const UpstreamFrame>(std::move(frame)));
  }
  wake_all_locked();
}

void UpstreamState::forget(std::int64_t seq) {
  const std::lock_guard lock(mutex_);
  while (!frames_.empty() && frames_.front()->seq <= seq) {
    forgotten_seq_ = frames_.front()->seq;
    frames_.pop_front();
    ++forgotten_;
  }
}

void UpstreamState::release(std::uint64_t frames) {
  const std::lock_guard lock(mutex_);
  if (permits_) *permits_ += frames;
  wake_all_locked();
}

void UpstreamState::release_all() {
  const std::lock_guard lock(mutex_);
  permits_.reset();
  wake_all_locked();
}

StartPosition UpstreamState::start_of(std::optional<std::int64_t> cursor) const {
  const std::lock_guard lock(mutex_);
  StartPosition start;
  if (options_.cursor_mode == CursorMode::ignored) {
    start.index = forgotten_;
    return start;
  }
  start.index = forgotten_ + frames_.size();
  if (!cursor) return start;
  if (*cursor > newest_seq_) {
    start.is_future = options_.refuses_future_cursor;
    return start;
  }
  const std::int64_t first_wanted =
      options_.cursor_mode == CursorMode::inclusive ? *cursor : *cursor + 1;
  const auto at =
      std::lower_bound(frames_.begin(), frames_.end(), first_wanted,
                       [](const SharedFrame& frame, std::int64_t seq) { return frame->seq < seq; });
  start.index = forgotten_ + static_cast<std::size_t>(at - frames_.begin());
  start.is_outdated = *cursor != 0 && first_wanted <= forgotten_seq_;
  return start;
}

std::vector<SharedFrame> UpstreamState::take(std::size_t& index, std::size_t count) {
  const std::lock_guard lock(mutex_);
  index = std::max(index, forgotten_);
  const std::size_t at = std::min(index - forgotten_, frames_.size());
  std::size_t taken = std::min(count, frames_.size() - at);
  if (permits_) {
    taken = static_cast<std::size_t>(std::min<std::uint64_t>(taken, *permits_));
    *permits_ -= taken;
  }
  const auto begin = frames_.begin() + static_cast<std::ptrdiff_t>(at);
  index += taken;
  return {begin, begin + static_cast<std::ptrdiff_t>(taken)};
}

void UpstreamState::plan_next(ConnectionPlan plan) {
  const std::lock_guard lock(mutex_);
  plans_.push_back(std::move(plan));
}

std::optional<ConnectionPlan> UpstreamState::take_plan() {
  const std::lock_guard lock(mutex_);
  if (plans_.empty()) return std::nullopt;
  ConnectionPlan plan = std::move(plans_.front());
  plans_.pop_front();
  return plan;
}

std::optional<std::size_t> UpstreamState::add_connection() {
  const std::lock_guard lock(mutex_);
  if (records_.size() >= options_.connections_total_max) return std::nullopt;
  records_.emplace_back();
  return records_.size() - 1;
}

void UpstreamState::update(std::size_t number,
                           const std::function<void(ConnectionRecord&)>& change) {
  const std::lock_guard lock(mutex_);
  change(records_.at(number));
  changed_.notify_all();
}

void UpstreamState::end(std::size_t number, ConnectionEnd how) {
  update(number, [how](ConnectionRecord& record) {
    if (record.end == ConnectionEnd::open) record.end = how;
  });
}

std::vector<ConnectionRecord> UpstreamState::records() const {
  const std::lock_guard lock(mutex_);
  return records_;
}

ConnectionRecord UpstreamState::record(std::size_t number) const {
  const std::lock_guard lock(mutex_);
  if (number >= records_.size()) {
    throw std::runtime_error(
        fmt::format("there is no connection {}; {}", number, summary_locked()));
  }
  return records_[number];
}

void UpstreamState::add_waker(const WakeEvent* event) {
  const std::lock_guard lock(mutex_);
  wakers_.insert(event);
}

void UpstreamState::remove_waker(const WakeEvent* event) {
  const std::lock_guard lock(mutex_);
  wakers_.erase(event);
}

void UpstreamState::stop() {
  const std::lock_guard lock(mutex_);
  is_stopping_ = true;
  wake_all_locked();
}

bool UpstreamState::is_stopping() const {
  const std::lock_guard lock(mutex_);
  return is_stopping_;
}

void UpstreamState::wait(const std::function<bool(const std::vector<ConnectionRecord>&)>& holds,
                         const std::string& what) const {
  std::unique_lock lock(mutex_);
  if (changed_.wait_for(lock, kTestDeadline, [&] { return holds(records_); })) return;
  throw std::runtime_error(
      fmt::format("upstream waited in vain for {}; {}", what, summary_locked()));
}

void UpstreamState::wake_all_locked() const {
  for (const WakeEvent* event : wakers_) event->wake();
}

std::string UpstreamState::summary_locked() const {
  constexpr std::size_t kShown = 8;
  std::string text = fmt::format("it has had {} connections", records_.size());
  const std::size_t first = records_.size() - std::min(records_.size(), kShown);
  for (std::size_t i = first; i < records_.size(); ++i) {
    const ConnectionRecord& record = records_[i];
    text += fmt::format("; {}: {} \"{}\", {} frames sent", i, to_string(record.end), record.target,
                        record.frames_sent);
    if (!record.seqs_sent.empty()) text += fmt::format(" up to {}", record.seqs_sent.back());
    if (!record.violation.empty()) text += ", " + record.violation;
  }
  return text;
}

}  // namespace standpipe::test
