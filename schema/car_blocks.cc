#include "schema/car_blocks.h"

#include <algorithm>

namespace standpipe {
namespace {

// Binary CIDs are never this short, but what is looked for may be anything.
std::uint64_t tail_of(ByteView cid) {
  return cid.size() < 8 ? 0 : load_be<std::uint64_t>(cid.data() + cid.size() - 8);
}

constexpr std::uint64_t bit_of(std::uint64_t tail) { return std::uint64_t{1} << (tail % 64); }

}  // namespace

Result<CarBlocks> CarBlocks::read(ByteView car, const CarOptions& options) {
  STANDPIPE_TRY(CarReader reader, CarReader::open(car, options));
  CarBlocks result;
  result.roots_ = reader.roots();
  while (true) {
    STANDPIPE_TRY(const std::optional<CarBlock> block, reader.next());
    if (!block) break;
    if (result.blocks_.size() == UINT32_MAX) return Error{Errc::limit, "CAR has too many blocks"};
    const std::uint64_t tail = tail_of(block->cid);
    result.tails_seen_ |= bit_of(tail);
    result.by_tail_.push_back({tail, static_cast<std::uint32_t>(result.blocks_.size())});
    result.blocks_.push_back(*block);
  }
  const std::vector<CarBlock>& blocks = result.blocks_;
  std::sort(result.by_tail_.begin(), result.by_tail_.end(), [&](const Tag& a, const Tag& b) {
    if (a.tail != b.tail) return a.tail < b.tail;
    const int order = as_text(blocks[a.position].cid).compare(as_text(blocks[b.position].cid));
    return order != 0 ? order < 0 : a.position < b.position;
  });
  return result;
}

std::optional<ByteView> CarBlocks::find(ByteView cid) const {
  const std::uint64_t tail = tail_of(cid);
  if ((tails_seen_ & bit_of(tail)) == 0) return std::nullopt;
  const auto found =
      std::lower_bound(by_tail_.begin(), by_tail_.end(), cid, [&](const Tag& tag, ByteView wanted) {
        if (tag.tail != tail) return tag.tail < tail;
        return as_text(blocks_[tag.position].cid) < as_text(wanted);
      });
  if (found == by_tail_.end() || !equal(blocks_[found->position].cid, cid)) return std::nullopt;
  return blocks_[found->position].bytes;
}

}  // namespace standpipe
