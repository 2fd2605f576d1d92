// The clock of a simulation that runs along with the one on the wall.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "schema/base/clock.h"

namespace standpipe::tools::sim {

// The maximum of the two becomes its value.
template <typename T>
void raise_to(std::atomic<T>& atomic, T value) {
  T known = atomic.load();
  while (known < value && !atomic.compare_exchange_weak(known, value)) {
  }
}

// Begins at some simulated time and runs `speed` times as fast as time goes by. With speed 0 it
// shows the time of the newest frame that was handed out, whatever that took. Thread-safe.
class LiveClock final : public Clock {
 public:
  LiveClock(std::int64_t begin_ms, std::uint64_t speed)
      : begin_ms_(begin_ms),
        speed_(static_cast<std::int64_t>(speed)),
        begun_(std::chrono::steady_clock::now()),
        newest_ms_(begin_ms) {}

  std::int64_t now_ms() const override;

  bool is_due(std::int64_t time_ms) const { return speed_ == 0 || time_ms <= now_ms(); }
  // Of real time, until a frame of this time is due; at least a millisecond.
  std::chrono::milliseconds until(std::int64_t time_ms) const;
  void on_handed_out(std::int64_t time_ms);
  bool is_paced() const { return speed_ != 0; }

 private:
  const std::int64_t begin_ms_;
  const std::int64_t speed_;
  const std::chrono::steady_clock::time_point begun_;
  std::atomic<std::int64_t> newest_ms_;
};

}  // namespace standpipe::tools::sim
