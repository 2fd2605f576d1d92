// A tree from the blocks of a CAR, as far as they go.
#include <algorithm>
#include <optional>
#include <utility>

#include "schema/mst_tree.h"

namespace standpipe {
namespace {

using State = MstTree::State;

constexpr std::size_t kUsualNodes = 64;
constexpr std::size_t kUsualEntries = 8;
constexpr std::size_t kUsualKeyBytes = 1024;

class Loader {
 public:
  Loader(MstTree& tree, const CarBlocks& blocks) : tree_(tree), blocks_(blocks) {
    // What a commit of usual size takes; growing there step by step would be a tenth of the work.
    tree_.nodes.reserve(std::min(5 * blocks.blocks().size(), kUsualNodes));
    tree_.keys.reserve(kUsualKeyBytes);
    node_.entries.reserve(kUsualEntries);
    node_.keys.reserve(kUsualKeyBytes);
  }

  Result<void> load(const Sha256Digest& root) {
    const auto block = blocks_.find(blessed_cid(root));
    if (!block) {
      tree_.root = tree_.add_unknown(root, kMstLayerUnknown);
      return {};
    }
    STANDPIPE_CHECK(read(root, *block));
    if (node_.entries.empty()) {
      if (node_.left) return error(root, "root has no key");
      return {};  // the empty tree
    }
    const int layer = mst_layer(node_.key(0));
    tree_.root = tree_.add_unknown(root, layer);
    return fill(tree_.root, {});
  }

 private:
  // What the keys of a subtree must lie between; nothing: no bound. By entry and not by text, which
  // moves as the tree grows.
  struct Bounds {
    std::optional<MstTree::Entry> after;
    std::optional<MstTree::Entry> before;
  };

  // Makes the unknown node at `at` one that is held: node_ has been read from its block. First all
  // children as hashes, then those that are here. As deep as the tree: layers fall by one at each
  // step and end at 0.
  Result<void> fill(MstNodeAt at, const Bounds& bounds) {
    STANDPIPE_CHECK(check(at, bounds));
    STANDPIPE_CHECK(take_over(at));
    for (std::size_t i = 0; i <= tree_.nodes[at].entries.size(); ++i) {
      const MstNodeAt child = tree_.child_before(at, i);
      if (child == kMstNone) continue;
      const Sha256Digest digest = tree_.nodes[child].digest;
      const auto block = blocks_.find(blessed_cid(digest));
      if (!block) continue;
      STANDPIPE_CHECK(read(digest, *block));
      const std::vector<MstTree::Entry>& entries = tree_.nodes[at].entries;
      Bounds inner = bounds;
      if (i > 0) inner.after = entries[i - 1];
      if (i < entries.size()) inner.before = entries[i];
      STANDPIPE_CHECK(fill(child, inner));
    }
    return {};
  }

  // Copies node_ to `at`, its children as hashes.
  Result<void> take_over(MstNodeAt at) {
    STANDPIPE_CHECK(tree_.check_room(node_.keys.size(), node_.entries.size() + 1));
    const int child_layer = tree_.nodes[at].layer - 1;
    tree_.nodes[at].state = State::hashed;
    tree_.nodes[at].entries.reserve(node_.entries.size());
    if (node_.left) {
      const MstNodeAt left = tree_.add_unknown(*node_.left, child_layer);
      tree_.nodes[at].left = left;
    }
    for (std::size_t i = 0; i < node_.entries.size(); ++i) {
      MstTree::Entry entry = tree_.make_entry(node_.key(i), node_.entries[i].value);
      const std::optional<Sha256Digest>& right = node_.entries[i].right;
      if (right) entry.right = tree_.add_unknown(*right, child_layer);
      tree_.nodes[at].entries.push_back(entry);
    }
    return {};
  }

  Result<void> read(const Sha256Digest& digest, ByteView block) {
    auto result = read_mst_node(block, node_, tree_.limits.node);
    if (!result) {
      Error nested = std::move(result).error();
      nested.detail += " (in " + cid_to_string(blessed_cid(digest)) + ")";
      return nested;
    }
    return {};
  }

  Result<void> check(MstNodeAt at, const Bounds& bounds) const {
    const MstTree::Node& place = tree_.nodes[at];
    const bool has_child = node_.left || std::any_of(node_.entries.begin(), node_.entries.end(),
                                                     [](const MstNodeEntry& entry) {
                                                       return entry.right.has_value();
                                                     });
    if (has_child && place.layer == 0) return error(place.digest, "child below layer 0");
    if (node_.entries.empty()) {
      if (!has_child) return error(place.digest, "empty node inside a tree");
      return {};
    }
    for (std::size_t i = 0; i < node_.entries.size(); ++i) {
      if (mst_layer(node_.key(i)) == place.layer) continue;
      return error(place.digest,
                   "key in a layer that is not its own: " + std::string(node_.key(i)));
    }
    const bool is_inside =
        (!bounds.after || tree_.key(*bounds.after) < node_.key(0)) &&
        (!bounds.before || node_.key(node_.entries.size() - 1) < tree_.key(*bounds.before));
    if (!is_inside) return error(place.digest, "keys do not lie between those of the node above");
    return {};
  }

  static Error error(const Sha256Digest& digest, const std::string& why) {
    return {Errc::malformed, "MST node " + cid_to_string(blessed_cid(digest)) + ": " + why};
  }

  MstTree& tree_;
  const CarBlocks& blocks_;
  MstNode node_;  // the one that was read last
};

}  // namespace

Result<Mst> Mst::load(const CarBlocks& blocks, const Sha256Digest& root, const MstLimits& limits) {
  Mst mst(limits);
  STANDPIPE_CHECK(Loader(*mst.tree_, blocks).load(root));
  return mst;
}

}  // namespace standpipe
