#include "archiver/firehose/car.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "schema/cbor.h"
#include "schema/cbor_json.h"

namespace standpipe::firehose {

Result<Car> Car::from_bytes(ByteView car, const CarOptions& options) {
  STANDPIPE_TRY(CarBlocks blocks, CarBlocks::read(car, options));
  if (blocks.roots().empty()) return Error{Errc::malformed, "a CAR without a root"};
  STANDPIPE_TRY(Cid root, Cid::from_bytes(blocks.roots().front()));
  return Car(std::move(root), std::move(blocks));
}

Result<nlohmann::json> Car::record(const Cid& cid) const {
  const std::optional<ByteView> block = find(cid);
  if (!block) return Error{Errc::not_found, "no block " + cid.to_string()};
  const CborOptions options;
  STANDPIPE_TRY(const std::size_t length, check_cbor(*block, options));
  if (length != block->size()) {
    return Error{Errc::malformed, "bytes behind the record in block " + cid.to_string()};
  }
  return cbor_to_json(*block, options);
}

}  // namespace standpipe::firehose
