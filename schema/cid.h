// CID: the name of a block by its hash.
// Spec: github.com/multiformats/cid (version 1 only: atproto uses no other); atproto data model.
#pragma once

#include <cstddef>

#include "schema/base/bytes.h"

namespace standpipe {

inline constexpr std::size_t kCidBytesMax = 100;

// The length of the binary CIDv1 at the start of `bytes`: version, codec, hash code, hash length,
// digest. 0 if there is none, or if it is longer than kCidBytesMax. Any codec and hash will do.
std::size_t measure_cid(ByteView bytes);

}  // namespace standpipe
