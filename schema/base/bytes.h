// Bytes and views of bytes, and the conversions between them and text and integers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.h"

namespace standpipe {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;  // never owns; valid as long as what it was made from

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(ByteView view) { return {view.begin(), view.end()}; }
inline bool equal(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

// Fixed-width integers. `at` must point to at least sizeof(T) readable or writable bytes.
template <typename T>
inline T load_le(const std::byte* at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(value | static_cast<T>(static_cast<T>(at[i]) << (8 * i)));
  }
  return value;
}
template <typename T>
inline T load_be(const std::byte* at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value =
        static_cast<T>(value | static_cast<T>(static_cast<T>(at[i]) << (8 * (sizeof(T) - 1 - i))));
  }
  return value;
}
template <typename T>
inline void store_le(std::byte* at, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    at[i] = static_cast<std::byte>((value >> (8 * i)) & 0xFF);
  }
}
template <typename T>
inline void store_be(std::byte* at, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    at[i] = static_cast<std::byte>((value >> (8 * (sizeof(T) - 1 - i))) & 0xFF);
  }
}

std::string to_hex(ByteView bytes);         // lower case
Result<Bytes> parse_hex(std::string_view);  // either case, no separators, even length

}  // namespace standpipe
