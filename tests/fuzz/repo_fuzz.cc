// MST nodes, commit objects and whole proofs: any input is read or refused, what is read writes
// back as it was, and a tree that loads keeps its promises.
//
// The first byte says what the rest is: a node, a commit object, or a CAR whose first root is that
// of a tree.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "schema/base/assert.h"
#include "schema/car_blocks.h"
#include "schema/commit_proof.h"
#include "schema/mst.h"
#include "schema/mst_node.h"
#include "schema/repo_commit.h"

namespace standpipe {
namespace {

void check_node(ByteView block) {
  MstNode node;
  if (!read_mst_node(block, node)) return;
  Bytes written;
  MstNodeWriter writer(written, node.entries.size());
  for (std::size_t i = 0; i < node.entries.size(); ++i) {
    const auto& right = node.entries[i].right;
    writer.write_entry(node.key(i), node.entries[i].value, right ? &*right : nullptr);
  }
  writer.finish(node.left ? &*node.left : nullptr);
  STANDPIPE_ASSERT(equal(written, block), "a node does not write back");
}

void check_commit_object(ByteView block) {
  const auto commit = parse_repo_commit(block);
  if (!commit) return;
  STANDPIPE_ASSERT(commit->version == 2 || commit->version == 3, "a version that is none");
  if (commit->version != 3 || !commit->sig || commit->sig->size() != sizeof(Signature)) return;
  Signature signature;
  std::copy(commit->sig->begin(), commit->sig->end(), signature.begin());
  const RepoCommitFields fields{commit->did, *commit->rev, commit->data, commit->prev.value};
  const Bytes written = encode_repo_commit(fields, signature);
  const bool is_same = equal(written, block);
  // Where only known fields are there, both encodings and what is signed agree.
  STANDPIPE_ASSERT(
      !is_same || commit->unsigned_digest == sha256(encode_unsigned_repo_commit(fields)),
      "what is signed is not what is left without the signature");
}

std::vector<std::pair<std::string, Bytes>> contents(const Mst& tree) {
  std::vector<std::pair<std::string, Bytes>> records;
  STANDPIPE_ASSERT(tree.walk(
                       [&](std::string_view key, ByteView value) {
                         records.emplace_back(key, to_bytes(value));
                         return true;
                       },
                       MstUnknown::skip),
                   "a walk that skips cannot fail");
  return records;
}

// Takes out and puts back, one key after the other: what the tree holds must return, and the root
// with it where the blocks have the hashes that they are called by.
void check_changes(Mst& tree, bool is_genuine) {
  const Sha256Digest root = tree.root();
  const auto records = contents(tree);
  for (std::size_t i = 0; i < records.size() && i < 16; ++i) {
    const auto& [key, value] = records[i];
    const auto found = tree.find(key);
    STANDPIPE_ASSERT(found && *found && equal(**found, value), "what is walked is not found");
    const auto erased = tree.erase(key);
    if (erased) {
      STANDPIPE_ASSERT(*erased && equal((*erased)->bytes(), value), "another value is erased");
      // Where the root was trimmed to a node that is not held, there is no way back.
      if (!tree.put(key, value)) return;
    }
    STANDPIPE_ASSERT(contents(tree) == records, "the contents do not return");
    STANDPIPE_ASSERT(!is_genuine || tree.root() == root, "the root does not return");
  }
}

void check_tree(ByteView car) {
  const auto blocks = CarBlocks::read(car);
  if (!blocks || blocks->roots().empty()) return;
  const auto root = blessed_digest(blocks->roots()[0]);
  if (!root) return;
  auto tree = Mst::load(*blocks, *root, {.node = {.entries_max = 500}, .nodes_max = 20'000});
  if (!tree) return;
  STANDPIPE_ASSERT(tree->root() == *root, "a tree that is loaded has another root");
  tree->visit_nodes([&](const Sha256Digest& digest, ByteView block) {
    const auto held = blocks->find(blessed_cid(digest));
    STANDPIPE_ASSERT(!held || equal(*held, block), "a node does not write back");
  });
  check_changes(*tree, CarBlocks::read(car, {.checks_hashes = true}).has_value());

  Sync sync{Seq{1}, "did:plc:a", "", "3l3qo2vuoiw2z", car};
  (void)CommitProof(sync).check_all();
}

}  // namespace
}  // namespace standpipe

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const standpipe::ByteView rest(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      standpipe::check_node(rest);
      break;
    case 1:
      standpipe::check_commit_object(rest);
      break;
    default:
      standpipe::check_tree(rest);
      break;
  }
  return 0;
}
