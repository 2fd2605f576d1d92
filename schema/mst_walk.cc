// Reading a Merkle search tree: in order, against another, and as the proof of a commit.
#include <algorithm>
#include <utility>

#include "schema/mst_tree.h"

namespace standpipe {
namespace {

using State = MstTree::State;

// Returns whether to go on. As deep as the tree.
Result<bool> walk_from(const MstTree& tree, MstNodeAt at, const Mst::Visit& visit,
                       MstUnknown unknown) {
  if (at == kMstNone) return true;
  const MstTree::Node& node = tree.nodes[at];
  if (node.state == State::unknown) {
    if (unknown == MstUnknown::skip) return true;
    return tree.unknown_error(at);
  }
  for (std::size_t i = 0;; ++i) {
    STANDPIPE_TRY(const bool goes_on, walk_from(tree, tree.child_before(at, i), visit, unknown));
    if (!goes_on || i == node.entries.size()) return goes_on;
    const MstTree::Entry& entry = node.entries[i];
    if (!visit(tree.key(entry), tree.value(entry))) return false;
  }
}

// A position in a tree, on an entry or before a subtree that has not been entered.
class Cursor {
 public:
  explicit Cursor(MstTree& tree) : tree_(tree) { stand_on(tree.root); }

  bool at_end() const { return subtree_ == kMstNone && entry_ == nullptr; }
  bool at_subtree() const { return subtree_ != kMstNone; }
  bool at_entry() const { return entry_ != nullptr; }

  const MstTree::Entry& entry() const { return *entry_; }
  std::string_view key() const { return tree_.key(*entry_); }
  ByteView value() const { return tree_.value(*entry_); }
  const MstTree::Node& subtree() const { return tree_.nodes[subtree_]; }

  void step_over() { settle(); }

  Result<void> step_into() {
    if (subtree().state == State::unknown) return tree_.unknown_error(subtree_);
    levels_.push_back({subtree_, 0, false});
    settle();
    return {};
  }

 private:
  struct Level {
    MstNodeAt node;
    std::size_t entry;       // the next one
    bool is_past_its_child;  // the subtree before that entry is done with
  };

  void stand_on(MstNodeAt subtree) {
    subtree_ = subtree;
    entry_ = nullptr;
  }

  // Moves to what comes next, in or above the present level.
  void settle() {
    stand_on(kMstNone);
    while (!levels_.empty()) {
      Level& level = levels_.back();
      const MstTree::Node& node = tree_.nodes[level.node];
      if (!level.is_past_its_child) {
        level.is_past_its_child = true;
        const MstNodeAt child = tree_.child_before(level.node, level.entry);
        if (child != kMstNone) return stand_on(child);
      }
      if (level.entry < node.entries.size()) {
        entry_ = &node.entries[level.entry++];
        level.is_past_its_child = false;
        return;
      }
      levels_.pop_back();
    }
  }

  MstTree& tree_;
  std::vector<Level> levels_;
  MstNodeAt subtree_ = kMstNone;
  const MstTree::Entry* entry_ = nullptr;
};

// Brings both cursors past what is the same, or onto entries. Returns whether there is anything to
// compare.
Result<bool> align(Cursor& before, Cursor& after) {
  while (true) {
    if (before.at_subtree() && after.at_subtree()) {
      if (before.subtree().digest == after.subtree().digest) {
        before.step_over();
        after.step_over();
        continue;
      }
      // The deeper-reaching one first, so that equal subtrees meet.
      const int difference = before.subtree().layer - after.subtree().layer;
      if (difference >= 0) STANDPIPE_CHECK(before.step_into());
      if (difference <= 0) STANDPIPE_CHECK(after.step_into());
      continue;
    }
    if (before.at_subtree()) {
      STANDPIPE_CHECK(before.step_into());
    } else if (after.at_subtree()) {
      STANDPIPE_CHECK(after.step_into());
    } else {
      return before.at_entry() || after.at_entry();
    }
  }
}

// The nodes of a proof: marks, then visits what is marked in pre-order.
class Proof {
 public:
  Proof(MstTree& tree, MstUnknown unknown) : tree_(tree), unknown_(unknown) {}

  Result<void> mark(std::string_view key) {
    MstTree::Path path;
    STANDPIPE_CHECK(tree_.find_path(key, path));
    for (std::size_t i = 0; i < path.length; ++i) marked_.push_back(path.steps[i].node);
    if (!path.is_found) return {};
    // The neighbours of a key are either beside it on the path or at the facing edges of the
    // subtrees left and right of it.
    const MstTree::Path::Step& last = path.last();
    STANDPIPE_CHECK(mark_edge(tree_.child_before(last.node, last.entry), Edge::right));
    return mark_edge(tree_.child_before(last.node, last.entry + 1), Edge::left);
  }

  void visit(const Mst::VisitNode& visit) {
    std::sort(marked_.begin(), marked_.end());
    visit_from(tree_.root, visit, [this](MstNodeAt at) {
      return std::binary_search(marked_.begin(), marked_.end(), at);
    });
  }

  void visit_all(const Mst::VisitNode& visit) {
    visit_from(tree_.root, visit, [](MstNodeAt) { return true; });
  }

 private:
  enum class Edge : std::uint8_t { left, right };

  Result<void> mark_edge(MstNodeAt at, Edge edge) {
    while (at != kMstNone) {
      const MstTree::Node& node = tree_.nodes[at];
      if (node.state == State::unknown) {
        if (unknown_ == MstUnknown::skip) return {};
        return tree_.unknown_error(at);
      }
      marked_.push_back(at);
      at = edge == Edge::left ? node.left : tree_.child_before(at, node.entries.size());
    }
    return {};
  }

  template <typename IsWanted>
  void visit_from(MstNodeAt at, const Mst::VisitNode& visit, const IsWanted& is_wanted) {
    if (at == kMstNone || tree_.nodes[at].state == State::unknown || !is_wanted(at)) return;
    block_.clear();
    tree_.write_node(at, block_);
    visit(tree_.nodes[at].digest, block_);
    for (std::size_t i = 0; i <= tree_.nodes[at].entries.size(); ++i) {
      visit_from(tree_.child_before(at, i), visit, is_wanted);
    }
  }

  MstTree& tree_;
  MstUnknown unknown_;
  std::vector<MstNodeAt> marked_;
  Bytes block_;
};

}  // namespace

Result<void> Mst::walk(const Visit& visit, MstUnknown unknown) const {
  STANDPIPE_CHECK(walk_from(*tree_, tree_->root, visit, unknown));
  return {};
}

Result<void> Mst::diff(Mst& before, Mst& after, const VisitChange& visit) {
  if (before.root() == after.root()) return {};
  Cursor left(*before.tree_);
  Cursor right(*after.tree_);
  while (true) {
    STANDPIPE_TRY(const bool has_more, align(left, right));
    if (!has_more) return {};
    MstChange change;
    int order = 0;  // of the left key to the right one
    if (!left.at_entry()) {
      order = 1;
    } else if (!right.at_entry()) {
      order = -1;
    } else {
      order = left.key().compare(right.key());
    }
    change.key = order <= 0 ? left.key() : right.key();
    if (order <= 0) change.before = left.value();
    if (order >= 0) change.after = right.value();
    const bool is_same = order == 0 && equal(*change.before, *change.after);
    if (!is_same && !visit(change)) return {};
    if (order <= 0) left.step_over();
    if (order >= 0) right.step_over();
  }
}

Result<void> Mst::visit_proof(std::span<const std::string_view> keys, const VisitNode& visit,
                              MstUnknown unknown) {
  const Sha256Digest root_digest = root();
  Proof proof(*tree_, unknown);
  for (const std::string_view key : keys) STANDPIPE_CHECK(proof.mark(key));
  if (tree_->root == kMstNone && !keys.empty()) {
    visit(root_digest, MstTree::empty_node());
  } else {
    proof.visit(visit);
  }
  return {};
}

void Mst::visit_nodes(const VisitNode& visit) {
  const Sha256Digest root_digest = root();
  if (tree_->root == kMstNone) return visit(root_digest, MstTree::empty_node());
  Proof(*tree_, MstUnknown::skip).visit_all(visit);
}

}  // namespace standpipe
