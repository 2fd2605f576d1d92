// DID documents in a file: what --did-docs names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "schema/base/result.h"
#include "schema/key_source.h"

namespace standpipe::tools {

inline constexpr std::uint64_t kDidDocsBytesMax = std::uint64_t{2} << 30;  // without compression

// Adds what a file says to `keys`: JSON as schema/did_document.h takes it, plain or in zstd.
// Returns how many of it were no DID documents. not_found, io; malformed; limit above
// kDidDocsBytesMax. After an error what was read of it is in `keys`.
Result<std::size_t> load_did_docs(const std::filesystem::path& path, DidKeys& keys);

}  // namespace standpipe::tools
