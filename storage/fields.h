// The small pieces that everything on disk is written in: fixed-width little-endian integers,
// varints, length-prefixed text. docs/format.md, "Field types".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/seq.h"

namespace standpipe::storage {

inline constexpr std::size_t kVarintBytesMax = 10;

// Appends to a string that is not its own.
class FieldWriter {
 public:
  explicit FieldWriter(std::string& out) : out_(out) {}

  void u8(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void flag(bool value) { u8(value ? 1 : 0); }
  void u16(std::uint16_t value) { fixed(value); }
  void u32(std::uint32_t value) { fixed(value); }
  void u64(std::uint64_t value) { fixed(value); }
  void i64(std::int64_t value) { fixed(static_cast<std::uint64_t>(value)); }
  // LEB128: seven bits a byte, low ones first, top bit set on all but the last byte.
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) u8(static_cast<std::uint8_t>(value | 0x80U));
    u8(static_cast<std::uint8_t>(value));
  }
  void seq(Seq value) { varint(static_cast<std::uint64_t>(to_int(value))); }
  void text(std::string_view value) {
    varint(value.size());
    out_.append(value);
  }
  void raw(ByteView value) { out_.append(as_text(value)); }

 private:
  template <typename T>
  void fixed(T value) {
    std::byte bytes[sizeof(T)];
    store_le(bytes, value);
    raw(bytes);
  }

  std::string& out_;
};

// Takes fields off the front of untrusted bytes. The first field that does not fit fails the
// reader: it and all later ones read as zero or empty, and error() says which field and where. So a
// parser reads all its fields in a row and asks once.
// The bytes must outlive the reader, and what it returns views into them.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : bytes_(as_bytes(bytes)) {}

  // `field` names it in the error. Must be a literal, or outlive the reader.
  std::uint8_t u8(std::string_view field, std::uint8_t max = 0xFF);
  bool flag(std::string_view field) { return u8(field, 1) != 0; }
  std::uint16_t u16(std::string_view field) { return fixed<std::uint16_t>(field); }
  std::uint32_t u32(std::string_view field) { return fixed<std::uint32_t>(field); }
  std::uint64_t u64(std::string_view field) { return fixed<std::uint64_t>(field); }
  std::int64_t i64(std::string_view field) { return static_cast<std::int64_t>(u64(field)); }
  // Only the shortest form of a value is read: equal rows have equal bytes.
  std::uint64_t varint(std::string_view field, std::uint64_t max = ~std::uint64_t{0});
  std::uint32_t varint32(std::string_view field) {
    return static_cast<std::uint32_t>(varint(field, 0xFFFF'FFFF));
  }
  Seq seq(std::string_view field, Seq max = kSeqMax) {
    return Seq{static_cast<std::int64_t>(varint(field, static_cast<std::uint64_t>(to_int(max))))};
  }
  std::string_view text(std::string_view field);
  ByteView raw(std::string_view field, std::size_t size);

  // Fails the reader at the byte before the next field, unless it has failed already.
  void fail(std::string_view field, std::string_view why);

  std::size_t position() const { return position_; }
  std::size_t left() const { return bytes_.size() - position_; }
  bool failed() const { return !why_.empty(); }
  // "at byte 12: newest: ...". Only after a failure.
  std::string error() const;

 private:
  template <typename T>
  T fixed(std::string_view field) {
    const ByteView bytes = raw(field, sizeof(T));
    return bytes.empty() ? T{0} : load_le<T>(bytes.data());
  }

  ByteView bytes_;
  std::size_t position_ = 0;
  std::size_t failed_at_ = 0;
  std::string_view failed_field_;
  std::string why_;
};

}  // namespace standpipe::storage
