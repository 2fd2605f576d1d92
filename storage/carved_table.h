// The groups in what is left of a table file whose index is gone: cut short, or damaged at its end.
// Private to storage/.
//
// Data blocks lie one after the other from the start of the file; nothing in front of a block says
// how long it is, but its contents do: a zstd frame ends by itself, and a block that was stored as
// it is ends with the list of its restarts. Each has a checksum behind it, which decides.
//
// Format read: RocksDB's block-based table with format_version 5, zstd or no compression, and XXH3
// checksums, as storage/store_options.cc asks for; of families whose keys are those of groups.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.h"

namespace standpipe::storage {

// Holds the file in memory.
class CarvedTable {
 public:
  struct Entry {
    std::string key;
    std::size_t block = 0;              // of blocks_
    std::size_t offset = 0, bytes = 0;  // of the value, in the decoded block
    bool follows_hole = false;          // something before it cannot be read
  };

  // Takes what it finds, which may be nothing. Parts that the disk does not give are zeroes.
  // io: the file cannot be opened.
  static Result<CarvedTable> carve(const std::filesystem::path& path);

  const std::vector<Entry>& entries() const { return entries_; }  // by key
  std::string_view value(const Entry& entry);                     // until the next call

 private:
  struct Block {
    std::size_t offset = 0, stored_bytes = 0;  // without the trailer
    bool is_compressed = false;
  };
  // The block that begins at `offset`, decoded into decoded_; 0 if there is none.
  std::size_t read_compressed(std::size_t offset);
  std::size_t read_plain(std::size_t offset);
  bool has_checksum(const Block& block) const;
  bool take_block(std::size_t offset, bool follows_hole, std::size_t& end);
  bool take_entries(const Block& block, bool follows_hole);
  std::size_t next_candidate(std::size_t from) const;
  bool decompress(const Block& block);

  std::string file_;
  std::string decoded_;
  std::size_t decoded_block_ = SIZE_MAX;
  std::vector<Block> blocks_;
  std::vector<Entry> entries_;
};

}  // namespace standpipe::storage
