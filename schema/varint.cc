#include "schema/varint.h"

#include <algorithm>

namespace standpipe {
namespace {

constexpr std::byte kMore{0x80};

}  // namespace

Varint peek_varint(ByteView bytes) {
  const std::size_t length_max = std::min(bytes.size(), kVarintBytesMax);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < length_max; ++i) {
    value |= std::to_integer<std::uint64_t>(bytes[i] & ~kMore) << (7 * i);
    if ((bytes[i] & kMore) != std::byte{0}) continue;
    if (i > 0 && bytes[i] == std::byte{0}) return {};  // the last group adds nothing
    return {value, i + 1};
  }
  return {};
}

Result<Varint> parse_varint(ByteView bytes) {
  const Varint varint = peek_varint(bytes);
  if (varint.length != 0) return varint;
  const std::size_t length_max = std::min(bytes.size(), kVarintBytesMax);
  for (std::size_t i = 0; i < length_max; ++i) {
    if ((bytes[i] & kMore) == std::byte{0}) {
      return Error{Errc::malformed, "varint is not in its shortest form"};
    }
  }
  if (length_max < kVarintBytesMax) return Error{Errc::malformed, "varint is cut off"};
  return Error{Errc::malformed, "varint is longer than 9 bytes"};
}

void append_varint(Bytes& out, std::uint64_t value) {
  STANDPIPE_ASSERT(value <= kVarintMax, "varints end at 2^63 - 1");
  while (value >= 0x80) {
    out.push_back(static_cast<std::byte>(value & 0x7F) | kMore);
    value >>= 7;
  }
  out.push_back(static_cast<std::byte>(value));
}

}  // namespace standpipe
