#include "storage/group_clock.h"

#include <algorithm>

namespace standpipe::storage {

void GroupClock::add_frame(std::optional<std::int64_t> time_ms) {
  if (!time_ms) return;
  times_[next_] = *time_ms;
  next_ = (next_ + 1) % kClockWindow;
  count_ = std::min(count_ + 1, kClockWindow);
}

std::int64_t GroupClock::end_group(std::int64_t received_ms) {
  std::int64_t clock = received_ms;
  if (count_ > 0) {
    auto sorted = times_;
    const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(count_);
    const std::size_t middle = count_ < kClockWindowSettled ? 0 : count_ / 2;
    const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(middle);
    std::nth_element(sorted.begin(), at, end);
    clock = std::min(*at, received_ms);
  }
  clock_ms_ = std::max(clock_ms_, clock);
  return clock_ms_;
}

}  // namespace standpipe::storage
