#include "schema/cbor.h"

#include <cmath>
#include <limits>

#include "schema/cid.h"
#include "schema/utf8.h"

namespace standpipe {
namespace {

enum Major : std::uint8_t {
  kUnsigned,
  kNegative,
  kByteString,
  kTextString,
  kArray,
  kMap,
  kTag,
  kSimple,
};

constexpr std::uint64_t kTagLink = 42;
constexpr std::uint64_t kInt64Max = std::numeric_limits<std::int64_t>::max();
constexpr std::uint8_t kFalse = 20;
constexpr std::uint8_t kTrue = 21;
constexpr std::uint8_t kNull = 22;

bool is_float(const CborHead& head) {
  return head.major == kSimple && head.additional >= 25 && head.additional <= 27;
}

// RFC 8949, appendix D.
double from_half(std::uint64_t bits) {
  const auto exponent = static_cast<int>((bits >> 10) & 0x1FU);
  const auto mantissa = static_cast<double>(bits & 0x3FFU);
  double value = 0;
  if (exponent == 0) {
    value = std::ldexp(mantissa, -24);
  } else if (exponent != 31) {
    value = std::ldexp(mantissa + 1024, exponent - 25);
  } else {
    value = (bits & 0x3FFU) == 0 ? std::numeric_limits<double>::infinity()
                                 : std::numeric_limits<double>::quiet_NaN();
  }
  return (bits & 0x8000U) != 0 ? -value : value;
}

template <typename To, typename From>
To bit_copy(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to{};
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

}  // namespace

CborReader::CborReader(ByteView bytes, CborOptions options) : bytes_(bytes), options_(options) {}

Error CborReader::error(const std::string& why) const {
  return {Errc::malformed, "CBOR at byte " + std::to_string(position_) + ": " + why};
}

Result<CborHead> CborReader::peek_head() const {
  const CborHead head = read_cbor_head(bytes_, position_);
  if (head.length == 0) return error(head.is_reserved() ? "reserved head" : "cut off");
  if (options_.profile == CborProfile::strict && head.major != kSimple && !head.is_shortest()) {
    return error("head is not in its shortest form");
  }
  return head;
}

Result<CborHead> CborReader::peek_head(std::uint8_t major, const char* what) const {
  STANDPIPE_TRY(const CborHead head, peek_head());
  if (head.major != major) return error(std::string("expected ") + what);
  if (head.is_indefinite()) return error(std::string(what) + " of indefinite length");
  return head;
}

Result<CborKind> CborReader::peek_kind() const {
  STANDPIPE_TRY(const CborHead head, peek_head());
  switch (head.major) {
    case kUnsigned:
      return CborKind::unsigned_integer;
    case kNegative:
      return CborKind::negative_integer;
    case kByteString:
      return CborKind::bytes;
    case kTextString:
      return CborKind::text;
    case kArray:
      return CborKind::array;
    case kMap:
      return CborKind::map;
    case kTag:
      return head.argument == kTagLink ? CborKind::link : CborKind::tag;
    default:
      break;
  }
  if (head.is_indefinite()) return error("break where an item should be");
  if (head.additional == kFalse || head.additional == kTrue) return CborKind::boolean;
  if (head.additional == kNull) return CborKind::null;
  return is_float(head) ? CborKind::floating : CborKind::other;
}

Result<std::uint64_t> CborReader::read_count(std::uint8_t major, const char* what) {
  STANDPIPE_TRY(const CborHead head, peek_head(major, what));
  const std::size_t content_bytes_max = bytes_.size() - position_ - head.length;
  if (head.argument > content_bytes_max / (major == kMap ? 2 : 1)) {
    return error("count is greater than the bytes left allow");
  }
  if (head.argument > options_.container_entries_max) {
    return Error{Errc::limit, error("more entries in a container than are allowed").detail};
  }
  position_ += head.length;
  return head.argument;
}

Result<std::uint64_t> CborReader::read_array() { return read_count(kArray, "an array"); }

Result<std::uint64_t> CborReader::read_map() { return read_count(kMap, "a map"); }

Result<std::int64_t> CborReader::read_integer() {
  STANDPIPE_TRY(const CborHead head, peek_head());
  if (head.major != kUnsigned && head.major != kNegative) return error("expected an integer");
  if (head.is_indefinite()) return error("integer of indefinite length");
  if (head.argument > kInt64Max) {
    return Error{Errc::limit, error("integer outside of 64 bits with sign").detail};
  }
  position_ += head.length;
  const auto argument = static_cast<std::int64_t>(head.argument);
  return head.major == kUnsigned ? argument : -1 - argument;
}

Result<ByteView> CborReader::read_string(std::uint8_t major, const char* what) {
  STANDPIPE_TRY(const CborHead head, peek_head(major, what));
  if (head.argument > bytes_.size() - position_ - head.length) {
    return error("string is longer than what is left");
  }
  const auto content_bytes = static_cast<std::size_t>(head.argument);
  const ByteView content = bytes_.subspan(position_ + head.length, content_bytes);
  position_ += head.length + content_bytes;
  return content;
}

Result<std::string_view> CborReader::read_text() {
  const std::size_t begin = position_;
  STANDPIPE_TRY(const ByteView content, read_string(kTextString, "text"));
  if (!is_valid_utf8(as_text(content))) {
    position_ = begin;
    return error("text is not UTF-8");
  }
  return as_text(content);
}

Result<ByteView> CborReader::read_bytes() { return read_string(kByteString, "a byte string"); }

Result<ByteView> CborReader::read_link() {
  STANDPIPE_TRY(const CborHead head, peek_head(kTag, "a link"));
  if (head.argument != kTagLink) return error("tag that is not 42");
  position_ += head.length;
  STANDPIPE_TRY(const ByteView content, read_string(kByteString, "a byte string in a link"));
  if (content.empty() || content[0] != std::byte{0}) {
    return error("link that does not start with a zero byte");
  }
  const ByteView cid = content.subspan(1);
  if (cid.empty() || measure_cid(cid) != cid.size()) return error("link that holds no CID");
  return cid;
}

Result<bool> CborReader::read_boolean() {
  STANDPIPE_TRY(const CborHead head, peek_head(kSimple, "a boolean"));
  if (head.additional != kFalse && head.additional != kTrue) return error("expected a boolean");
  position_ += head.length;
  return head.additional == kTrue;
}

Result<void> CborReader::read_null() {
  STANDPIPE_TRY(const CborHead head, peek_head(kSimple, "null"));
  if (head.additional != kNull) return error("expected null");
  position_ += head.length;
  return {};
}

Result<double> CborReader::read_float() {
  STANDPIPE_TRY(const CborHead head, peek_head(kSimple, "a float"));
  if (!is_float(head)) return error("expected a float");
  position_ += head.length;
  if (head.additional == 25) return from_half(head.argument);
  if (head.additional == 27) return bit_copy<double>(head.argument);
  return static_cast<double>(bit_copy<float>(static_cast<std::uint32_t>(head.argument)));
}

Result<ByteView> CborReader::skip_item() {
  auto length = check_cbor(bytes_.subspan(position_), options_);
  if (!length) {
    Error nested = std::move(length).error();
    nested.detail += " (counted from byte " + std::to_string(position_) + ")";
    return nested;
  }
  const ByteView item = bytes_.subspan(position_, *length);
  position_ += *length;
  return item;
}

}  // namespace standpipe
