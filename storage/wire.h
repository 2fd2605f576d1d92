// The pinned wire form, where it is checked frame by frame: inline, because every frame that is
// read from disk passes here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "schema/base/bytes.h"

namespace standpipe::storage {

inline constexpr std::byte kWireFirstByte{0x82};  // FIN, no reserved bit, binary

// Size of the header at the start of `wire`, which must be one whole frame in the pinned form:
// FIN and binary, unmasked, shortest length form (RFC 6455 5.2). 0 if it is anything else.
inline std::size_t pinned_header_size(ByteView wire) {
  if (wire.size() < 2 || wire[0] != kWireFirstByte) return 0;
  const std::size_t form = std::to_integer<std::size_t>(wire[1]);  // a mask bit makes it > 127
  if (form < 126) return wire.size() == form + 2 ? 2 : 0;
  if (form == 126) {
    if (wire.size() < 4) return 0;
    const std::size_t length = load_be<std::uint16_t>(wire.data() + 2);
    return length >= 126 && wire.size() - 4 == length ? 4 : 0;
  }
  if (form == 127) {
    if (wire.size() < 10) return 0;
    const std::uint64_t length = load_be<std::uint64_t>(wire.data() + 2);
    return length > 0xFFFF && wire.size() - 10 == length ? 10 : 0;
  }
  return 0;
}

}  // namespace standpipe::storage
