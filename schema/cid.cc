#include "schema/cid.h"

#include <algorithm>

#include "schema/ascii.h"
#include "schema/hash.h"
#include "schema/multibase.h"
#include "schema/varint.h"

namespace standpipe {
namespace {

struct CidParts {
  std::uint64_t codec = 0;
  std::uint64_t hash_code = 0;
  std::size_t digest_at = 0;
  std::size_t length = 0;  // of the whole; 0 if there is none
};

CidParts peek_parts(ByteView bytes) {
  // Nearly all are of the blessed form, and all of this is asked of every link that is read.
  constexpr std::size_t kBlessedBytes = 4 + sizeof(Sha256Digest);
  if (bytes.size() >= kBlessedBytes && bytes[0] == std::byte{1} &&
      (bytes[1] == std::byte{kCodecDagCbor} || bytes[1] == std::byte{kCodecRaw}) &&
      bytes[2] == std::byte{kHashSha256} && bytes[3] == std::byte{sizeof(Sha256Digest)}) {
    return {std::to_integer<std::uint64_t>(bytes[1]), kHashSha256, 4, kBlessedBytes};
  }
  const ByteView window = bytes.first(std::min(bytes.size(), kCidBytesMax));
  const Varint version = peek_varint(window);
  if (version.length == 0 || version.value != 1) return {};
  std::size_t position = version.length;
  std::uint64_t values[3] = {};  // codec, hash code, hash length
  for (std::uint64_t& value : values) {
    const Varint varint = peek_varint(window.subspan(position));
    if (varint.length == 0) return {};
    value = varint.value;
    position += varint.length;
  }
  if (values[2] > window.size() - position) return {};
  if (values[1] == kHashSha256 && values[2] != sizeof(Sha256Digest)) return {};
  return {values[0], values[1], position, position + static_cast<std::size_t>(values[2])};
}

Bytes blessed_bytes(std::uint64_t codec, ByteView block) {
  Bytes bytes;
  bytes.reserve(4 + sizeof(Sha256Digest));
  append_varint(bytes, 1);
  append_varint(bytes, codec);
  append_varint(bytes, kHashSha256);
  append_varint(bytes, sizeof(Sha256Digest));
  const Sha256Digest digest = sha256(block);
  bytes.insert(bytes.end(), digest.begin(), digest.end());
  return bytes;
}

}  // namespace

std::size_t measure_cid(ByteView bytes) { return peek_parts(bytes).length; }

bool is_cid_syntax(std::string_view text) {
  if (text.size() < 8 || text.size() > 256) return false;
  if (text.size() == 46 && text.starts_with("Qm")) return false;  // version 0
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_ascii_alphanumeric(c) || c == '+' || c == '='; });
}

Result<Cid> Cid::from_bytes(ByteView bytes) {
  const CidParts parts = peek_parts(bytes);
  if (parts.length == 0 || parts.length != bytes.size()) {
    return Error{Errc::malformed, "not the binary form of a CIDv1"};
  }
  Cid cid;
  cid.bytes_ = to_bytes(bytes);
  cid.codec_ = parts.codec;
  cid.hash_code_ = parts.hash_code;
  cid.digest_at_ = parts.digest_at;
  return cid;
}

Result<Cid> Cid::parse(std::string_view text) {
  if (!is_cid_syntax(text)) return Error{Errc::malformed, "not the string form of a CID"};
  STANDPIPE_TRY(const Bytes bytes, parse_multibase(text));
  return from_bytes(bytes);
}

Cid Cid::of_dag_cbor(ByteView block) {
  return from_bytes(blessed_bytes(kCodecDagCbor, block)).value();
}

Cid Cid::of_raw(ByteView block) { return from_bytes(blessed_bytes(kCodecRaw, block)).value(); }

bool Cid::is_blessed() const {
  return (codec_ == kCodecDagCbor || codec_ == kCodecRaw) && hash_code_ == kHashSha256;
}

std::string Cid::to_string() const { return "b" + to_base32(bytes_); }

std::string cid_to_string(ByteView cid) {
  if (measure_cid(cid) != cid.size()) return {};
  return cid.empty() ? std::string() : "b" + to_base32(cid);
}

HashCheck check_block_hash(ByteView cid, ByteView block) {
  const CidParts parts = peek_parts(cid);
  if (parts.length == 0 || parts.hash_code != kHashSha256) return HashCheck::unknown_hash;
  const ByteView digest = cid.subspan(parts.digest_at, parts.length - parts.digest_at);
  return equal(digest, sha256(block)) ? HashCheck::match : HashCheck::mismatch;
}

}  // namespace standpipe
