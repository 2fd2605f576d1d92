// A scanner of well-formed CBOR for the hot path: the envelopes of frames.
// Spec: RFC 8949, sections 3 and 5.3.1 (well-formedness). Internal to schema/.
//
// Everything that touches a frame scans it first, so this is not a CborReader: no Result, no
// allocation, bodies in the header where a call would cost more than its work, and nothing is
// looked at that is not needed to find the next item.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "schema/base/bytes.h"

namespace standpipe {

enum class CborMajor : std::uint8_t {
  unsigned_integer,
  negative_integer,
  bytes,
  text,
  array,
  map,
  tag,
  simple,
};

struct ScanHead {
  CborMajor major = CborMajor::simple;
  std::uint8_t additional = 0;
  std::uint64_t argument = 0;  // 0 where indefinite

  bool is_indefinite() const { return additional == 31; }  // with simple: a break
};

inline constexpr int kScanDepthMax = 128;  // containers and tags inside one another, inclusive

// Every function that reads returns false where the bytes stop being well-formed, and leaves
// position() there. `around` is the number of containers and tags that the item stands in.
class CborScanner {
 public:
  explicit CborScanner(ByteView bytes)
      : begin_(bytes.data()), at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  std::size_t position() const { return static_cast<std::size_t>(at_ - begin_); }
  bool at_end() const { return at_ == end_; }

  // Of the next item; simple at the end.
  CborMajor peek_major() const {
    return at_ == end_ ? CborMajor::simple : static_cast<CborMajor>(first_byte() >> 5U);
  }

  bool read_head(ScanHead& head) {
    if (at_ == end_) return false;
    const unsigned first = first_byte();
    head.major = static_cast<CborMajor>(first >> 5U);
    head.additional = static_cast<std::uint8_t>(first & 31U);
    head.argument = head.additional;
    if (head.additional >= 24) return read_long_head(head);
    ++at_;
    return true;
  }

  // Text or bytes of definite length. Anything else is skipped and leaves `content` with a null
  // data(), which an empty string does not have.
  bool read_string(CborMajor major, ByteView& content, int around) {
    content = {};
    if (peek_major() != major || (first_byte() & 31U) == 31) return skip_item(around);
    const std::byte* begin = at_;
    ScanHead head;
    if (!read_head(head)) return false;
    if (head.argument > left()) {
      at_ = begin;
      return false;
    }
    content = {at_, static_cast<std::size_t>(head.argument)};
    at_ += head.argument;
    return true;
  }

  // Linear in the bytes skipped, whatever their nesting; does not recurse.
  bool skip_item(int around);

  // After the head of a map that stands in `around` items: for every pair, visit(key) must consume
  // the value and say whether it was well-formed. A key that is not text of definite length comes
  // with a null data(). Counts are not believed: a map that is cut off is visited up to the cut.
  template <typename Visit>
  bool read_pairs(const ScanHead& map, int around, Visit visit) {
    for (std::uint64_t i = 0; map.is_indefinite() || i < map.argument; ++i) {
      if (map.is_indefinite() && take_break()) return true;
      ByteView key;
      if (!read_string(CborMajor::text, key, around + 1) || !visit(as_text(key))) return false;
    }
    return true;
  }

  // After the head of an array: visit() must consume one entry.
  template <typename Visit>
  bool read_entries(const ScanHead& array, Visit visit) {
    for (std::uint64_t i = 0; array.is_indefinite() || i < array.argument; ++i) {
      if (array.is_indefinite() && take_break()) return true;
      if (!visit()) return false;
    }
    return true;
  }

 private:
  unsigned first_byte() const { return std::to_integer<unsigned>(*at_); }  // not at the end
  std::uint64_t left() const { return static_cast<std::uint64_t>(end_ - at_); }

  bool take_break() {
    if (at_ == end_ || *at_ != std::byte{0xFF}) return false;
    ++at_;
    return true;
  }
  bool skip_bytes(std::uint64_t bytes) {
    if (bytes > left()) return false;
    at_ += bytes;
    return true;
  }
  bool read_long_head(ScanHead& head);
  bool skip_string(const ScanHead& head);

  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
};

}  // namespace standpipe
