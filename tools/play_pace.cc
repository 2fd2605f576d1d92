#include "tools/play_pace.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace standpipe::tools {
namespace {

// Beyond any wait: the arithmetic of clocks stays within 64 bits.
constexpr double kDueMsMax = 3.2e12;  // a hundred years

std::int64_t bounded_ms(double ms) { return static_cast<std::int64_t>(std::min(ms, kDueMsMax)); }

}  // namespace

PlayPace::PlayPace(std::vector<std::int64_t> due_ms, std::function<void(std::uint64_t)> release)
    : due_ms_(std::move(due_ms)),
      release_(std::move(release)),
      thread_([this](std::stop_token stop) { run(std::move(stop)); }) {}

PlayPace::~PlayPace() { end(); }

void PlayPace::end() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void PlayPace::begin() {
  const std::lock_guard lock(mutex_);
  has_begun_ = true;
  changed_.notify_all();
}

void PlayPace::run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait(lock, stop, [this] { return has_begun_; })) return;
  const auto start = std::chrono::steady_clock::now();
  std::size_t released = 0;
  while (released < due_ms_.size()) {
    const auto due = start + std::chrono::milliseconds(due_ms_[released]);
    changed_.wait_until(lock, stop, due, [] { return false; });
    if (stop.stop_requested()) return;
    const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - start);
    const auto next = std::upper_bound(due_ms_.begin(), due_ms_.end(), passed.count());
    const auto count = static_cast<std::size_t>(next - due_ms_.begin());
    if (count <= released) continue;
    lock.unlock();
    release_(count - released);
    lock.lock();
    released = count;
  }
}

std::vector<std::int64_t> due_at_rate(std::size_t frames, double frames_per_s) {
  std::vector<std::int64_t> due(frames);
  for (std::size_t i = 0; i < frames; ++i) {
    due[i] = bounded_ms(std::floor(static_cast<double>(i) * 1000.0 / frames_per_s));
  }
  return due;
}

std::vector<std::int64_t> due_at_speed(const std::vector<std::int64_t>& offsets_ms, double speed) {
  std::vector<std::int64_t> due;
  due.reserve(offsets_ms.size());
  for (const std::int64_t offset : offsets_ms) {
    due.push_back(bounded_ms(std::floor(static_cast<double>(offset) / speed)));
  }
  return due;
}

}  // namespace standpipe::tools
