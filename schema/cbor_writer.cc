#include "schema/cbor_writer.h"

#include <array>

#include "schema/base/assert.h"

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
constexpr std::uint8_t kFalse = 20;
constexpr std::uint8_t kTrue = 21;
constexpr std::uint8_t kNull = 22;

}  // namespace

void CborWriter::write_head(std::uint8_t major, std::uint64_t argument) {
  const auto first = static_cast<unsigned>(major) << 5;
  if (argument < 24) {
    out_->push_back(static_cast<std::byte>(first | argument));
    return;
  }
  std::array<std::byte, 9> head{};
  std::size_t argument_bytes = 8;
  unsigned additional = 27;
  if (argument <= 0xFF) {
    argument_bytes = 1;
    additional = 24;
  } else if (argument <= 0xFFFF) {
    argument_bytes = 2;
    additional = 25;
  } else if (argument <= 0xFFFFFFFF) {
    argument_bytes = 4;
    additional = 26;
  }
  head[0] = static_cast<std::byte>(first | additional);
  for (std::size_t i = 0; i < argument_bytes; ++i) {
    head[1 + i] = static_cast<std::byte>((argument >> (8 * (argument_bytes - 1 - i))) & 0xFFU);
  }
  write_raw(ByteView(head).first(1 + argument_bytes));
}

void CborWriter::write_map(std::size_t pairs) { write_head(kMap, pairs); }

void CborWriter::write_array(std::size_t entries) { write_head(kArray, entries); }

void CborWriter::write_integer(std::int64_t value) {
  if (value >= 0) return write_head(kUnsigned, static_cast<std::uint64_t>(value));
  write_head(kNegative, static_cast<std::uint64_t>(-1 - value));
}

void CborWriter::write_text(std::string_view text) {
  write_head(kTextString, text.size());
  write_raw(as_bytes(text));
}

void CborWriter::write_bytes(ByteView bytes) {
  write_head(kByteString, bytes.size());
  write_raw(bytes);
}

void CborWriter::write_link(ByteView cid) {
  write_head(kTag, kTagLink);
  write_head(kByteString, cid.size() + 1);
  out_->push_back(std::byte{0});
  write_raw(cid);
}

void CborWriter::write_boolean(bool value) { write_head(kSimple, value ? kTrue : kFalse); }

void CborWriter::write_null() { write_head(kSimple, kNull); }

void CborWriter::write_raw(ByteView item) { out_->insert(out_->end(), item.begin(), item.end()); }

CborMapWriter::CborMapWriter(CborWriter& writer, std::size_t pairs)
    : writer_(writer), pairs_left_(pairs) {
  writer_.write_map(pairs);
}

CborMapWriter::~CborMapWriter() {
  STANDPIPE_ASSERT(pairs_left_ == 0, "a map lacks pairs that its head announces");
}

void CborMapWriter::write_key(std::string_view key) {
  STANDPIPE_ASSERT(pairs_left_ > 0, "a map has more pairs than its head announces");
  STANDPIPE_ASSERT(previous_.data() == nullptr || cbor_key_less(previous_, key),
                   "keys of a map are not in canonical order");
  --pairs_left_;
  previous_ = key;
  writer_.write_text(key);
}

}  // namespace standpipe
