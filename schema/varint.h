// Unsigned varints (LEB128) as multiformats use them: seven bits a byte, low group first.
// Spec: github.com/multiformats/unsigned-varint; at most nine bytes, shortest form only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "schema/base/bytes.h"
#include "schema/base/result.h"

namespace standpipe {

inline constexpr std::size_t kVarintBytesMax = 9;
inline constexpr std::uint64_t kVarintMax = (std::uint64_t{1} << 63) - 1;

struct Varint {
  std::uint64_t value = 0;
  std::size_t length = 0;  // bytes that it took; 0 if there is no valid varint here
};

// The varint at the start of `bytes`. Allocates nothing, also where it fails.
Varint peek_varint(ByteView bytes);

// The same, with a reason: malformed if truncated, longer than nine bytes, or not the shortest
// form.
Result<Varint> parse_varint(ByteView bytes);

// Appends `value`, which must not exceed kVarintMax.
void append_varint(Bytes& out, std::uint64_t value);

}  // namespace standpipe
