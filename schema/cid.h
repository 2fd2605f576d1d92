// CID: the name of a block by its hash.
// Spec: github.com/multiformats/cid (version 1 only: atproto uses no other); atproto data model.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "schema/base/bytes.h"
#include "schema/base/result.h"

namespace standpipe {

inline constexpr std::size_t kCidBytesMax = 100;

inline constexpr std::uint64_t kCodecRaw = 0x55;
inline constexpr std::uint64_t kCodecDagCbor = 0x71;
inline constexpr std::uint64_t kHashSha256 = 0x12;

// The length of the binary CIDv1 at the start of `bytes`: version, codec, hash code, hash length,
// digest. 0 if there is none, or if it is longer than kCidBytesMax. Any codec and hash will do.
std::size_t measure_cid(ByteView bytes);

// Whether `text` may stand where a lexicon asks for a CID string: 8 to 256 letters, digits, '+' or
// '=', and not version 0. Most of these bases are not read by Cid::parse.
bool is_cid_syntax(std::string_view text);

// A CIDv1, checked once. A value: compared and hashed by its bytes.
class Cid {
 public:
  // The binary form, all of `bytes`.
  static Result<Cid> from_bytes(ByteView bytes);
  // The string form, multibase 'b' or 'z'. unsupported for another base.
  static Result<Cid> parse(std::string_view text);

  // The CID that a block of these bytes has.
  static Cid of_dag_cbor(ByteView block);
  static Cid of_raw(ByteView block);

  ByteView bytes() const { return bytes_; }
  std::uint64_t codec() const { return codec_; }
  std::uint64_t hash_code() const { return hash_code_; }
  ByteView digest() const { return ByteView(bytes_).subspan(digest_at_); }

  // The form that atproto writes: dag-cbor or raw, by SHA-256.
  bool is_blessed() const;
  std::string to_string() const;  // base 32, "bafyrei..."

  friend bool operator==(const Cid& a, const Cid& b) { return a.bytes_ == b.bytes_; }
  friend auto operator<=>(const Cid& a, const Cid& b) { return a.bytes_ <=> b.bytes_; }

 private:
  Cid() = default;

  Bytes bytes_;
  std::uint64_t codec_ = 0;
  std::uint64_t hash_code_ = 0;
  std::size_t digest_at_ = 0;
};

// Of the binary form, for logs and JSON where no Cid is needed. Empty if it is none.
std::string cid_to_string(ByteView cid);

enum class HashCheck : std::uint8_t {
  match,
  mismatch,
  unknown_hash,  // not SHA-256: nothing can be said
};

// Whether `block` has the hash that `cid`, in binary form, gives it. Allocates nothing.
HashCheck check_block_hash(ByteView cid, ByteView block);

}  // namespace standpipe

template <>
struct std::hash<standpipe::Cid> {
  std::size_t operator()(const standpipe::Cid& cid) const noexcept {
    return std::hash<std::string_view>{}(standpipe::as_text(cid.bytes()));
  }
};
