// A tree from the blocks of a CAR, as far as they go.
#include <deque>

#include "schema/mst_tree.h"

namespace standpipe {
namespace {

using State = MstTree::State;

class Loader {
 public:
  Loader(MstTree& tree, const CarBlocks& blocks) : tree_(tree), blocks_(blocks) {}

  Result<void> load(const Sha256Digest& root) {
    const auto block = blocks_.find(blessed_cid(root));
    if (!block) {
      tree_.root = tree_.add_unknown(root, kMstLayerUnknown);
      return {};
    }
    STANDPIPE_CHECK(read(root, *block, 0));
    const MstNode& node = parsed_[0];
    if (node.entries.empty()) {
      if (node.left) return error(root, "root has no key");
      return {};  // the empty tree
    }
    STANDPIPE_TRY(tree_.root, add(root, 0, mst_layer(node.key(0)), {}));
    return {};
  }

 private:
  // What the keys of a subtree must lie between; empty: no bound.
  struct Bounds {
    std::string_view after;
    std::string_view before;
  };

  // The node at `depth` below the root has been read into parsed_[depth]. As deep as the tree:
  // layers fall by one at each step and end at 0.
  Result<MstNodeAt> add(const Sha256Digest& digest, std::size_t depth, int layer,
                        const Bounds& bounds) {
    const MstNode& node = parsed_[depth];
    STANDPIPE_CHECK(check(digest, node, layer, bounds));
    if (tree_.nodes.size() + node.entries.size() + 2 > tree_.limits.nodes_max) {
      return Error{Errc::limit,
                   "MST has more than " + std::to_string(tree_.limits.nodes_max) + " nodes"};
    }
    STANDPIPE_CHECK(tree_.check_room(node.keys.size()));
    const MstNodeAt at = tree_.add_node(layer);
    tree_.nodes[at].state = State::hashed;
    tree_.nodes[at].digest = digest;
    tree_.nodes[at].entries.reserve(node.entries.size());
    for (std::size_t i = 0; i < node.entries.size(); ++i) {
      const MstTree::Entry entry = tree_.make_entry(node.key(i), node.entries[i].value);
      tree_.nodes[at].entries.push_back(entry);
    }
    for (std::size_t i = 0; i <= node.entries.size(); ++i) {
      const std::optional<Sha256Digest>& child = i == 0 ? node.left : node.entries[i - 1].right;
      if (!child) continue;
      const Bounds inner{i == 0 ? bounds.after : node.key(i - 1),
                         i == node.entries.size() ? bounds.before : node.key(i)};
      STANDPIPE_TRY(const MstNodeAt child_at, add_child(*child, depth + 1, layer - 1, inner));
      tree_.set_child_before(at, i, child_at);
    }
    return at;
  }

  Result<MstNodeAt> add_child(const Sha256Digest& digest, std::size_t depth, int layer,
                              const Bounds& bounds) {
    if (layer < 0) return error(digest, "child below layer 0");
    const auto block = blocks_.find(blessed_cid(digest));
    if (!block) return tree_.add_unknown(digest, layer);
    STANDPIPE_CHECK(read(digest, *block, depth));
    return add(digest, depth, layer, bounds);
  }

  Result<void> read(const Sha256Digest& digest, ByteView block, std::size_t depth) {
    if (parsed_.size() <= depth) parsed_.emplace_back();
    auto result = read_mst_node(block, parsed_[depth], tree_.limits.node);
    if (!result) {
      Error nested = std::move(result).error();
      nested.detail += " (in " + cid_to_string(blessed_cid(digest)) + ")";
      return nested;
    }
    return {};
  }

  static Result<void> check(const Sha256Digest& digest, const MstNode& node, int layer,
                            const Bounds& bounds) {
    if (node.entries.empty()) {
      if (!node.left) return error(digest, "empty node inside a tree");
      return {};
    }
    for (std::size_t i = 0; i < node.entries.size(); ++i) {
      if (mst_layer(node.key(i)) != layer) {
        return error(digest, "key in a layer that is not its own: " + std::string(node.key(i)));
      }
    }
    const bool is_inside =
        (bounds.after.empty() || bounds.after < node.key(0)) &&
        (bounds.before.empty() || node.key(node.entries.size() - 1) < bounds.before);
    if (!is_inside) return error(digest, "keys do not lie between those of the node above");
    return {};
  }

  static Error error(const Sha256Digest& digest, const std::string& why) {
    return {Errc::malformed, "MST node " + cid_to_string(blessed_cid(digest)) + ": " + why};
  }

  MstTree& tree_;
  const CarBlocks& blocks_;
  std::deque<MstNode> parsed_;  // by depth; a node stays while its children are read
};

}  // namespace

Result<Mst> Mst::load(const CarBlocks& blocks, const Sha256Digest& root, const MstLimits& limits) {
  Mst mst(limits);
  STANDPIPE_CHECK(Loader(*mst.tree_, blocks).load(root));
  return mst;
}

}  // namespace standpipe
