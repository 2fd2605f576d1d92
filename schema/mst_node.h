// One node of a Merkle search tree as a block, and what the tree asks of keys.
// Spec: atproto repository, "MST Structure".
//
// A node is the map {e: [{k, p, t, v}], l}. Every entry has a key, of which `k` is what follows the
// `p` bytes that it shares with the entry before it, a record `v`, and perhaps a child `t` with the
// keys between this entry and the next. `l` is the child before the first entry. There is one
// encoding of a node, and blocks in any other are refused: no tree would have their hash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/cid.h"
#include "schema/hash.h"

namespace standpipe {

inline constexpr std::size_t kMstKeyBytesMax = 1024;
inline constexpr int kMstLayerMax = 128;  // of a key whose SHA-256 is all zeros

// Whether `key` is "collection/rkey" as far as the tree cares: two parts that are not empty, of
// letters, digits and "_~.:-", up to kMstKeyBytesMax together. NSIDs and record keys ask for more.
bool is_mst_key(std::string_view key);

// The layer that a key stands in: half of the leading zero bits of its SHA-256, rounded down. Any
// bytes will do.
int mst_layer(std::string_view key);
int mst_layer(const Sha256Digest& digest);  // of the key

// The number of leading bytes that are the same.
std::size_t common_prefix(std::string_view a, std::string_view b);

// The binary CID of a node, or any dag-cbor block, with this SHA-256.
inline constexpr std::size_t kBlessedCidBytes = 36;
using BlessedCid = std::array<std::byte, kBlessedCidBytes>;
BlessedCid blessed_cid(const Sha256Digest& digest);

// The digest in a dag-cbor, SHA-256 CID, the one form of links between nodes; nullopt for another.
std::optional<Sha256Digest> blessed_digest(ByteView cid);

struct MstNodeLimits {
  // Real nodes have four entries; 1 in 10^25 has more than 200. Keys can be made to crowd into one.
  std::size_t entries_max = 10'000;
};

struct MstNodeEntry {
  std::size_t key_at = 0;  // the whole key lies here in MstNode::keys
  std::size_t key_bytes = 0;
  ByteView value;                     // binary CID of the record; any form
  std::optional<Sha256Digest> right;  // the child after it
};

// What a block says. Made to be used again: reading into one allocates nothing once it has grown.
struct MstNode {
  std::optional<Sha256Digest> left;
  std::vector<MstNodeEntry> entries;
  std::string keys;  // of all entries, end to end

  std::string_view key(std::size_t i) const {
    return std::string_view(keys).substr(entries[i].key_at, entries[i].key_bytes);
  }
};

// Reads a block into `node`, whose views then point into it. malformed where it is not the one
// encoding of a node (fields, their order, prefixes that are not as long as they could be, keys
// that do not rise or are no is_mst_key, links of another form); limit where it passes one of
// `limits`. That keys stand in their layer is for the tree to judge. `node` is unspecified after an
// error.
Result<void> read_mst_node(ByteView block, MstNode& node, const MstNodeLimits& limits = {});

// Writes a node entry by entry. The caller gives keys in rising order.
class MstNodeWriter {
 public:
  // Appends to `out`, which must be empty of this node.
  MstNodeWriter(Bytes& out, std::size_t entries);

  // `right`: null for no child.
  void write_entry(std::string_view key, ByteView value, const Sha256Digest* right);
  void finish(const Sha256Digest* left);

 private:
  Bytes& out_;
  std::string_view previous_;
};

}  // namespace standpipe
