// Subscribers of a soak, each on a thread of its own. They check what they are given: seqs that
// rise by one, but where the server has said why not, and the bytes that all others got.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/soak/deliveries.h"
#include "tests/support/bulk_frames.h"

namespace standpipe::test {

enum class Habit : std::uint8_t {
  follows,  // reads all of it for ever, and goes on at its cursor; must not miss anything
  comes,    // begins somewhere, reads some of it, and leaves in one of many ways
  stalls,   // reads nothing for a while, then goes on, if it is still there
  lies,     // is no subscriber at all
};

// What they share. Any thread.
struct Consumption {
  explicit Consumption(std::int64_t last) : deliveries(last) {}
  Deliveries deliveries;
  std::atomic<std::uint16_t> port = 0;  // of the mirror; 0: there is none now
  std::atomic<bool> is_over = false;
  std::atomic<std::uint64_t> connections = 0, overtaken = 0, too_slow = 0, lies = 0;
};

class Consumer {
 public:
  Consumer(Consumption& shared, Habit habit, std::uint64_t seed);
  ~Consumer();
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  std::int64_t position() const { return position_; }  // the seq it has got last; 0: none
  void join();

 private:
  class Session;
  void run();
  void follow();
  void come_and_go();
  void stall();
  void lie();
  void pause(std::uint64_t ms_max);  // ends early when it is over

  Consumption& shared_;  // not ours
  const Habit habit_;
  Random random_;
  std::atomic<std::int64_t> position_ = 0;
  std::thread thread_;  // last: it uses everything above
};

}  // namespace standpipe::test
