#include "schema/mst_tree.h"

#include <algorithm>
#include <cstring>

#include "schema/base/assert.h"

namespace standpipe {
namespace {

constexpr std::size_t kKeyBytesLimit = UINT32_MAX;
constexpr std::size_t kPackBytesMin = 65'536;  // fewer dead bytes are not worth a pass

// Doubling, as containers do by themselves, would leave a million keys half empty; so it ends at
// `doubles_up_to` more.
template <typename Container>
void grow(Container& container, std::size_t more, std::size_t doubles_up_to) {
  const std::size_t size = container.size();
  if (more <= container.capacity() - size) return;
  container.reserve(size + std::max({more, size / 8, std::min(size, doubles_up_to)}));
}

}  // namespace

MstTree::MstTree(const MstLimits& limits_of_tree) : limits(limits_of_tree) {
  limits.nodes_max = std::min<std::size_t>(limits.nodes_max, kMstNone);
}

MstNodeAt MstTree::add_node(int layer) {
  MstNodeAt at = first_unused;
  if (at == kMstNone) {
    at = static_cast<MstNodeAt>(nodes.size());
    grow(nodes, 1, 1024);
    nodes.emplace_back();
  } else {
    first_unused = nodes[at].left;
    --unused_nodes;
  }
  nodes[at].left = kMstNone;
  nodes[at].layer = static_cast<std::int16_t>(layer);
  nodes[at].state = State::changed;
  return at;
}

MstNodeAt MstTree::add_unknown(const Sha256Digest& digest, int layer) {
  const MstNodeAt at = add_node(layer);
  nodes[at].state = State::unknown;
  nodes[at].digest = digest;
  return at;
}

void MstTree::free_node(MstNodeAt at) {
  Node& node = nodes[at];
  node.entries = {};
  node.state = State::unused;
  node.left = first_unused;
  first_unused = at;
  ++unused_nodes;
}

MstNodeAt MstTree::child_before(MstNodeAt at, std::size_t entry) const {
  const Node& node = nodes[at];
  return entry == 0 ? node.left : node.entries[entry - 1].right;
}

void MstTree::set_child_before(MstNodeAt at, std::size_t entry, MstNodeAt child) {
  Node& node = nodes[at];
  (entry == 0 ? node.left : node.entries[entry - 1].right) = child;
}

ByteView MstTree::value(const Entry& entry) const {
  if (entry.value_bytes <= entry.value.size())
    return ByteView(entry.value).first(entry.value_bytes);
  return long_values[load_le<std::uint32_t>(entry.value.data())];
}

void MstTree::set_value(Entry& entry, ByteView cid) {
  if (entry.value_bytes > entry.value.size()) {
    const auto position = load_le<std::uint32_t>(entry.value.data());
    long_values[position] = {};
    unused_long_values.push_back(position);
  }
  entry.value_bytes = static_cast<std::uint8_t>(cid.size());
  if (cid.size() <= entry.value.size()) {
    std::copy(cid.begin(), cid.end(), entry.value.begin());
    return;
  }
  if (unused_long_values.empty()) {
    unused_long_values.push_back(static_cast<std::uint32_t>(long_values.size()));
    long_values.emplace_back();
  }
  const std::uint32_t position = unused_long_values.back();
  unused_long_values.pop_back();
  long_values[position] = to_bytes(cid);
  store_le(entry.value.data(), position);
}

MstTree::Entry MstTree::make_entry(std::string_view key_of_entry, ByteView cid) {
  Entry entry;
  entry.key_at = static_cast<std::uint32_t>(keys.size());
  entry.key_bytes = static_cast<std::uint16_t>(key_of_entry.size());
  grow(keys, key_of_entry.size(), 16'384);
  keys.append(key_of_entry);
  set_value(entry, cid);
  return entry;
}

void MstTree::release(const Entry& entry) {
  dead_key_bytes += entry.key_bytes;
  Entry gone = entry;
  set_value(gone, {});
}

void MstTree::pack_keys() {
  if (dead_key_bytes < kPackBytesMin || dead_key_bytes < keys.size() / 4) return;
  std::string packed;
  packed.reserve(keys.size() - dead_key_bytes);
  for (Node& node : nodes) {
    for (Entry& entry : node.entries) {
      const std::string_view kept = key(entry);
      entry.key_at = static_cast<std::uint32_t>(packed.size());
      packed.append(kept);
    }
  }
  keys = std::move(packed);
  dead_key_bytes = 0;
}

Result<void> MstTree::check_room(std::size_t key_bytes, std::size_t more_nodes) const {
  if (key_bytes > kKeyBytesLimit - keys.size()) {
    return Error{Errc::limit, "the keys of an MST exceed 4 GiB"};
  }
  if (nodes.size() - unused_nodes + more_nodes > limits.nodes_max) {
    return Error{Errc::limit,
                 "MST would have more than " + std::to_string(limits.nodes_max) + " nodes"};
  }
  return {};
}

std::size_t MstTree::lower_bound(const Node& node, std::string_view wanted) const {
  const auto found =
      std::lower_bound(node.entries.begin(), node.entries.end(), wanted,
                       [this](const Entry& entry, std::string_view k) { return key(entry) < k; });
  return static_cast<std::size_t>(found - node.entries.begin());
}

Result<void> MstTree::find_path(std::string_view wanted, Path& path) const {
  path.length = 0;
  path.is_found = false;
  for (MstNodeAt at = root; at != kMstNone;) {
    const Node& node = nodes[at];
    if (node.state == State::unknown) return unknown_error(at);
    STANDPIPE_ASSERT(path.length < path.steps.size(), "an MST is deeper than hashes allow");
    const std::size_t entry = lower_bound(node, wanted);
    path.steps[path.length++] = {at, static_cast<std::uint32_t>(entry)};
    if (entry < node.entries.size() && key(node.entries[entry]) == wanted) {
      path.is_found = true;
      return {};
    }
    at = child_before(at, entry);
  }
  return {};
}

Error MstTree::unknown_error(MstNodeAt at) const {
  return {Errc::not_found,
          "MST node " + cid_to_string(blessed_cid(nodes[at].digest)) + " is not here"};
}

Bytes MstTree::empty_node() {
  Bytes block;
  MstNodeWriter(block, 0).finish(nullptr);
  return block;
}

void MstTree::write_node(MstNodeAt at, Bytes& out) {
  const Node& node = nodes[at];
  MstNodeWriter writer(out, node.entries.size());
  const auto digest_or_null = [this](MstNodeAt child) {
    return child == kMstNone ? nullptr : &nodes[child].digest;
  };
  for (const Entry& entry : node.entries) {
    writer.write_entry(key(entry), value(entry), digest_or_null(entry.right));
  }
  writer.finish(digest_or_null(node.left));
}

// As deep as the tree, at most kMstLayerMax.
const Sha256Digest& MstTree::digest_of(MstNodeAt at) {
  Node& node = nodes[at];
  if (node.state != State::changed) return node.digest;
  if (node.left != kMstNone) digest_of(node.left);
  for (const Entry& entry : node.entries) {
    if (entry.right != kMstNone) digest_of(entry.right);
  }
  scratch.clear();
  write_node(at, scratch);
  node.digest = sha256(scratch);
  node.state = State::hashed;
  return node.digest;
}

}  // namespace standpipe
