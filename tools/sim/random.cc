#include "tools/sim/random.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "schema/base/assert.h"

namespace standpipe::tools::sim {
namespace {

std::uint64_t splitmix(std::uint64_t& state) {
  state += 0x9E3779B97F4A7C15U;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

// 2^(i/64) with 30 binary places.
constexpr std::array<std::uint64_t, 65> kPowers = {
    1073741824, 1085434106, 1097253708, 1109202018, 1121280436, 1133490379, 1145833280, 1158310587,
    1170923762, 1183674286, 1196563654, 1209593378, 1222764986, 1236080024, 1249540052, 1263146652,
    1276901417, 1290805962, 1304861917, 1319070932, 1333434672, 1347954824, 1362633090, 1377471191,
    1392470869, 1407633882, 1422962010, 1438457051, 1454120821, 1469955159, 1485961921, 1502142985,
    1518500250, 1535035634, 1551751076, 1568648537, 1585730000, 1602997467, 1620452965, 1638098541,
    1655936265, 1673968228, 1692196547, 1710623359, 1729250827, 1748081133, 1767116489, 1786359126,
    1805811301, 1825475297, 1845353420, 1865448001, 1885761398, 1906295993, 1927054196, 1948038440,
    1969251188, 1990694927, 2012372174, 2034285470, 2056437387, 2078830522, 2101467502, 2124350982,
    2147483648};

constexpr std::uint64_t kLn2 = 45'426;  // ln(2), 16 binary places
constexpr std::uint32_t kOne = 1U << 16;

}  // namespace

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t state = a;
  state = splitmix(state) ^ b;
  return splitmix(state);
}

Random::Random(std::uint64_t seed) {
  for (std::uint64_t& word : state_) word = splitmix(seed);
}

std::uint64_t Random::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

// The bias of a remainder is below 2^-20 for every bound that is asked for here.
std::uint64_t Random::below(std::uint64_t bound) {
  STANDPIPE_ASSERT(bound > 0, "nothing is below zero");
  return next() % bound;
}

void Random::fill(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    std::array<std::byte, 8> word;
    store_le(word.data(), next());
    const std::size_t size = std::min(word.size(), bytes.size());
    std::memcpy(bytes.data(), word.data(), size);
    bytes = bytes.subspan(size);
  }
}

std::uint64_t Random::exponential() {
  const std::uint64_t uniform = (next() >> 16) + 1;  // 1 .. 2^48
  const std::uint64_t log2_of_inverse = 48 * std::uint64_t{kOne} - log2_fixed(uniform);
  return (log2_of_inverse * kLn2) >> 16;
}

// A geometric variate is an exponential one, rounded up, of the mean m - 1/2 for any m that is not
// small; to 1 in 12 m^2.
std::uint64_t Random::geometric(std::uint64_t m) {
  if (m == 1) return 1;
  return 1 + ((exponential() * (2 * m - 1)) >> 17);
}

std::uint32_t log2_fixed(std::uint64_t value) {
  STANDPIPE_ASSERT(value > 0, "zero has no logarithm");
  const auto whole = static_cast<std::uint32_t>(std::bit_width(value) - 1);
  // Squaring the mantissa, 1 <= m < 2 with 31 binary places, doubles the logarithm.
  std::uint64_t mantissa = whole >= 31 ? value >> (whole - 31) : value << (31 - whole);
  std::uint32_t fraction = 0;
  for (int bit = 15; bit >= 0; --bit) {
    mantissa = (mantissa * mantissa) >> 31;
    if (mantissa >= (std::uint64_t{1} << 32)) {
      mantissa >>= 1;
      fraction |= 1U << bit;
    }
  }
  return whole * kOne + fraction;
}

std::uint64_t exp2_fixed(std::uint32_t x) {
  const std::uint32_t whole = std::min(x / kOne, 61U);
  const std::uint32_t fraction = x % kOne;
  const std::uint64_t low = kPowers[fraction >> 10];
  const std::uint64_t high = kPowers[(fraction >> 10) + 1];
  const std::uint64_t power = low + (((high - low) * (fraction & 1023U)) >> 10);  // 30 places
  return whole >= 30 ? power << (whole - 30) : power >> (30 - whole);
}

std::uint32_t share_below(std::span<const Quantile> points, std::uint64_t value) {
  const std::uint32_t wanted = value == 0 ? 0 : log2_fixed(value);
  if (wanted <= points.front().log2) return 0;
  for (std::size_t i = 1; i < points.size(); ++i) {
    if (wanted >= points[i].log2) continue;
    const std::uint64_t width = points[i].log2 - points[i - 1].log2;
    const std::uint64_t weight = points[i].per_mille - points[i - 1].per_mille;
    return points[i - 1].per_mille * 1000 +
           static_cast<std::uint32_t>((wanted - points[i - 1].log2) * weight * 1000 / width);
  }
  return 1'000'000;
}

std::uint64_t draw(Random& random, std::span<const Quantile> points, std::uint64_t floor) {
  const std::uint32_t from = share_below(points, floor);
  if (from >= 1'000'000) return exp2_fixed(points.back().log2);
  const auto at = from + static_cast<std::uint32_t>(random.below(1'000'000 - from));
  std::size_t i = 1;
  while (at >= points[i].per_mille * 1000) ++i;
  const std::uint64_t width = points[i].log2 - points[i - 1].log2;
  const std::uint64_t weight = std::uint64_t{points[i].per_mille - points[i - 1].per_mille} * 1000;
  const std::uint64_t into = at - points[i - 1].per_mille * 1000;
  const auto log2 = points[i - 1].log2 + static_cast<std::uint32_t>(into * width / weight);
  return std::max(floor, exp2_fixed(log2));
}

}  // namespace standpipe::tools::sim
