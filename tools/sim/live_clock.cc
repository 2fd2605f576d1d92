#include "tools/sim/live_clock.h"

#include <algorithm>

namespace standpipe::tools::sim {

using std::chrono::milliseconds;

std::int64_t LiveClock::now_ms() const {
  if (speed_ == 0) return newest_ms_.load();
  // Nanoseconds, a thousand times as fast, would last for 106 days.
  const auto since = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - begun_);
  return begin_ms_ + std::chrono::duration_cast<milliseconds>(since * speed_).count();
}

milliseconds LiveClock::until(std::int64_t time_ms) const {
  if (speed_ == 0) return milliseconds(1);
  return milliseconds(std::max<std::int64_t>(1, (time_ms - now_ms()) / speed_));
}

void LiveClock::on_handed_out(std::int64_t time_ms) { raise_to(newest_ms_, time_ms); }

}  // namespace standpipe::tools::sim
