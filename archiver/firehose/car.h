// `blocks` of a commit: its blocks by CID, and its records as JSON on demand.
// Spec: ipld.io/specs/transport/car/carv1; atproto repository, "CAR File Serialization".
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/car_blocks.h"
#include "schema/cid.h"

namespace standpipe::firehose {

/// A CAR that is in memory. Borrows the bytes that it was made from, which must outlive it: those
/// of a frame, as a rule. Not changed after it is made: any thread.
class Car {
 public:
  /// Reads the whole of `car`, and decodes none of its blocks. Their hashes are compared with their
  /// CIDs only if `options.checks_hashes` says so, as in the original.
  ///
  /// Errc::malformed: no CAR v1, cut off, or without a root; Errc::limit: beyond one of `options`.
  static Result<Car> from_bytes(ByteView car, const CarOptions& options = {});

  /// The first root: of a commit, the CID of its commit object.
  const Cid& root() const { return root_; }
  /// Every block, in the order of the file.
  const std::vector<CarBlock>& blocks() const { return blocks_.blocks(); }
  /// The contents of the block; nullopt if it is not there.
  std::optional<ByteView> find(const Cid& cid) const { return blocks_.find(cid.bytes()); }

  /// The block as JSON, in atproto's form of it: "$link" and "$bytes". Decoded anew with each call.
  ///
  /// Errc::not_found: no such block; Errc::malformed: not canonical DAG-CBOR.
  Result<nlohmann::json> record(const Cid& cid) const;

 private:
  Car(Cid root, CarBlocks blocks) : root_(std::move(root)), blocks_(std::move(blocks)) {}

  Cid root_;
  CarBlocks blocks_;
};

}  // namespace standpipe::firehose
