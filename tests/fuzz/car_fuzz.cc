// CAR: any input is read to its end or refused with its place, and what is read writes back.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "schema/base/assert.h"
#include "schema/car.h"

namespace standpipe {
namespace {

struct Read {
  std::vector<ByteView> roots;
  std::vector<CarBlock> blocks;  // up to the first error
  bool is_whole = false;
};

Read read_all(ByteView car, const CarOptions& options) {
  Read read;
  auto reader = CarReader::open(car, options);
  if (!reader) return read;
  read.roots = reader->roots();
  while (true) {
    const std::size_t at = reader->position();
    const auto block = reader->next();
    if (!block) return read;
    if (!block->has_value()) {
      STANDPIPE_ASSERT(reader->position() == car.size(), "ends before the input does");
      read.is_whole = true;
      return read;
    }
    STANDPIPE_ASSERT((*block)->at == at && reader->position() > at, "does not move forward");
    read.blocks.push_back(**block);
  }
}

void check(ByteView bytes) {
  const Read read = read_all(bytes, {});
  const Read checked = read_all(bytes, {.checks_hashes = true});
  STANDPIPE_ASSERT(checked.blocks.size() <= read.blocks.size(), "checking hashes adds blocks");
  for (const CarBlock& block : checked.blocks) {
    STANDPIPE_ASSERT(check_block_hash(block.cid, block.bytes) != HashCheck::mismatch,
                     "a wrong hash passes");
  }
  Bytes written;
  CarWriter writer(written, read.roots);
  for (const CarBlock& block : read.blocks) writer.write_block(block.cid, block.bytes);
  const Read again = read_all(written, {});
  STANDPIPE_ASSERT(again.is_whole && again.blocks.size() == read.blocks.size(),
                   "what is written does not read back");
  for (std::size_t i = 0; i < read.blocks.size(); ++i) {
    STANDPIPE_ASSERT(equal(again.blocks[i].cid, read.blocks[i].cid) &&
                         equal(again.blocks[i].bytes, read.blocks[i].bytes),
                     "a block changes");
  }
  // A prefix reads as a prefix of the blocks.
  const std::size_t step = bytes.size() / 32 + 1;
  for (std::size_t size = 0; size < bytes.size(); size += step) {
    STANDPIPE_ASSERT(read_all(bytes.first(size), {}).blocks.size() <= read.blocks.size(),
                     "a prefix holds more");
  }
}

}  // namespace
}  // namespace standpipe

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  standpipe::check({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
