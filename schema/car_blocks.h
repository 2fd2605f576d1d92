// The blocks of a CAR that is in memory, to be found by their CIDs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/car.h"

namespace standpipe {

// Views point into the CAR, which must outlive this. Not changed after it is read: any thread.
class CarBlocks {
 public:
  CarBlocks() = default;  // no roots, no blocks

  // Reads the whole CAR. Errors are those of CarReader. Of blocks with the same CID the first is
  // the one that is found.
  static Result<CarBlocks> read(ByteView car, const CarOptions& options = {});

  const std::vector<ByteView>& roots() const { return roots_; }    // binary CIDs
  const std::vector<CarBlock>& blocks() const { return blocks_; }  // in the order of the file

  // The contents of the block with this binary CID.
  std::optional<ByteView> find(ByteView cid) const;

 private:
  std::vector<ByteView> roots_;
  std::vector<CarBlock> blocks_;

  // For find: by the last eight bytes of the CID, which tell most blocks apart.
  struct Tag {
    std::uint64_t tail;
    std::uint32_t position;  // in blocks_
  };
  std::vector<Tag> by_tail_;
  // One bit for each block, by the lowest bits of its tail: most of what a tree asks for is not
  // there, and is told by this.
  std::uint64_t tails_seen_ = 0;
};

}  // namespace standpipe
