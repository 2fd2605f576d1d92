// The clock of a stream: what partitions roll and expire by, and what look-ups by time use.
//
// `time` in frames is set by others, does not rise with seq and may be absurd. The clock of a group
// is the greatest so far of the median `time` of the newest 64 frames that carry one, and never
// above our receive time: a replayed backlog splits as it did live, and one frame from 2099 poisons
// nothing. Where no frame carries a time (labels) it is the receive time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

namespace standpipe::storage {

inline constexpr std::size_t kClockWindow = 64;  // frames
inline constexpr std::size_t kClockWindowSettled =
    8;  // with fewer, the smallest instead of the median

// A plain value: copy it to try something out. Times are milliseconds since 1970.
class GroupClock {
 public:
  // `clock_ms`: of the newest group so far.
  explicit GroupClock(std::int64_t clock_ms = std::numeric_limits<std::int64_t>::min())
      : clock_ms_(clock_ms) {}

  void add_frame(std::optional<std::int64_t> time_ms);
  // Ends a group whose last frame was received at `received_ms`; returns its clock.
  std::int64_t end_group(std::int64_t received_ms);
  std::int64_t clock_ms() const { return clock_ms_; }

 private:
  std::int64_t clock_ms_;
  std::array<std::int64_t, kClockWindow> times_{};
  std::size_t count_ = 0;  // of times_, once around
  std::size_t next_ = 0;   // where the next one goes
};

}  // namespace standpipe::storage
