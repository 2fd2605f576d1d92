// Changes to a Merkle search tree. Whatever may fail is found out before anything is touched.
#include <utility>

#include "schema/ids.h"
#include "schema/mst_tree.h"

namespace standpipe {
namespace {

using Entry = MstTree::Entry;
using Node = MstTree::Node;
using Path = MstTree::Path;
using State = MstTree::State;

class Editor {
 public:
  explicit Editor(MstTree& tree) : tree_(tree) {}

  void mark_changed(const Path& path, std::size_t steps) {
    for (std::size_t i = 0; i < steps; ++i) node(path.steps[i].node).state = State::changed;
  }

  // `entry` becomes the only key of a new root at `layer`, which is above the old one.
  void put_above_root(const Entry& entry, int layer) {
    const MstNodeAt old = tree_.root;
    std::pair<MstNodeAt, MstNodeAt> halves{kMstNone, kMstNone};
    if (old != kMstNone) halves = split(old, tree_.key(entry));
    const MstNodeAt left = wrap(halves.first, layer - 1);
    const MstNodeAt right = wrap(halves.second, layer - 1);
    tree_.root = tree_.add_node(layer);
    node(tree_.root).left = left;
    insert(tree_.root, 0, entry, right);
  }

  // `path` leads from a root at or above `layer` to where the key would be.
  void put_below_root(const Path& path, const Entry& entry, int layer) {
    std::size_t steps = 0;
    while (steps < path.length && node(path.steps[steps].node).layer >= layer) ++steps;
    const MstTree::Path::Step last = path.steps[steps - 1];
    mark_changed(path, steps);
    if (node(last.node).layer > layer) {  // there is nothing between its neighbours there
      const MstNodeAt child = tree_.add_node(layer);
      insert(child, 0, entry, kMstNone);
      const MstNodeAt wrapped = wrap(child, node(last.node).layer - 1);
      tree_.set_child_before(last.node, last.entry, wrapped);
      return;
    }
    std::pair<MstNodeAt, MstNodeAt> halves{kMstNone, kMstNone};
    const MstNodeAt spanning = tree_.child_before(last.node, last.entry);
    if (spanning != kMstNone) halves = split(spanning, tree_.key(entry));
    tree_.set_child_before(last.node, last.entry, halves.first);
    insert(last.node, last.entry, entry, halves.second);
  }

  // Takes out the key that `path` leads to.
  void remove(const Path& path) {
    const MstTree::Path::Step last = path.last();
    mark_changed(path, path.length);
    const MstNodeAt right = node(last.node).entries[last.entry].right;
    const MstNodeAt merged = merge(tree_.child_before(last.node, last.entry), right);
    std::vector<Entry>& entries = node(last.node).entries;
    tree_.release(entries[last.entry]);
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(last.entry));
    if (entries.capacity() > 2 * entries.size() + 8) entries.shrink_to_fit();
    tree_.set_child_before(last.node, last.entry, merged);
    drop_empty(path);
    trim_root();
    tree_.pack_keys();
  }

  // The parts of merge() that may fail.
  Result<void> check_merge(MstNodeAt left, MstNodeAt right) const {
    while (left != kMstNone && right != kMstNone) {
      for (const MstNodeAt at : {left, right}) {
        if (tree_.nodes[at].state == State::unknown) return tree_.unknown_error(at);
      }
      const std::size_t entries =
          tree_.nodes[left].entries.size() + tree_.nodes[right].entries.size();
      if (entries > tree_.limits.node.entries_max) return entries_error(entries);
      left = tree_.child_before(left, tree_.nodes[left].entries.size());
      right = tree_.nodes[right].left;
    }
    return {};
  }

  Error entries_error(std::size_t entries) const {
    return {Errc::limit, "MST node would have " + std::to_string(entries) + " entries, allowed " +
                             std::to_string(tree_.limits.node.entries_max)};
  }

 private:
  Node& node(MstNodeAt at) { return tree_.nodes[at]; }

  void insert(MstNodeAt at, std::size_t position, Entry entry, MstNodeAt right) {
    std::vector<Entry>& entries = node(at).entries;
    if (entries.size() == entries.capacity()) {
      entries.reserve(entries.size() + 2 + entries.size() / 8);
    }
    entry.right = right;
    entries.insert(entries.begin() + static_cast<std::ptrdiff_t>(position), entry);
  }

  // `child` beneath as many nodes without keys as it takes to stand at `layer`.
  MstNodeAt wrap(MstNodeAt child, int layer) {
    if (child == kMstNone) return child;
    for (int above = node(child).layer + 1; above <= layer; ++above) {
      const MstNodeAt parent = tree_.add_node(above);
      node(parent).left = child;
      child = parent;
    }
    return child;
  }

  // What is below `key` and what is above it, as nodes of the same layer; a side without anything
  // is no node. As deep as the tree.
  std::pair<MstNodeAt, MstNodeAt> split(MstNodeAt at, std::string_view key) {
    const std::size_t position = tree_.lower_bound(node(at), key);
    std::pair<MstNodeAt, MstNodeAt> halves{kMstNone, kMstNone};
    const MstNodeAt spanning = tree_.child_before(at, position);
    if (spanning != kMstNone) halves = split(spanning, key);
    const bool has_left = position > 0 || halves.first != kMstNone;
    const bool has_right = position < node(at).entries.size() || halves.second != kMstNone;
    if (!has_left && !has_right) {
      tree_.free_node(at);
      return {kMstNone, kMstNone};
    }
    node(at).state = State::changed;
    if (!has_left) {
      node(at).left = halves.second;
      return {kMstNone, at};
    }
    tree_.set_child_before(at, position, halves.first);
    if (!has_right) return {at, kMstNone};
    const MstNodeAt right = tree_.add_node(node(at).layer);
    std::vector<Entry>& entries = node(at).entries;
    const auto middle = entries.begin() + static_cast<std::ptrdiff_t>(position);
    node(right).entries.assign(middle, entries.end());
    node(right).left = halves.second;
    entries.erase(middle, entries.end());
    entries.shrink_to_fit();
    return {at, right};
  }

  // Everything of `left` is below everything of `right`, and both are of the same layer.
  MstNodeAt merge(MstNodeAt left, MstNodeAt right) {
    if (left == kMstNone) return right;
    if (right == kMstNone) return left;
    const std::size_t seam = node(left).entries.size();
    const MstNodeAt middle = merge(tree_.child_before(left, seam), node(right).left);
    tree_.set_child_before(left, seam, middle);
    std::vector<Entry>& entries = node(left).entries;
    const std::vector<Entry>& more = node(right).entries;
    entries.reserve(entries.size() + more.size());
    entries.insert(entries.end(), more.begin(), more.end());
    node(left).state = State::changed;
    tree_.free_node(right);
    return left;
  }

  void drop_empty(const Path& path) {
    for (std::size_t i = path.length; i > 0; --i) {
      const MstNodeAt at = path.steps[i - 1].node;
      if (!node(at).entries.empty() || node(at).left != kMstNone) return;
      tree_.free_node(at);
      if (i == 1) {
        tree_.root = kMstNone;
        return;
      }
      tree_.set_child_before(path.steps[i - 2].node, path.steps[i - 2].entry, kMstNone);
    }
  }

  // A root must have a key, unless nothing is known of it.
  void trim_root() {
    while (tree_.root != kMstNone && node(tree_.root).state != State::unknown &&
           node(tree_.root).entries.empty()) {
      const MstNodeAt child = node(tree_.root).left;
      tree_.free_node(tree_.root);
      tree_.root = child;
    }
  }

  MstTree& tree_;
};

Error key_error(std::string_view key) {
  return {Errc::malformed, "not an MST key: " + quoted_for_error(key)};
}

}  // namespace

Result<std::optional<Cid>> MstTree::put(std::string_view wanted, ByteView cid) {
  if (!is_mst_key(wanted)) return key_error(wanted);
  if (cid.empty() || measure_cid(cid) != cid.size()) {
    return Error{Errc::malformed, "value of an MST key is no binary CID"};
  }
  MstTree::Path path;
  STANDPIPE_CHECK(find_path(wanted, path));
  Editor editor(*this);
  if (path.is_found) {
    Entry& entry = nodes[path.last().node].entries[path.last().entry];
    STANDPIPE_TRY(std::optional<Cid> before, Cid::from_bytes(value(entry)));
    if (!equal(before->bytes(), cid)) {
      set_value(entry, cid);
      editor.mark_changed(path, path.length);
    }
    return before;
  }
  // At most two nodes in each layer are new.
  STANDPIPE_CHECK(check_room(wanted.size(), std::size_t{2} * (kMstLayerMax + 1)));
  const int layer = mst_layer(wanted);
  if (root == kMstNone || nodes[root].layer < layer) {
    editor.put_above_root(make_entry(wanted, cid), layer);
    return std::optional<Cid>();
  }
  for (std::size_t i = 0; i < path.length; ++i) {
    const Node& node = nodes[path.steps[i].node];
    if (node.layer == layer && node.entries.size() >= limits.node.entries_max) {
      return editor.entries_error(node.entries.size() + 1);
    }
  }
  editor.put_below_root(path, make_entry(wanted, cid), layer);
  return std::optional<Cid>();
}

Result<std::optional<Cid>> MstTree::erase(std::string_view wanted) {
  if (!is_mst_key(wanted)) return key_error(wanted);
  MstTree::Path path;
  STANDPIPE_CHECK(find_path(wanted, path));
  if (!path.is_found) return std::optional<Cid>();
  const Entry& entry = nodes[path.last().node].entries[path.last().entry];
  Editor editor(*this);
  STANDPIPE_CHECK(
      editor.check_merge(child_before(path.last().node, path.last().entry), entry.right));
  STANDPIPE_TRY(std::optional<Cid> before, Cid::from_bytes(value(entry)));
  editor.remove(path);
  return before;
}

}  // namespace standpipe
