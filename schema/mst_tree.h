// What a Merkle search tree is made of. Internal to schema/mst*.cc.
//
// A key costs an entry of 48 bytes, its own bytes, and its share of a node: there is one for about
// four keys. Nodes and keys are referred to by position, so that references are small and survive
// growth; C++ references to nodes do not survive add_node.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/hash.h"
#include "schema/mst.h"
#include "schema/mst_node.h"

namespace standpipe {

using MstNodeAt = std::uint32_t;  // a position in MstTree::nodes
inline constexpr MstNodeAt kMstNone = UINT32_MAX;
inline constexpr int kMstLayerUnknown = -1;  // of a root that is not held

struct MstTree {
  struct Entry {
    std::uint32_t key_at = 0;  // in keys
    MstNodeAt right = kMstNone;
    std::uint16_t key_bytes = 0;
    std::uint8_t value_bytes = 0;
    // The binary CID; if it is longer, the position in long_values, as four bytes.
    std::array<std::byte, kBlessedCidBytes> value{};
  };

  enum class State : std::uint8_t {
    hashed,   // digest is that of the node
    changed,  // digest is out of date, and so is that of every node above
    unknown,  // digest is all there is
    unused,   // free, in the chain that begins at first_unused
  };

  struct Node {
    std::vector<Entry> entries;
    MstNodeAt left = kMstNone;
    std::int16_t layer = 0;
    State state = State::changed;
    Sha256Digest digest{};
  };

  // The nodes from the root towards a key, and in each the first entry that is not below it.
  // A kilobyte that is not cleared: handed on by reference.
  struct Path {  // NOLINT(cppcoreguidelines-pro-type-member-init): steps are written when taken
    struct Step {
      MstNodeAt node;
      std::uint32_t entry;
    };
    std::array<Step, kMstLayerMax + 2> steps;
    std::size_t length = 0;
    bool is_found = false;  // the last step's entry has the key

    const Step& last() const { return steps[length - 1]; }
  };

  explicit MstTree(const MstLimits& limits_of_tree);

  // ---- mst_tree.cc: the parts ----
  MstNodeAt add_node(int layer);
  MstNodeAt add_unknown(const Sha256Digest& digest, int layer);
  void free_node(MstNodeAt at);
  // `entry` up to the number of entries: the child before that entry, or after the last.
  MstNodeAt child_before(MstNodeAt at, std::size_t entry) const;
  void set_child_before(MstNodeAt at, std::size_t entry, MstNodeAt child);

  std::string_view key(const Entry& entry) const {
    return {keys.data() + entry.key_at, entry.key_bytes};
  }
  ByteView value(const Entry& entry) const;
  void set_value(Entry& entry, ByteView cid);
  Entry make_entry(std::string_view key_of_entry, ByteView cid);
  void release(const Entry& entry);  // its key and value; the caller takes it out of its node
  void pack_keys();                  // drops the bytes of keys that are gone
  Result<void> check_room(std::size_t key_bytes, std::size_t more_nodes) const;

  // Fails where the path leads into a subtree that is not held.
  Result<void> find_path(std::string_view wanted, Path& path) const;
  std::size_t lower_bound(const Node& node, std::string_view wanted) const;
  Error unknown_error(MstNodeAt at) const;

  static Bytes empty_node();                  // the block of the empty tree
  void write_node(MstNodeAt at, Bytes& out);  // children must be hashed
  const Sha256Digest& digest_of(MstNodeAt at);

  // ---- mst_edit.cc: changes ----
  Result<std::optional<Cid>> put(std::string_view wanted, ByteView cid);
  Result<std::optional<Cid>> erase(std::string_view wanted);

  MstLimits limits;
  MstNodeAt root = kMstNone;  // none: the tree is empty
  std::vector<Node> nodes;
  MstNodeAt first_unused = kMstNone;
  std::size_t unused_nodes = 0;
  std::string keys;
  std::size_t dead_key_bytes = 0;
  std::vector<Bytes> long_values;
  std::vector<std::uint32_t> unused_long_values;
  Bytes scratch;  // of digest_of
};

}  // namespace standpipe
