#include "schema/commit_proof.h"

#include <algorithm>
#include <array>
#include <utility>

#include "schema/ids.h"
#include "schema/mst_inversion.h"

namespace standpipe {
namespace {

constexpr std::array<std::string_view, 25> kFaultNames = {
    "blocks_absent",    "blocks_unreadable", "blocks_too_large", "block_cid_unusual",
    "block_hash_wrong", "root_differs",      "commit_missing",   "commit_unreadable",
    "did_differs",      "did_invalid",       "rev_differs",      "rev_invalid",
    "signature_wrong",  "too_many_ops",      "op_invalid",       "op_path_invalid",
    "op_repeated",      "op_prev_absent",    "op_differs",       "record_missing",
    "tree_invalid",     "tree_incomplete",   "not_invertible",   "prev_data_absent",
    "prev_data_differs"};

void add(CommitFindings& findings, CommitFault fault, std::string detail,
         std::optional<std::size_t> op = std::nullopt) {
  if (findings.size() >= kCommitFindingsMax) return;
  findings.push_back({fault, op, std::move(detail)});
}

std::string not_that(std::string_view one, std::string_view other) {
  return quoted_for_error(one) + ", not " + quoted_for_error(other);
}

std::string why_wrong(SignatureCheck check) {
  switch (check) {
    case SignatureCheck::wrong_length:
      return "signature is not 64 bytes long";
    case SignatureCheck::high_s:
      return "signature has a high s";
    default:
      return "signature is not by this key";
  }
}

// Why the parts of an operation do not go together; empty if they do. Of `prev` only what cannot
// be, as its absence has a fault of its own.
std::string why_invalid(const RepoOp& op) {
  const bool is_delete = op.action == "delete";
  if (!is_delete && op.action != "create" && op.action != "update") {
    return "action " + quoted_for_error(op.action);
  }
  if (!is_mst_key(op.path)) return "path " + quoted_for_error(op.path);
  if (is_delete && op.cid) return "delete with a cid";
  if (is_delete && !op.has_cid_field) return "delete that does not say that its cid is null";
  if (!is_delete && !op.cid) return std::string(op.action) + " without a cid";
  if (op.action == "create" && op.prev) return "create with a prev";
  if (op.action == "update" && op.cid == op.prev) return "update to what was there before";
  return {};
}

bool lacks_prev(const RepoOp& op) { return op.action != "create" && !op.prev; }

// Which operations have a path that another one has.
std::vector<bool> find_repeated(const std::vector<RepoOp>& ops) {
  std::vector<bool> is_repeated(ops.size());
  std::vector<std::size_t> order(ops.size());
  for (std::size_t i = 0; i < ops.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return ops[a].path < ops[b].path; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (ops[order[i - 1]].path != ops[order[i]].path) continue;
    is_repeated[order[i - 1]] = true;
    is_repeated[order[i]] = true;
  }
  return is_repeated;
}

std::optional<std::vector<MstOp>> to_mst_ops(const std::vector<RepoOp>& ops) {
  std::vector<MstOp> result;
  result.reserve(ops.size());
  for (const RepoOp& op : ops) {
    if (!why_invalid(op).empty() || lacks_prev(op)) return std::nullopt;
    MstOp& each = result.emplace_back();
    each.action = op.action == "create"   ? MstAction::create
                  : op.action == "update" ? MstAction::update
                                          : MstAction::erase;
    each.key = op.path;
    if (op.cid) each.after = op.cid->bytes();
    if (op.prev) each.before = op.prev->bytes();
  }
  return result;
}

CommitFault to_commit_fault(InversionFault fault) {
  switch (fault) {
    case InversionFault::bad_op:
      return CommitFault::not_invertible;
    case InversionFault::node_missing:
      return CommitFault::tree_incomplete;
    case InversionFault::limit:
      return CommitFault::tree_invalid;
    default:
      return CommitFault::op_differs;
  }
}

}  // namespace

std::string_view to_string(CommitFault fault) {
  return kFaultNames[static_cast<std::size_t>(fault)];
}

CommitProof::CommitProof(const Commit& commit, const MstLimits& limits)
    : did_(commit.repo), rev_(commit.rev), car_(commit.blocks), commit_(&commit), limits_(limits) {
  open();
}

CommitProof::CommitProof(const Sync& sync, const MstLimits& limits)
    : did_(sync.did), rev_(sync.rev), car_(sync.blocks), limits_(limits) {
  open();
}

void CommitProof::open() {
  if (car_.empty()) return add(car_findings_, CommitFault::blocks_absent, "no blocks");
  auto blocks = CarBlocks::read(car_);
  if (!blocks) {
    return add(car_findings_, CommitFault::blocks_unreadable, to_string(blocks.error()));
  }
  blocks_ = *std::move(blocks);
  if (blocks_.roots().empty()) {
    return add(object_findings_, CommitFault::root_differs, "CAR without a root");
  }
  const ByteView root = blocks_.roots()[0];
  if (commit_ != nullptr && !equal(root, commit_->commit.bytes())) {
    add(object_findings_, CommitFault::root_differs,
        cid_to_string(root) + ", not " + commit_->commit.to_string());
  }
  const auto block = blocks_.find(commit_ != nullptr ? commit_->commit.bytes() : root);
  if (!block) {
    return add(object_findings_, CommitFault::commit_missing, "no block of the commit object");
  }
  auto commit = parse_repo_commit(*block);
  if (!commit) {
    return add(object_findings_, CommitFault::commit_unreadable, to_string(commit.error()));
  }
  repo_commit_ = *std::move(commit);
}

CommitFindings CommitProof::check_all() {
  CommitFindings findings;
  check_blocks(findings);
  check_commit(findings);
  check_ops(findings);
  // Without a tree the inversion would only say again what is wrong with it.
  if (tree_) check_inversion(findings);
  return findings;
}

void CommitProof::check_blocks(CommitFindings& findings) const {
  findings.insert(findings.end(), car_findings_.begin(), car_findings_.end());
  if (car_.size() > kCommitBlocksBytesMax) {
    add(findings, CommitFault::blocks_too_large, std::to_string(car_.size()) + " bytes");
  }
  for (const CarBlock& block : blocks_.blocks()) {
    if (findings.size() >= kCommitFindingsMax) return;
    if (!blessed_digest(block.cid)) {
      add(findings, CommitFault::block_cid_unusual, cid_to_string(block.cid));
    }
    if (check_block_hash(block.cid, block.bytes) == HashCheck::mismatch) {
      add(findings, CommitFault::block_hash_wrong, cid_to_string(block.cid));
    }
  }
}

void CommitProof::check_commit(CommitFindings& findings) const {
  findings.insert(findings.end(), object_findings_.begin(), object_findings_.end());
  if (!Did::is_valid(did_)) add(findings, CommitFault::did_invalid, quoted_for_error(did_));
  if (rev_ && !Tid::is_valid(*rev_)) {
    add(findings, CommitFault::rev_invalid, quoted_for_error(*rev_));
  }
  if (!repo_commit_) return;
  if (repo_commit_->did != did_) {
    add(findings, CommitFault::did_differs, not_that(repo_commit_->did, did_));
  }
  // Either may lack a rev where it is old; then there is nothing to compare.
  if (repo_commit_->rev && rev_ && repo_commit_->rev != rev_) {
    add(findings, CommitFault::rev_differs, not_that(*repo_commit_->rev, *rev_));
  }
}

void CommitProof::check_signature(const PublicKey& key, CommitFindings& findings) const {
  if (!repo_commit_) return;
  const SignatureCheck check = verify_repo_commit(*repo_commit_, key);
  if (check != SignatureCheck::valid) {
    add(findings, CommitFault::signature_wrong, why_wrong(check));
  }
}

// Whether there is a tree; what is wrong with it is told each time.
bool CommitProof::load_tree(CommitFindings& findings) {
  if (tree_) return true;
  if (!repo_commit_) return false;
  const auto root = blessed_digest(repo_commit_->data);
  if (!root) {
    add(findings, CommitFault::tree_invalid, "data is not the CID of an MST node");
    return false;
  }
  auto tree = Mst::load(blocks_, *root, limits_);
  if (!tree) {
    add(findings, CommitFault::tree_invalid, to_string(tree.error()));
    return false;
  }
  tree_ = *std::move(tree);
  return true;
}

bool CommitProof::has_too_many_ops() const { return commit_->ops.size() > kCommitOpsMax; }

void CommitProof::check_op_forms(CommitFindings& findings) const {
  if (commit_ == nullptr) return;
  if (has_too_many_ops()) {
    return add(findings, CommitFault::too_many_ops,
               std::to_string(commit_->ops.size()) + " operations");
  }
  const std::vector<bool> is_repeated = find_repeated(commit_->ops);
  for (std::size_t i = 0; i < commit_->ops.size(); ++i) check_op(i, is_repeated[i], findings);
}

void CommitProof::check_ops(CommitFindings& findings) {
  check_op_forms(findings);
  if (commit_ == nullptr || has_too_many_ops() || !load_tree(findings)) return;
  for (std::size_t i = 0; i < commit_->ops.size(); ++i) check_op_in_tree(i, findings);
}

void CommitProof::check_op(std::size_t at, bool is_repeated, CommitFindings& findings) const {
  const RepoOp& op = commit_->ops[at];
  std::string why = why_invalid(op);
  if (!why.empty()) add(findings, CommitFault::op_invalid, std::move(why), at);
  if (is_mst_key(op.path) && !RepoPath::is_valid(op.path)) {
    add(findings, CommitFault::op_path_invalid, quoted_for_error(op.path), at);
  }
  if (is_repeated) add(findings, CommitFault::op_repeated, quoted_for_error(op.path), at);
  if (lacks_prev(op)) add(findings, CommitFault::op_prev_absent, quoted_for_error(op.path), at);
  if (op.cid && !blocks_.blocks().empty() && !blocks_.find(op.cid->bytes())) {
    add(findings, CommitFault::record_missing, op.cid->to_string(), at);
  }
}

void CommitProof::check_op_in_tree(std::size_t at, CommitFindings& findings) {
  const RepoOp& op = commit_->ops[at];
  const auto held = tree_->find(op.path);
  if (!held) {
    return add(findings, CommitFault::tree_incomplete, held.error().detail, at);
  }
  const bool is_same = op.cid ? *held && equal(**held, op.cid->bytes()) : !*held;
  if (!is_same) {
    add(findings, CommitFault::op_differs,
        quoted_for_error(op.path) + " is " + (*held ? cid_to_string(**held) : std::string("not")) +
            " in the tree",
        at);
  }
}

void CommitProof::check_inversion(CommitFindings& findings) {
  if (commit_ == nullptr || !repo_commit_) return;
  const bool is_first = commit_->since.is_present && !commit_->since.value;
  if (!commit_->prev_data && !is_first) {
    return add(findings, CommitFault::prev_data_absent, "no prevData");
  }
  if (has_too_many_ops()) {
    return add(findings, CommitFault::not_invertible, "too many operations");
  }
  const auto ops = to_mst_ops(commit_->ops);
  if (!ops) {
    return add(findings, CommitFault::not_invertible, "operations are invalid or lack a prev");
  }
  if (!load_tree(findings)) return;
  Mst tree = *std::exchange(tree_, std::nullopt);
  if (const auto finding = invert_ops(tree, *ops)) {
    return add(findings, to_commit_fault(finding->fault), finding->detail, finding->op);
  }
  // The first commit of a repository comes after the empty tree.
  const BlessedCid root = blessed_cid(tree.root());
  const BlessedCid empty = blessed_cid(Mst().root());
  const ByteView expected = commit_->prev_data ? commit_->prev_data->bytes() : ByteView(empty);
  if (!equal(root, expected)) {
    add(findings, CommitFault::prev_data_differs,
        cid_to_string(expected) + ", but undoing the operations leads to " + cid_to_string(root));
  }
}

}  // namespace standpipe
