#include "schema/base/crc32c.h"

#include <array>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace standpipe {
namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;  // bit-reversed 0x1EDC6F41

using Table = std::array<std::array<std::uint32_t, 256>, 8>;

// Table k moves a byte k positions further, so that eight bytes take eight independent look-ups.
constexpr Table make_table() {
  Table table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? kPolynomial : 0U);
    table[0][byte] = crc;
  }
  for (std::size_t k = 1; k < table.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = table[k - 1][byte];
      table[k][byte] = (before >> 8) ^ table[0][before & 0xFFU];
    }
  }
  return table;
}

constexpr Table kTable = make_table();

std::uint32_t step(std::uint32_t state, std::byte byte) {
  return (state >> 8) ^ kTable[0][(state ^ std::to_integer<std::uint32_t>(byte)) & 0xFFU];
}

#if defined(__x86_64__)

// One crc32 instruction waits three cycles for the one before it. Three lanes of this many bytes
// keep the unit busy; what a lane contributes is then moved behind the lane after it.
constexpr std::size_t kLaneBytes = 1024;

using Matrix = std::array<std::uint32_t, 32>;  // over GF(2): what each bit of a state becomes

constexpr std::uint32_t apply(const Matrix& matrix, std::uint32_t state) {
  std::uint32_t result = 0;
  for (std::size_t bit = 0; state != 0; ++bit, state >>= 1) {
    if ((state & 1U) != 0) result ^= matrix[bit];
  }
  return result;
}

// The state after kLaneBytes zero bytes, by a look-up for each byte of the state before.
constexpr std::array<std::array<std::uint32_t, 256>, 4> make_lane_table() {
  Matrix matrix{};  // of one zero bit
  for (std::size_t bit = 0; bit < 32; ++bit) {
    matrix[bit] = bit == 0 ? kPolynomial : 1U << (bit - 1);
  }
  for (std::size_t bits = 1; bits < kLaneBytes * 8; bits *= 2) {
    Matrix squared{};
    for (std::size_t bit = 0; bit < 32; ++bit) squared[bit] = apply(matrix, matrix[bit]);
    matrix = squared;
  }
  std::array<std::array<std::uint32_t, 256>, 4> table{};
  for (std::uint32_t place = 0; place < 4; ++place) {
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      table[place][byte] = apply(matrix, byte << (8 * place));
    }
  }
  return table;
}

constexpr std::array<std::array<std::uint32_t, 256>, 4> kLaneTable = make_lane_table();

std::uint64_t move_by_lane(std::uint64_t state) {
  return kLaneTable[0][state & 0xFFU] ^ kLaneTable[1][(state >> 8) & 0xFFU] ^
         kLaneTable[2][(state >> 16) & 0xFFU] ^ kLaneTable[3][(state >> 24) & 0xFFU];
}

__attribute__((target("sse4.2"))) std::uint64_t three_lanes(const std::byte* at,
                                                            std::uint64_t first) {
  std::uint64_t second = 0;
  std::uint64_t third = 0;
  for (const std::byte* end = at + kLaneBytes; at != end; at += 8) {
    std::uint64_t words[3];
    std::memcpy(&words[0], at, 8);
    std::memcpy(&words[1], at + kLaneBytes, 8);
    std::memcpy(&words[2], at + 2 * kLaneBytes, 8);
    first = _mm_crc32_u64(first, words[0]);
    second = _mm_crc32_u64(second, words[1]);
    third = _mm_crc32_u64(third, words[2]);
  }
  return move_by_lane(move_by_lane(first) ^ second) ^ third;
}

__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse42(ByteView bytes,
                                                             std::uint32_t previous) {
  std::uint64_t state = ~previous;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 3 * kLaneBytes; at += 3 * kLaneBytes, left -= 3 * kLaneBytes) {
    state = three_lanes(at, state);
  }
  for (; left >= 8; at += 8, left -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    state = _mm_crc32_u64(state, word);
  }
  auto narrow = static_cast<std::uint32_t>(state);
  for (; left > 0; ++at, --left) narrow = _mm_crc32_u8(narrow, std::to_integer<unsigned char>(*at));
  return ~narrow;
}

#endif

using Function = std::uint32_t (*)(ByteView, std::uint32_t);

Function choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return crc32c_sse42;
#endif
  return crc32c_portable;
}

}  // namespace

std::uint32_t crc32c(ByteView bytes, std::uint32_t previous) {
  static const Function chosen = choose();
  return chosen(bytes, previous);
}

std::uint32_t crc32c_portable(ByteView bytes, std::uint32_t previous) {
  std::uint32_t state = ~previous;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    const std::uint32_t low = load_le<std::uint32_t>(at) ^ state;
    const std::uint32_t high = load_le<std::uint32_t>(at + 4);
    state = kTable[7][low & 0xFFU] ^ kTable[6][(low >> 8) & 0xFFU] ^
            kTable[5][(low >> 16) & 0xFFU] ^ kTable[4][low >> 24] ^ kTable[3][high & 0xFFU] ^
            kTable[2][(high >> 8) & 0xFFU] ^ kTable[1][(high >> 16) & 0xFFU] ^
            kTable[0][high >> 24];
  }
  for (; left > 0; ++at, --left) state = step(state, *at);
  return ~state;
}

}  // namespace standpipe
