// The keys of a file of DID documents, by DID: what signatures are held against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "schema/base/result.h"
#include "schema/crypto.h"

namespace standpipe::tools {

inline constexpr std::uint64_t kDidDocsBytesMax = std::uint64_t{2} << 30;  // without compression

// Any thread, once it is loaded.
class DidKeys {
 public:
  // What the documents of one DID say. More than one key where they are of different times.
  struct Keys {
    std::vector<PublicKey> signing;
    std::vector<PublicKey> label;
  };

  DidKeys() = default;  // of nobody

  // Adds what a file says: JSON as schema/did_document.h takes it, plain or in zstd. not_found, io;
  // malformed; limit above kDidDocsBytesMax. After an error what was read of it is in here.
  Result<void> load(const std::filesystem::path& path);

  const Keys* find(std::string_view did) const;  // null: no document

  std::size_t documents() const { return documents_; }
  std::size_t refused() const { return refused_; }          // that were no DID documents
  std::size_t without_key() const { return without_key_; }  // neither of the two that can be used

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };

  std::unordered_map<std::string, Keys, Hash, std::equal_to<>> keys_;
  std::size_t documents_ = 0;
  std::size_t refused_ = 0;
  std::size_t without_key_ = 0;
};

}  // namespace standpipe::tools
