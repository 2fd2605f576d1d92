// Chance for the simulated network: integers alone, so that a seed gives the same bytes on any
// machine and with any compiler. Nothing of <random> (its distributions are nobody's promise), no
// floating point.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "schema/base/bytes.h"

namespace standpipe::tools::sim {

// Mixes two words into one: for seeds that are made of a seed and a number.
std::uint64_t mix(std::uint64_t a, std::uint64_t b);

// xoshiro256**, seeded by splitmix64. A value: a copy goes on alike. Not for secrets.
class Random {
 public:
  explicit Random(std::uint64_t seed);

  std::uint64_t next();
  std::uint64_t below(std::uint64_t bound);  // 0 .. bound - 1; bound > 0
  // `per_million` in a million.
  bool happens(std::uint32_t per_million) { return below(1'000'000) < per_million; }
  void fill(std::span<std::byte> bytes);

  // Exponentially distributed, mean 1, in units of 2^-16.
  std::uint64_t exponential();
  // The number of trials up to the first success, each one in `m`; at least 1. m > 0.
  std::uint64_t geometric(std::uint64_t m);

 private:
  std::uint64_t state_[4];
};

// log2(value) and 2^x, both with 16 binary places. value > 0; x below 62 (above: as 62).
std::uint32_t log2_fixed(std::uint64_t value);
std::uint64_t exp2_fixed(std::uint32_t x);

// A point of a distribution function: `per_mille` of all values are below 2^(log2 / 65536).
struct Quantile {
  std::uint32_t per_mille;
  std::uint32_t log2;
};

// Draws from the distribution through `points` (rising, from 0 to 1000), interpolating between
// logarithms; of it the part above `floor` alone, or the last point where nothing is.
std::uint64_t draw(Random& random, std::span<const Quantile> points, std::uint64_t floor = 0);

// The share of the distribution that is below `value`, in millionths.
std::uint32_t share_below(std::span<const Quantile> points, std::uint64_t value);

}  // namespace standpipe::tools::sim
