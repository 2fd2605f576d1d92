// CBOR as atproto uses it: DAG-CBOR (DRISL) reading; with it comes the canonical writer.
// Spec: atproto data model; DRISL (dasl.ing); RFC 8949 for well-formedness.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/cbor_head.h"
#include "schema/cbor_writer.h"  // IWYU pragma: export

namespace standpipe {

// How much is forgiven:
//   strict       DRISL without floats: definite lengths, shortest heads, sorted unique text keys,
//                only tag 42 with a CID, only false, true, null. For what hashes depend on.
//   lenient      as strict, but keys may be unsorted, heads may be long, and floats are allowed.
//                Duplicate keys and indefinite lengths are still refused.
//   well_formed  anything that RFC 8949 calls well-formed. Text need not be UTF-8, and a tag may
//                hold anything: that is validity, which well-formedness does not ask for.
enum class CborProfile : std::uint8_t { strict, lenient, well_formed };

inline constexpr int kCborDepthLimit = 128;  // the greatest depth_max: the stack has a fixed size

struct CborOptions {
  CborProfile profile = CborProfile::strict;
  int depth_max = 32;  // containers and tags inside one another, inclusive; 0 .. kCborDepthLimit
  std::size_t container_entries_max = 131'072;  // pairs, in a map
  std::size_t key_bytes_max = 8'192;            // of keys that are text or byte strings
};

enum class CborKind : std::uint8_t {
  unsigned_integer,
  negative_integer,
  bytes,
  text,
  array,
  map,
  link,  // tag 42
  tag,   // any other tag
  boolean,
  null,
  floating,
  other,  // undefined, simple values
};

// Checks the first item of `bytes`, all the way down, and returns its length in bytes.
// malformed with the byte offset; limit where a limit of `options` is passed. Takes time linear in
// the bytes read, and does not recurse. Allocates nothing for strict and well_formed unless it
// fails; lenient keeps a list of keys to find duplicates.
Result<std::size_t> check_cbor(ByteView bytes, const CborOptions& options);

// A pull reader over one or more items. Each read_ checks that the next item is of that kind, of
// definite length, and no longer than what is left. Views point into the input. After an error the
// reader must not be used further. Order of keys, duplicates and depth are not seen here: run
// check_cbor first where they matter. skip_item applies check_cbor to what it skips.
class CborReader {
 public:
  explicit CborReader(ByteView bytes, CborOptions options = {});

  std::size_t position() const { return position_; }  // bytes consumed
  bool at_end() const { return position_ == bytes_.size(); }

  Result<CborKind> peek_kind() const;
  Result<std::uint64_t> read_array();    // number of entries that follow
  Result<std::uint64_t> read_map();      // number of key-value pairs that follow
  Result<std::int64_t> read_integer();   // limit if outside int64
  Result<std::string_view> read_text();  // valid UTF-8, definite length
  Result<ByteView> read_bytes();
  Result<ByteView> read_link();  // tag 42: the binary CID, without the leading 00
  Result<bool> read_boolean();
  Result<void> read_null();
  Result<double> read_float();   // of 16, 32 or 64 bits
  Result<ByteView> skip_item();  // the whole item, containers included

 private:
  Result<CborHead> peek_head() const;
  Result<CborHead> peek_head(std::uint8_t major, const char* what) const;
  Result<ByteView> read_string(std::uint8_t major, const char* what);
  Result<std::uint64_t> read_count(std::uint8_t major, const char* what);
  Error error(const std::string& why) const;  // malformed, at the present position

  ByteView bytes_;
  CborOptions options_;
  std::size_t position_ = 0;
};

}  // namespace standpipe
