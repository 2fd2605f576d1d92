#include "tests/support/mst_trees.h"

#include <algorithm>

#include "schema/car.h"

namespace standpipe::test {
namespace {

bool is_left_out(const std::vector<std::string>& left_out, const std::string& cid) {
  return std::find(left_out.begin(), left_out.end(), cid) != left_out.end();
}

}  // namespace

std::string root_text(Mst& mst) { return cid_to_string(blessed_cid(mst.root())); }

Bytes to_car(Mst& mst, const std::vector<std::string>& left_out) {
  const BlessedCid root = blessed_cid(mst.root());
  Bytes car;
  CarWriter writer(car, {root});
  mst.visit_nodes([&](const Sha256Digest& digest, ByteView block) {
    const BlessedCid cid = blessed_cid(digest);
    if (!is_left_out(left_out, cid_to_string(cid))) writer.write_block(cid, block);
  });
  return car;
}

Bytes to_car(const MstTwin& twin, const std::vector<std::string>& left_out) {
  Bytes car;
  CarWriter writer(car, {Cid::parse(twin.root).value().bytes()});
  for (const auto& [cid, block] : twin.nodes) {
    if (!is_left_out(left_out, cid)) writer.write_block(Cid::parse(cid).value(), block);
  }
  return car;
}

Result<Mst> load_tree(ByteView car, std::string_view root, const MstLimits& limits) {
  STANDPIPE_TRY(const CarBlocks blocks, CarBlocks::read(car, {.checks_hashes = true}));
  STANDPIPE_TRY(const Cid cid, Cid::parse(root));
  const auto digest = blessed_digest(cid.bytes());
  if (!digest) return Error{Errc::invalid, "root is not the CID of a node"};
  return Mst::load(blocks, *digest, limits);
}

MstModel contents(const Mst& mst) {
  MstModel model;
  const auto walked = mst.walk([&](std::string_view key, ByteView value) {
    model.emplace(key, to_bytes(value));
    return true;
  });
  STANDPIPE_ASSERT(walked, walked.error().detail);
  return model;
}

Bytes record_cid(std::uint64_t number) {
  std::array<std::byte, 8> bytes;
  store_le(bytes.data(), number);
  const BlessedCid cid = blessed_cid(sha256(bytes));
  return {cid.begin(), cid.end()};
}

}  // namespace standpipe::test
