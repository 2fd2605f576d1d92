// Writes canonical DAG-CBOR: what hashes and signatures are made over.
// Spec: DRISL (dasl.ing), which for atproto is DAG-CBOR without floats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "schema/base/bytes.h"

namespace standpipe {

// Canonical order of text keys: shorter first, then bytewise.
constexpr bool cbor_key_less(std::string_view a, std::string_view b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

// Appends items to a buffer, each with the shortest head. Allocates nothing but what the buffer
// needs to grow. write_map and write_array write heads alone: what belongs inside is the caller's
// to count, and the keys of a map are the caller's to sort, or to have CborMapWriter watch over.
class CborWriter {
 public:
  explicit CborWriter(Bytes& out) : out_(&out) {}

  void write_map(std::size_t pairs);
  void write_array(std::size_t entries);
  void write_integer(std::int64_t value);
  void write_text(std::string_view text);
  void write_bytes(ByteView bytes);
  void write_link(ByteView cid);  // binary CID
  void write_boolean(bool value);
  void write_null();
  void write_raw(ByteView item);  // an item that is already encoded

 private:
  void write_head(std::uint8_t major, std::uint64_t argument);

  Bytes* out_;  // not ours
};

// A map whose keys are known to rise and whose pairs are known to be all there: write_key aborts on
// a key that is not above the one before it, the destructor on a map that is not full. Between two
// calls of write_key goes exactly one value, by the CborWriter.
class CborMapWriter {
 public:
  CborMapWriter(CborWriter& writer, std::size_t pairs);
  ~CborMapWriter();
  CborMapWriter(const CborMapWriter&) = delete;
  CborMapWriter& operator=(const CborMapWriter&) = delete;

  void write_key(std::string_view key);  // must outlive the next call

 private:
  CborWriter& writer_;
  std::size_t pairs_left_;
  std::string_view previous_;
};

}  // namespace standpipe
