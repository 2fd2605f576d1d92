#include "storage/fields.h"

namespace standpipe::storage {

std::uint8_t FieldReader::u8(std::string_view field, std::uint8_t max) {
  const ByteView bytes = raw(field, 1);
  if (bytes.empty()) return 0;
  const auto value = std::to_integer<std::uint8_t>(bytes[0]);
  if (value > max) {
    --position_;
    fail(field, std::to_string(value) + " is above " + std::to_string(max));
    return 0;
  }
  return value;
}

std::uint64_t FieldReader::varint(std::string_view field, std::uint64_t max) {
  if (failed()) return 0;
  const ByteView rest = bytes_.subspan(position_);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < rest.size() && i < kVarintBytesMax; ++i) {
    const auto byte = std::to_integer<std::uint64_t>(rest[i]);
    if (i == kVarintBytesMax - 1 && byte > 1) break;  // would pass 64 bits
    value |= (byte & 0x7FU) << (7 * i);
    if (byte >= 0x80) continue;
    if (byte == 0 && i != 0) {
      fail(field, "varint is not in its shortest form");
      return 0;
    }
    if (value > max) {
      fail(field, std::to_string(value) + " is above " + std::to_string(max));
      return 0;
    }
    position_ += i + 1;
    return value;
  }
  fail(field, rest.size() < kVarintBytesMax ? "varint is cut short" : "varint passes 64 bits");
  return 0;
}

std::string_view FieldReader::text(std::string_view field) {
  const std::size_t start = position_;
  const std::uint64_t size = varint(field);
  if (failed()) return {};
  if (size > left()) {
    const std::size_t there = left();
    position_ = start;
    fail(field, std::to_string(size) + " bytes announced, " + std::to_string(there) + " left");
    return {};
  }
  return as_text(raw(field, static_cast<std::size_t>(size)));
}

ByteView FieldReader::raw(std::string_view field, std::size_t size) {
  if (failed()) return {};
  if (size > left()) {
    fail(field, std::to_string(size) + " bytes wanted, " + std::to_string(left()) + " left");
    return {};
  }
  const ByteView bytes = bytes_.subspan(position_, size);
  position_ += size;
  return bytes;
}

void FieldReader::fail(std::string_view field, std::string_view why) {
  if (failed()) return;
  failed_at_ = position_;
  failed_field_ = field;
  why_ = why;
}

std::string FieldReader::error() const {
  std::string text = "at byte " + std::to_string(failed_at_) + ": ";
  text += failed_field_;
  text += ": ";
  text += why_;
  return text;
}

}  // namespace standpipe::storage
