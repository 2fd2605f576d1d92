// The head of a CBOR item: its major type and argument. RFC 8949, section 3.
// For code that walks CBOR by itself; most want CborReader or check_cbor of schema/cbor.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "schema/base/bytes.h"

namespace standpipe {

struct CborHead {
  std::uint8_t major = 0;       // 0 .. 7
  std::uint8_t additional = 0;  // 0 .. 31
  std::uint8_t length = 0;      // bytes of the head; 0 if cut off or of a reserved form
  std::uint64_t argument = 0;   // 0 where additional is 31

  bool is_reserved() const { return additional >= 28 && additional <= 30; }
  bool is_indefinite() const { return additional == 31; }  // with major 7: a break
  // Whether no shorter head says the same. Not for major 7, where the length is part of the value.
  bool is_shortest() const {
    switch (additional) {
      case 24:
        return argument >= 24;
      case 25:
        return argument > 0xFF;
      case 26:
        return argument > 0xFFFF;
      case 27:
        return argument > 0xFFFFFFFF;
      default:
        return true;
    }
  }
};

inline constexpr std::byte kCborBreak{0xFF};

// Reads the head at `at`, which must be at most bytes.size().
inline CborHead read_cbor_head(ByteView bytes, std::size_t at) {
  CborHead head;
  if (at == bytes.size()) return head;
  const auto first = std::to_integer<std::uint8_t>(bytes[at]);
  head.major = static_cast<std::uint8_t>(first >> 5);
  head.additional = static_cast<std::uint8_t>(first & 31U);
  if (head.additional < 24) {
    head.argument = head.additional;
    head.length = 1;
    return head;
  }
  if (head.additional == 31) {
    head.length = 1;
    return head;
  }
  if (head.is_reserved()) return head;
  const std::size_t argument_bytes = std::size_t{1} << (head.additional - 24U);
  if (bytes.size() - at - 1 < argument_bytes) return head;
  const std::byte* argument = bytes.data() + at + 1;
  switch (argument_bytes) {
    case 1:
      head.argument = std::to_integer<std::uint64_t>(*argument);
      break;
    case 2:
      head.argument = load_be<std::uint16_t>(argument);
      break;
    case 4:
      head.argument = load_be<std::uint32_t>(argument);
      break;
    default:
      head.argument = load_be<std::uint64_t>(argument);
      break;
  }
  head.length = static_cast<std::uint8_t>(1 + argument_bytes);
  return head;
}

}  // namespace standpipe
