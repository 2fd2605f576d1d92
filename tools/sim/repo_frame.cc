#include "tools/sim/repo_frame.h"

#include <algorithm>
#include <utility>

#include "schema/base/assert.h"
#include "schema/car.h"
#include "schema/cbor_writer.h"
#include "schema/hash.h"

namespace standpipe::tools::sim {
namespace {

struct ProofNode {
  Sha256Digest digest{};
  Bytes block;
  bool is_on_path = false;  // to a key; else to a neighbour alone
};

const ProofNode* find(const std::vector<ProofNode>& nodes, const Sha256Digest& digest) {
  const auto found = std::find_if(nodes.begin(), nodes.end(),
                                  [&](const ProofNode& node) { return node.digest == digest; });
  return found == nodes.end() ? nullptr : &*found;
}

// Marks the nodes from the root down to where `key` is, or would be.
void mark_path(std::vector<ProofNode>& nodes, std::string_view key, MstNode& scratch) {
  std::optional<Sha256Digest> at = nodes.front().digest;
  while (at) {
    const ProofNode* found = find(nodes, *at);
    if (found == nullptr) return;
    nodes[static_cast<std::size_t>(found - nodes.data())].is_on_path = true;
    const auto read = read_mst_node(found->block, scratch);
    STANDPIPE_ASSERT(read.has_value(), "a node that was just written");
    std::optional<Sha256Digest> next = scratch.left;
    for (std::size_t i = 0; i < scratch.entries.size() && scratch.key(i) <= key; ++i) {
      if (scratch.key(i) == key) return;
      next = scratch.entries[i].right;
    }
    at = next;
  }
}

std::vector<ProofNode> proof_nodes(const CommitFrame& frame, Mst& tree) {
  std::vector<std::string_view> keys;
  for (const CommitFrame::Op& op : frame.ops) keys.push_back(op.path);
  std::vector<ProofNode> nodes;
  const auto visited = tree.visit_proof(keys, [&](const Sha256Digest& digest, ByteView block) {
    nodes.push_back({digest, to_bytes(block), false});
  });
  STANDPIPE_ASSERT(visited.has_value(), visited.error().detail);
  if (nodes.empty()) return nodes;
  MstNode scratch;
  for (const std::string_view key : keys) mark_path(nodes, key, scratch);
  return nodes;
}

Bytes make_blocks(const CommitFrame& frame, const Cid& commit, Mst& tree) {
  Bytes car;
  car.reserve(8192);
  CarWriter writer(car, {commit.bytes()});
  if (frame.odd == Odd::too_big || frame.ops.empty()) {
    writer.write_block(commit, frame.commit_block);
    return car;
  }
  const std::vector<ProofNode> nodes = proof_nodes(frame, tree);
  for (const ProofNode& node : nodes) {
    if (node.is_on_path) writer.write_block(blessed_cid(node.digest), node.block);
  }
  for (const CommitFrame::Op& op : frame.ops) {
    if (op.cid) writer.write_block(*op.cid, op.record);
  }
  writer.write_block(commit, frame.commit_block);
  if (frame.odd == Odd::legacy) return car;
  for (const ProofNode& node : nodes) {
    if (!node.is_on_path) writer.write_block(blessed_cid(node.digest), node.block);
  }
  return car;
}

void write_op(CborWriter& writer, const CommitFrame::Op& op, bool is_legacy) {
  const bool has_prev = op.prev.has_value() && !is_legacy;
  CborMapWriter map(writer, has_prev ? 4 : 3);
  map.write_key("cid");
  op.cid ? writer.write_link(op.cid->bytes()) : writer.write_null();
  map.write_key("path");
  writer.write_text(op.path);
  if (has_prev) {
    map.write_key("prev");
    writer.write_link(op.prev->bytes());
  }
  map.write_key("action");
  writer.write_text(!op.cid ? "delete" : op.prev ? "update" : "create");
}

// A frame's fields, encoded one by one: odd ones come in another order.
struct Field {
  std::string_view key;
  Bytes value;
};

template <typename Write>
Field field(std::string_view key, const Write& write) {
  Field out{key, {}};
  CborWriter writer(out.value);
  write(writer);
  return out;
}

std::vector<Field> commit_fields(const CommitFrame& frame, Mst& tree) {
  const bool is_too_big = frame.odd == Odd::too_big;
  const bool is_legacy = frame.odd == Odd::legacy || is_too_big;
  const Cid commit = Cid::of_dag_cbor(frame.commit_block);
  std::vector<Field> fields;
  fields.push_back(field("ops", [&](CborWriter& writer) {
    writer.write_array(is_too_big ? 0 : frame.ops.size());
    if (is_too_big) return;
    for (const CommitFrame::Op& op : frame.ops) write_op(writer, op, is_legacy);
  }));
  fields.push_back(field("rev", [&](CborWriter& writer) { writer.write_text(frame.rev); }));
  fields.push_back(
      field("seq", [&](CborWriter& writer) { writer.write_integer(to_int(frame.seq)); }));
  fields.push_back(field("repo", [&](CborWriter& writer) { writer.write_text(frame.repo); }));
  fields.push_back(field("time", [&](CborWriter& writer) { writer.write_text(frame.time); }));
  fields.push_back(field("blobs", [](CborWriter& writer) { writer.write_array(0); }));
  fields.push_back(field("since", [&](CborWriter& writer) {
    frame.since ? writer.write_text(*frame.since) : writer.write_null();
  }));
  fields.push_back(field(
      "blocks", [&](CborWriter& writer) { writer.write_bytes(make_blocks(frame, commit, tree)); }));
  fields.push_back(field("commit", [&](CborWriter& writer) { writer.write_link(commit.bytes()); }));
  fields.push_back(field("rebase", [](CborWriter& writer) { writer.write_boolean(false); }));
  fields.push_back(field("tooBig", [&](CborWriter& writer) { writer.write_boolean(is_too_big); }));
  if (!is_legacy) {
    fields.push_back(
        field("prevData", [&](CborWriter& writer) { writer.write_link(frame.prev_data); }));
  }
  return fields;
}

// Sorted keys the other way round, and the seq in nine bytes whatever it is.
void make_non_canonical(std::vector<Field>& fields, Seq seq) {
  std::reverse(fields.begin(), fields.end());
  for (Field& each : fields) {
    if (each.key != "seq") continue;
    each.value.assign(9, std::byte{0x1b});
    store_be(each.value.data() + 1, static_cast<std::uint64_t>(to_int(seq)));
  }
}

}  // namespace

Bytes begin_frame(std::string_view type, std::size_t reserved) {
  Bytes out;
  out.reserve(reserved);
  CborWriter writer(out);
  CborMapWriter header(writer, 2);
  header.write_key("t");
  writer.write_text(type);
  header.write_key("op");
  writer.write_integer(1);
  return out;
}

Bytes encode_commit_frame(const CommitFrame& frame, Mst& tree) {
  std::vector<Field> fields = commit_fields(frame, tree);
  if (frame.odd == Odd::non_canonical) make_non_canonical(fields, frame.seq);
  std::size_t bytes = 64;
  for (const Field& each : fields) bytes += each.key.size() + each.value.size() + 2;
  Bytes out = begin_frame("#commit", bytes);
  CborWriter writer(out);
  writer.write_map(fields.size());
  for (const Field& each : fields) {
    writer.write_text(each.key);
    writer.write_raw(each.value);
  }
  return out;
}

Bytes encode_sync_frame(const SyncFrame& frame) {
  const Cid commit = Cid::of_dag_cbor(frame.commit_block);
  Bytes car;
  CarWriter(car, {commit.bytes()}).write_block(commit, frame.commit_block);
  Bytes out = begin_frame("#sync", 512);
  CborWriter writer(out);
  CborMapWriter map(writer, 5);
  map.write_key("did");
  writer.write_text(frame.did);
  map.write_key("rev");
  writer.write_text(frame.rev);
  map.write_key("seq");
  writer.write_integer(to_int(frame.seq));
  map.write_key("time");
  writer.write_text(frame.time);
  map.write_key("blocks");
  writer.write_bytes(car);
  return out;
}

Bytes encode_identity_frame(const IdentityFrame& frame) {
  Bytes out = begin_frame("#identity", 192);
  CborWriter writer(out);
  CborMapWriter map(writer, 4);
  map.write_key("did");
  writer.write_text(frame.did);
  map.write_key("seq");
  writer.write_integer(to_int(frame.seq));
  map.write_key("time");
  writer.write_text(frame.time);
  map.write_key("handle");
  writer.write_text(frame.handle);
  return out;
}

Bytes encode_account_frame(const AccountFrame& frame) {
  const bool is_active = frame.status.empty();
  Bytes out = begin_frame("#account", 192);
  CborWriter writer(out);
  CborMapWriter map(writer, is_active ? 4 : 5);
  map.write_key("did");
  writer.write_text(frame.did);
  map.write_key("seq");
  writer.write_integer(to_int(frame.seq));
  map.write_key("time");
  writer.write_text(frame.time);
  map.write_key("active");
  writer.write_boolean(is_active);
  if (!is_active) {
    map.write_key("status");
    writer.write_text(frame.status);
  }
  return out;
}

Bytes encode_info_frame() {
  Bytes out = begin_frame("#info", 128);
  CborWriter writer(out);
  CborMapWriter map(writer, 2);
  map.write_key("name");
  writer.write_text("OutdatedCursor");
  map.write_key("message");
  writer.write_text("Requested cursor exceeded limit. Possibly missing events");
  return out;
}

}  // namespace standpipe::tools::sim
