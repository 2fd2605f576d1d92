// What a run of the fan-out bench was asked for, and how long its rounds are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "tests/support/bench_process.h"

namespace standpipe::test {

inline const std::vector<std::string> kParts = {"sizes", "threads", "filters",
                                                "tls",   "latency", "memory"};

struct Setting {
  double scale = 1;
  std::size_t subscribers = 0;  // 0: all sizes
  bool is_json = false;
  std::string part;  // one of kParts; empty: all
  BenchCores cores;
  std::size_t rounds() const { return scale < 0.5 ? 3 : 5; }
  std::size_t scaled(std::size_t frames, std::size_t at_least) const {
    return std::max(at_least, static_cast<std::size_t>(static_cast<double>(frames) * scale));
  }
};

// Frames of a round that are fed at once, and one by one.
inline std::size_t burst_of(std::size_t subscribers, const Setting& setting) {
  const std::size_t frames = subscribers >= 5'000  ? 100
                             : subscribers >= 1000 ? 300
                             : subscribers >= 100  ? 1'000
                                                   : 2'000;
  return setting.scaled(frames, subscribers >= 1000 ? 40 : 200);
}
inline std::size_t steps_of(std::size_t subscribers, const Setting& setting) {
  return setting.scaled(subscribers >= 5'000 ? 10 : subscribers >= 1000 ? 30 : 100, 10);
}

}  // namespace standpipe::test
