// How long something took, counted in classes: what a histogram of Prometheus is made from.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace standpipe {

// A value; 14 comparisons at most to count, no allocation. Not thread-safe.
struct DurationHistogram {
  // Upper ends of the classes, inclusive, in seconds; one more class lies above the last.
  static constexpr std::array<double, 13> kBounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                  0.1,    0.25,  0.5,    1,     2.5,  10};

  std::array<std::uint64_t, kBounds.size() + 1> counts{};  // of each class alone
  double sum_seconds = 0;

  void add(double seconds) {
    std::size_t i = 0;
    while (i < kBounds.size() && seconds > kBounds[i]) ++i;
    ++counts[i];
    sum_seconds += seconds;
  }
};

}  // namespace standpipe
