// Bytes as text: the bases that content ids, keys and atproto JSON use.
// Spec: github.com/multiformats/multibase; RFC 4648.
//
// Every reader is strict: one text for each value. Bits that are left over must be zero.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "schema/base/bytes.h"
#include "schema/base/result.h"

namespace standpipe {

// Texts of base58 take time that grows with the square of their length, so it is bounded. Keys and
// content ids are far below.
inline constexpr std::size_t kBase58BytesMax = 1024;

// RFC 4648 base 32, lower case, without padding: multibase 'b', here without the prefix.
std::string to_base32(ByteView bytes);
Result<Bytes> parse_base32(std::string_view text);

// The Bitcoin alphabet: multibase 'z', here without the prefix. `bytes` and `text` up to
// kBase58BytesMax; limit above (to_base58: an error of the caller).
std::string to_base58(ByteView bytes);
Result<Bytes> parse_base58(std::string_view text);

// RFC 4648 base 64, the standard alphabet. Written without padding, as atproto JSON does; read with
// all of it or none.
std::string to_base64(ByteView bytes);
Result<Bytes> parse_base64(std::string_view text);

// With the prefix: 'b' (base 32) or 'z' (base 58). unsupported for any other.
Result<Bytes> parse_multibase(std::string_view text);

}  // namespace standpipe
