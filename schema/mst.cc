#include "schema/mst.h"

#include "schema/mst_tree.h"

namespace standpipe {

Mst::Mst(const MstLimits& limits) : tree_(std::make_unique<MstTree>(limits)) {}
Mst::~Mst() = default;
Mst::Mst(Mst&&) noexcept = default;
Mst& Mst::operator=(Mst&&) noexcept = default;

Sha256Digest Mst::root() {
  static const Sha256Digest empty_root = sha256(MstTree::empty_node());
  return tree_->root == kMstNone ? empty_root : tree_->digest_of(tree_->root);
}

Result<std::optional<ByteView>> Mst::find(std::string_view key) const {
  MstTree::Path path;
  STANDPIPE_CHECK(tree_->find_path(key, path));
  if (!path.is_found) return std::optional<ByteView>();
  return std::optional<ByteView>(
      tree_->value(tree_->nodes[path.last().node].entries[path.last().entry]));
}

Result<std::optional<Cid>> Mst::put(std::string_view key, ByteView value) {
  return tree_->put(key, value);
}

Result<std::optional<Cid>> Mst::erase(std::string_view key) { return tree_->erase(key); }

MstCounts Mst::counts() const {
  MstCounts counts;
  for (const MstTree::Node& node : tree_->nodes) {
    const bool is_held =
        node.state == MstTree::State::hashed || node.state == MstTree::State::changed;
    if (is_held) ++counts.nodes;
    if (node.state == MstTree::State::unknown) ++counts.unknown;
    counts.keys += node.entries.size();
  }
  return counts;
}

std::size_t Mst::memory_bytes() const {
  std::size_t bytes = sizeof(MstTree) + tree_->nodes.capacity() * sizeof(MstTree::Node) +
                      tree_->keys.capacity() + tree_->scratch.capacity() +
                      tree_->long_values.capacity() * sizeof(Bytes) +
                      tree_->unused_long_values.capacity() * sizeof(std::uint32_t);
  for (const MstTree::Node& node : tree_->nodes) {
    bytes += node.entries.capacity() * sizeof(MstTree::Entry);
  }
  for (const Bytes& value : tree_->long_values) bytes += value.capacity();
  return bytes;
}

}  // namespace standpipe
