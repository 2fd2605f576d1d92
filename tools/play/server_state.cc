#include "tools/play/server_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "schema/base/assert.h"

namespace standpipe::tools::play {

ServerState::ServerState(PlayOptions options, TlsContext tls)
    : options_(std::move(options)), tls_(std::move(tls)), floor_(options_.floor) {
  if (options_.is_paced) released_ = 0;
  append(std::exchange(options_.frames, {}));
}

void ServerState::append(std::vector<PlayFrame> frames) {
  const std::lock_guard lock(mutex_);
  for (PlayFrame& frame : frames) {
    STANDPIPE_ASSERT(frame.seq >= newest_seq_, "seqs must not fall");
    newest_seq_ = frame.seq;
    frames_.push_back(std::make_shared<const PlayFrame>(std::move(frame)));
  }
  wake_all_locked();
}

void ServerState::forget(std::int64_t seq) {
  const std::lock_guard lock(mutex_);
  while (!frames_.empty() && frames_.front()->seq <= seq) {
    floor_ = frames_.front()->seq;
    frames_.pop_front();
    ++forgotten_;
  }
}

void ServerState::release(std::uint64_t frames) {
  const std::lock_guard lock(mutex_);
  if (released_) *released_ += frames;
  wake_all_locked();
}

void ServerState::release_all() {
  const std::lock_guard lock(mutex_);
  released_.reset();
  wake_all_locked();
}

StartPosition ServerState::start_of(std::optional<std::int64_t> cursor) const {
  const std::lock_guard lock(mutex_);
  StartPosition start;
  start.index = forgotten_;
  if (options_.cursor_mode == CursorMode::ignored) return start;
  if (!cursor && options_.begins_at_oldest) return start;
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
  start.is_outdated = *cursor != 0 && first_wanted <= floor_;
  return start;
}

std::vector<SharedFrame> ServerState::take(std::size_t& index, std::size_t count) {
  const std::lock_guard lock(mutex_);
  index = std::max(index, forgotten_);
  const std::size_t at = std::min(index - forgotten_, frames_.size());
  std::size_t taken = std::min(count, frames_.size() - at);
  if (released_) {
    const std::uint64_t left = *released_ - std::min<std::uint64_t>(*released_, index);
    taken = static_cast<std::size_t>(std::min<std::uint64_t>(taken, left));
  }
  const auto begin = frames_.begin() + static_cast<std::ptrdiff_t>(at);
  index += taken;
  return {begin, begin + static_cast<std::ptrdiff_t>(taken)};
}

bool ServerState::is_at_end(std::size_t index) const {
  const std::lock_guard lock(mutex_);
  return index >= forgotten_ + frames_.size();
}

void ServerState::plan_next(ConnectionPlan plan) {
  const std::lock_guard lock(mutex_);
  plans_.push_back(std::move(plan));
}

std::optional<ConnectionPlan> ServerState::take_plan() {
  const std::lock_guard lock(mutex_);
  if (plans_.empty()) return std::nullopt;
  ConnectionPlan plan = std::move(plans_.front());
  plans_.pop_front();
  return plan;
}

std::optional<std::size_t> ServerState::add_connection() {
  const std::lock_guard lock(mutex_);
  if (records_.size() >= options_.connections_total_max) return std::nullopt;
  records_.emplace_back();
  return records_.size() - 1;
}

void ServerState::update(std::size_t number, const std::function<void(ConnectionRecord&)>& change) {
  const std::lock_guard lock(mutex_);
  change(records_.at(number));
  changed_.notify_all();
}

std::vector<ConnectionRecord> ServerState::records() const {
  const std::lock_guard lock(mutex_);
  return records_;
}

void ServerState::add_waker(const WakeEvent* event) {
  const std::lock_guard lock(mutex_);
  wakers_.insert(event);
}

void ServerState::remove_waker(const WakeEvent* event) {
  const std::lock_guard lock(mutex_);
  wakers_.erase(event);
  changed_.notify_all();
}

void ServerState::stop() {
  const std::lock_guard lock(mutex_);
  is_stopping_ = true;
  wake_all_locked();
}

bool ServerState::is_stopping() const {
  const std::lock_guard lock(mutex_);
  return is_stopping_;
}

void ServerState::finish() {
  const std::lock_guard lock(mutex_);
  is_finishing_ = true;
  wake_all_locked();
}

bool ServerState::is_finishing() const {
  const std::lock_guard lock(mutex_);
  return is_finishing_;
}

bool ServerState::wait(const Server::Holds& holds,
                       std::chrono::steady_clock::time_point deadline) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline, [&] { return holds(records_); });
}

void ServerState::touch() const {
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

void ServerState::wake_all_locked() const {
  for (const WakeEvent* event : wakers_) event->wake();
}

std::string ServerState::summary() const {
  constexpr std::size_t kShown = 8;
  const std::lock_guard lock(mutex_);
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

}  // namespace standpipe::tools::play
