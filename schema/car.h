// CAR v1: a header that names the roots, then blocks, each after its CID.
// Spec: ipld.io/specs/transport/car/carv1; atproto repository, "CAR File Serialization".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/cid.h"

namespace standpipe {

struct CarOptions {
  std::size_t header_bytes_max = 16'384;
  std::size_t roots_max = 16;
  std::size_t block_bytes_max = 2'097'152;  // of one block, without its CID
  std::size_t blocks_max = 16'777'216;
  bool checks_hashes = false;  // next() compares each block with its CID; unknown hashes pass
};

struct CarBlock {
  ByteView cid;        // binary
  ByteView bytes;      // its contents
  std::size_t at = 0;  // where its section begins, in bytes from the start of the CAR
};

// Reads a CAR that is in memory, block by block, in the order of the file. Views point into it.
// Duplicates, blocks that nothing refers to and links that lead nowhere are all allowed: judging
// them is the caller's business. Lengths are checked before use; nothing is allocated but the roots
// and the text of errors. Not thread-safe.
class CarReader {
 public:
  // malformed where the header is no CAR v1 header; limit where it passes one of `options`.
  static Result<CarReader> open(ByteView car, const CarOptions& options = {});

  const std::vector<ByteView>& roots() const { return roots_; }  // binary CIDs; may be empty

  // The next block, or nullopt after the last. malformed with the byte where a section is cut off,
  // has no CID, or, if asked to look, does not have the hash that its CID gives; limit where it
  // passes one of the options. After an error the reader must not be used further.
  Result<std::optional<CarBlock>> next();

  std::size_t position() const { return position_; }  // bytes consumed

 private:
  CarReader(ByteView car, const CarOptions& options) : car_(car), options_(options) {}
  Result<void> read_header();

  ByteView car_;
  CarOptions options_;
  std::vector<ByteView> roots_;
  std::size_t position_ = 0;
  std::size_t blocks_read_ = 0;
};

// Appends a CAR to a buffer: the header at once, then blocks as they are given.
class CarWriter {
 public:
  // `roots` are binary CIDs.
  CarWriter(Bytes& out, const std::vector<ByteView>& roots);

  void write_block(ByteView cid, ByteView bytes);
  void write_block(const Cid& cid, ByteView bytes) { write_block(cid.bytes(), bytes); }

 private:
  Bytes* out_;  // not ours
};

}  // namespace standpipe
