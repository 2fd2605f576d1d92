// What a #commit or #sync proves, and what is wrong with it.
// Spec: atproto sync, "Commit Validation"; repository.
//
// An invalid commit is archived like any other, and marked: so checks do not end at the first
// fault, they list what they find, and each can be asked for by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/car_blocks.h"
#include "schema/crypto.h"
#include "schema/event.h"
#include "schema/mst.h"
#include "schema/repo_commit.h"

namespace standpipe {

enum class CommitFault : std::uint8_t {
  // check_blocks
  blocks_absent,      // empty, as of some that were too big
  blocks_unreadable,  // no CAR v1
  blocks_too_large,   // above kCommitBlocksBytesMax
  block_cid_unusual,  // named by another codec or hash than dag-cbor and SHA-256
  block_hash_wrong,
  // check_commit
  root_differs,    // the CAR's first root is not the `commit` of the envelope
  commit_missing,  // no block for it
  commit_unreadable,
  did_differs,  // from the envelope
  did_invalid,
  rev_differs,
  rev_invalid,
  // check_signature
  signature_wrong,
  // check_ops
  too_many_ops,     // above kCommitOpsMax
  op_invalid,       // action, path and CIDs do not go together
  op_path_invalid,  // one that a tree can have, but not NSID/record-key
  op_repeated,      // on a path that another operation has
  op_prev_absent,   // an update or delete of before 2025
  op_differs,       // the tree does not say what the operation says
  record_missing,   // no block for what was created or updated
  tree_invalid,     // check_inversion also
  tree_incomplete,
  // check_inversion
  not_invertible,    // because operations are not what they must be
  prev_data_absent,  // before 2025
  prev_data_differs,
};

std::string_view to_string(CommitFault fault);  // "block_hash_wrong"

struct CommitFinding {
  CommitFault fault = CommitFault::blocks_absent;
  std::optional<std::size_t> op;  // the operation that it is about
  std::string detail;             // for people
};
using CommitFindings = std::vector<CommitFinding>;

inline constexpr std::size_t kCommitBlocksBytesMax = 2'000'000;
inline constexpr std::size_t kCommitOpsMax = 200;  // of more, none is looked at
inline constexpr std::size_t kCommitFindingsMax =
    256;  // what a list holds at most; the rest is lost

// A commit, taken apart once for all checks. Borrows from the event, and so from its frame. Every
// check appends what it finds; what cannot be looked at, since something before it is broken, is
// left to the check that says so. Takes up to twenty times the memory of the blocks where keys were
// made to share long prefixes; real ones take about as much as they are. Not thread-safe.
class CommitProof {
 public:
  explicit CommitProof(const Commit& commit, const MstLimits& limits = {});
  // A #sync has a commit block and no operations: check_ops and check_inversion find nothing.
  explicit CommitProof(const Sync& sync, const MstLimits& limits = {});

  // All that need no key, in the order below.
  CommitFindings check_all();

  void check_blocks(CommitFindings& findings) const;  // CAR, and the hash of every block
  void check_commit(CommitFindings& findings) const;  // commit object against the envelope
  void check_signature(const PublicKey& key, CommitFindings& findings) const;
  void check_op_forms(CommitFindings& findings) const;  // by themselves, and records
  void check_ops(CommitFindings& findings);             // that, and against the tree
  void check_inversion(CommitFindings& findings);       // undone, they lead to prevData

  // nullopt where there is none that can be read.
  const std::optional<RepoCommit>& repo_commit() const { return repo_commit_; }
  const CarBlocks& blocks() const { return blocks_; }

 private:
  void open();
  bool load_tree(CommitFindings& findings);
  bool has_too_many_ops() const;
  void check_op(std::size_t at, bool is_repeated, CommitFindings& findings) const;
  void check_op_in_tree(std::size_t at, CommitFindings& findings);

  std::string_view did_;
  std::optional<std::string_view> rev_;
  ByteView car_;
  const Commit* commit_ = nullptr;  // not ours; null for a #sync
  MstLimits limits_;

  CommitFindings car_findings_;     // of open
  CommitFindings object_findings_;  // of open
  CarBlocks blocks_;
  std::optional<RepoCommit> repo_commit_;
  std::optional<Mst> tree_;  // loaded when first asked for, used up by the inversion
};

}  // namespace standpipe
