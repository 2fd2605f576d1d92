#include "schema/car_blocks.h"

#include <algorithm>
#include <string_view>

namespace standpipe {

Result<CarBlocks> CarBlocks::read(ByteView car, const CarOptions& options) {
  STANDPIPE_TRY(CarReader reader, CarReader::open(car, options));
  CarBlocks result;
  result.roots_ = reader.roots();
  while (true) {
    STANDPIPE_TRY(const std::optional<CarBlock> block, reader.next());
    if (!block) break;
    if (result.blocks_.size() == UINT32_MAX) return Error{Errc::limit, "CAR has too many blocks"};
    result.by_cid_.push_back(static_cast<std::uint32_t>(result.blocks_.size()));
    result.blocks_.push_back(*block);
  }
  std::sort(result.by_cid_.begin(), result.by_cid_.end(), [&](std::uint32_t a, std::uint32_t b) {
    const auto order = as_text(result.blocks_[a].cid).compare(as_text(result.blocks_[b].cid));
    return order != 0 ? order < 0 : a < b;
  });
  return result;
}

std::optional<ByteView> CarBlocks::find(ByteView cid) const {
  const auto found = std::lower_bound(by_cid_.begin(), by_cid_.end(), as_text(cid),
                                      [&](std::uint32_t position, std::string_view wanted) {
                                        return as_text(blocks_[position].cid) < wanted;
                                      });
  if (found == by_cid_.end() || !equal(blocks_[*found].cid, cid)) return std::nullopt;
  return blocks_[*found].bytes;
}

}  // namespace standpipe
