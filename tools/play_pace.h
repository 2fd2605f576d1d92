// When the frames of a fixture may go, where not as fast as they are taken. The pace is that of the
// recording, not of a connection: it begins with the first subscriber, and one that comes later, or
// again, is sent at once what is due by then.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace standpipe::tools {

class PlayPace {
 public:
  // `due_ms`: of each frame from the beginning on, never falling. `release(n)` lets n more go; it
  // is called on a thread of this object's own.
  PlayPace(std::vector<std::int64_t> due_ms, std::function<void(std::uint64_t)> release);
  ~PlayPace();
  PlayPace(const PlayPace&) = delete;
  PlayPace& operator=(const PlayPace&) = delete;

  void begin();  // again: nothing
  void end();    // nothing is let go after its return

 private:
  void run(std::stop_token stop);

  const std::vector<std::int64_t> due_ms_;
  const std::function<void(std::uint64_t)> release_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  bool has_begun_ = false;
  std::jthread thread_;
};

// What is due when, at `frames_per_s`, and at `speed` times the frames' own pace.
std::vector<std::int64_t> due_at_rate(std::size_t frames, double frames_per_s);
std::vector<std::int64_t> due_at_speed(const std::vector<std::int64_t>& offsets_ms, double speed);

}  // namespace standpipe::tools
