// The Merkle search tree of a repository: an ordered map from keys to record CIDs whose shape, and
// so whose root hash, depends on nothing but its contents.
// Spec: atproto repository, "MST Structure".
//
// A tree may be partial: of a subtree whose node was not there when it was loaded, only the hash is
// held. Whatever can be answered without looking inside is answered, and the root hash is known all
// the same; an operation that would have to look inside fails, names the node and changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/car_blocks.h"
#include "schema/cid.h"
#include "schema/hash.h"
#include "schema/mst_node.h"

namespace standpipe {

struct MstLimits {
  MstNodeLimits node{};
  std::size_t nodes_max = 67'108'864;  // subtrees that are held as hashes included
};

struct MstCounts {
  std::size_t keys = 0;
  std::size_t nodes = 0;    // that are held
  std::size_t unknown = 0;  // subtrees of which only the hash is held
};

// What to do about subtrees that are not held.
enum class MstUnknown : std::uint8_t { fail, skip };

struct MstChange {
  std::string_view key;
  std::optional<ByteView> before;  // binary CIDs; none: was not there
  std::optional<ByteView> after;   // none: is no longer there
};

struct MstTree;  // schema/mst_tree.h: what follows is a front to it

// Errors of all operations:
//   not_found  a subtree that is not held would have to be looked into; the detail names its CID
//   malformed  the key is no is_mst_key, or the value is no binary CID
//   limit      one of MstLimits, or 4 GiB of keys
// After any of them the tree is as it was.
//
// Made for a million keys: nodes are positions in one array, keys lie end to end in another, and a
// change marks the nodes on its path, which are hashed when the root is next asked for. Not
// thread-safe. What walk, find and diff hand out points into the tree, until it next changes.
class Mst {
 public:
  explicit Mst(const MstLimits& limits = {});  // the empty tree
  ~Mst();
  Mst(Mst&&) noexcept;
  Mst& operator=(Mst&&) noexcept;
  Mst(const Mst&) = delete;
  Mst& operator=(const Mst&) = delete;

  // As much of the tree under `root` as `blocks` has; if not even the root, a tree of which only
  // the hash is known. What is there is checked: encoding, layers, order of all keys. The hashes of
  // `blocks` are taken on trust (CarOptions::checks_hashes). malformed, limit.
  static Result<Mst> load(const CarBlocks& blocks, const Sha256Digest& root,
                          const MstLimits& limits = {});

  // Of the whole tree, hashing what has changed. The empty tree has one, too.
  Sha256Digest root();

  Result<std::optional<ByteView>> find(std::string_view key) const;  // binary CID

  // Both return the value that the key had, or nullopt if it was not there.
  Result<std::optional<Cid>> put(std::string_view key, ByteView value);
  Result<std::optional<Cid>> erase(std::string_view key);

  // Every key in order. `visit` returns whether to go on.
  using Visit = std::function<bool(std::string_view key, ByteView value)>;
  Result<void> walk(const Visit& visit, MstUnknown unknown = MstUnknown::fail) const;

  // What leads from `before` to `after`, in the order of keys. Subtrees that are the same are
  // neither entered nor need to be held. `visit` returns whether to go on.
  using VisitChange = std::function<bool(const MstChange& change)>;
  static Result<void> diff(Mst& before, Mst& after, const VisitChange& visit);

  // The nodes that a commit must carry whose operations were on `keys`, this being the tree after
  // it: those on the paths to the keys, or to where they would be, and to the nearest keys left and
  // right of each. Every node that is new is among them, and they suffice to invert the operations.
  // In tree pre-order, each once. Neighbours in subtrees that are not held are passed over where
  // `unknown` says so (an update can be inverted without them).
  // Spec: atproto sync, "Commit Validation: MST Operation Inversion".
  using VisitNode = std::function<void(const Sha256Digest& digest, ByteView block)>;
  Result<void> visit_proof(std::span<const std::string_view> keys, const VisitNode& visit,
                           MstUnknown unknown = MstUnknown::fail);

  // All nodes that are held, in tree pre-order; of the empty tree, its one.
  void visit_nodes(const VisitNode& visit);

  MstCounts counts() const;
  std::size_t memory_bytes() const;  // of the tree's own arrays, unused room included

 private:
  std::unique_ptr<MstTree> tree_;
};

}  // namespace standpipe
