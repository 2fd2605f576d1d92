#include "schema/frame_verdict.h"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

#include "schema/cbor.h"
#include "schema/cid.h"
#include "schema/commit_proof.h"
#include "schema/datetime.h"
#include "schema/ids.h"
#include "schema/label_signature.h"
#include "schema/repo_chain.h"

namespace standpipe {
namespace {

void add(FrameVerdict& verdict, std::string_view what, std::string detail,
         std::optional<std::size_t> op = std::nullopt) {
  verdict.findings.push_back({what, op, std::move(detail)});
}

// By what the relay stamped it with: revs are whatever a host's clock said.
bool is_before_sync_v11(const Commit& commit) {
  const auto time_ms = parse_datetime_ms(commit.time);
  return time_ms && *time_ms < kSyncV11FromMs;
}

// A commit of before Sync v1.1, which has nothing to undo its operations to. A first commit has
// nothing before it in any age.
bool lacks_prev_data(const Commit& commit) {
  const bool is_first = commit.since.is_present && !commit.since.value;
  return !commit.prev_data && !is_first && is_before_sync_v11(commit);
}

// Whether a frame of its age may be so. Before Sync v1.1 commits had neither prevData nor `prev` of
// operations, and no nodes but new ones: the way to where a deleted key was may be missing. What
// was too big came with the commit block alone, or with nothing. Spec: atproto sync, "Commit
// Validation"; lexicon com.atproto.sync.subscribeRepos before 2025.
bool is_of_its_age(const Commit& commit, const CommitFinding& finding) {
  if (!lacks_prev_data(commit)) return false;
  const RepoOp* op =
      finding.op && *finding.op < commit.ops.size() ? &commit.ops[*finding.op] : nullptr;
  switch (finding.fault) {
    case CommitFault::prev_data_absent:
    case CommitFault::op_prev_absent:
      return true;
    case CommitFault::tree_incomplete:
      return commit.is_too_big || (op != nullptr && op->action == "delete");
    case CommitFault::blocks_absent:
    case CommitFault::record_missing:
      return commit.is_too_big;
    default:
      return false;
  }
}

bool has_fault(const CommitFindings& findings, std::initializer_list<CommitFault> faults) {
  return std::any_of(findings.begin(), findings.end(), [&](const CommitFinding& finding) {
    return std::find(faults.begin(), faults.end(), finding.fault) != faults.end();
  });
}

// Why there are no keys to hold signatures against; none where there are.
SignatureOutcome why_keyless(const KeyAnswer& answer) {
  switch (answer.state) {
    case KeyState::known:
      return SignatureOutcome::none;
    case KeyState::no_document:
      return SignatureOutcome::no_document;
    case KeyState::no_answer:
      break;
  }
  return SignatureOutcome::no_answer;
}

void check_signature(FrameVerdict& verdict, const CommitProof& proof, KeySource& keys) {
  if (!proof.repo_commit()) {
    verdict.signature = SignatureOutcome::unreadable;
    return;
  }
  const KeyAnswer answer = keys.find(verdict.did);
  verdict.signature = why_keyless(answer);
  if (verdict.signature != SignatureOutcome::none) return;
  const std::vector<PublicKey>& signing = answer.keys->signing;
  if (signing.empty()) {
    verdict.signature = SignatureOutcome::no_key;
    return;
  }
  CommitFindings findings;
  for (const PublicKey& key : signing) {
    findings.clear();
    proof.check_signature(key, findings);
    if (findings.empty()) {
      verdict.signature = SignatureOutcome::valid;
      return;
    }
  }
  verdict.signature = signing.size() > 1 ? SignatureOutcome::key_changed : SignatureOutcome::wrong;
  verdict.signature_detail = std::move(findings.front().detail);
}

void take_findings(FrameVerdict& verdict, const CommitFindings& findings, const Commit* commit) {
  for (const CommitFinding& finding : findings) {
    if (commit != nullptr && is_of_its_age(*commit, finding)) continue;
    add(verdict, to_string(finding.fault), finding.detail, finding.op);
  }
}

// What the next commit is held against: only of a commit object that is the one it is said to be.
void take_state(FrameVerdict& verdict, const CommitProof& proof, ByteView cid) {
  if (!proof.repo_commit()) return;
  const auto block = proof.blocks().find(cid);
  if (!block || check_block_hash(cid, *block) != HashCheck::match) return;
  verdict.data = to_bytes(proof.repo_commit()->data);
  if (proof.repo_commit()->rev) verdict.rev = *proof.repo_commit()->rev;
}

void check_time(FrameVerdict& verdict, std::string_view time) {
  if (parse_datetime_ms(time)) return;
  add(verdict, "time_invalid", quoted_for_error(time));
}

void check_did(FrameVerdict& verdict) {
  if (Did::is_valid(verdict.did)) return;
  add(verdict, to_string(CommitFault::did_invalid), quoted_for_error(verdict.did));
}

// What has no meaning since Sync v1.1, and must be false; what may not be left out any more.
void check_current_form(FrameVerdict& verdict, const Commit& commit) {
  if (is_before_sync_v11(commit)) return;
  if (!commit.rev) add(verdict, "rev_absent", "no rev");
  if (!commit.since.is_present) add(verdict, "since_absent", "no since, not even null");
  if (commit.is_too_big) add(verdict, "too_big", "tooBig is true");
  if (commit.is_rebase) add(verdict, "rebase", "rebase is true");
}

// A commit says itself which one was before it.
void check_rev_rises(FrameVerdict& verdict, const Commit& commit) {
  if (!commit.rev || !commit.since.value) return;
  if (!Tid::is_valid(*commit.rev) || !Tid::is_valid(*commit.since.value)) return;
  if (*commit.rev > *commit.since.value) return;
  add(verdict, to_string(ChainFault::rev_not_rising),
      std::string(*commit.rev) + ", since " + std::string(*commit.since.value));
}

struct Judging {
  KeySource& keys;
  JudgeDepth depth;
};

CommitFindings prove(CommitProof& proof, JudgeDepth depth) {
  if (depth == JudgeDepth::full) return proof.check_all();
  CommitFindings findings;
  proof.check_blocks(findings);
  proof.check_commit(findings);
  proof.check_op_forms(findings);
  return findings;
}

void take_checks(FrameVerdict& verdict, const CommitProof& proof, const CommitFindings& findings) {
  verdict.checks.has_blocks =
      !has_fault(findings, {CommitFault::blocks_absent, CommitFault::blocks_unreadable});
  verdict.checks.has_object = proof.repo_commit().has_value();
}

void judge(FrameVerdict& verdict, const Commit& commit, const Judging& judging) {
  verdict.did = commit.repo;
  check_time(verdict, commit.time);
  check_current_form(verdict, commit);
  check_rev_rises(verdict, commit);
  verdict.lacks_prev_data = lacks_prev_data(commit);
  verdict.is_too_big = commit.is_too_big;
  if (commit.rev) verdict.rev = *commit.rev;
  verdict.since.is_present = commit.since.is_present;
  if (commit.since.value) verdict.since.value = *commit.since.value;
  if (commit.prev_data) verdict.prev_data = to_bytes(commit.prev_data->bytes());
  CommitProof proof(commit);
  const CommitFindings findings = prove(proof, judging.depth);
  take_findings(verdict, findings, &commit);
  take_state(verdict, proof, commit.commit.bytes());
  take_checks(verdict, proof, findings);
  if (judging.depth != JudgeDepth::full) return;
  const bool has_tree = proof.repo_commit() && !has_fault(findings, {CommitFault::tree_invalid,
                                                                     CommitFault::too_many_ops});
  verdict.checks.has_ops = has_tree;
  verdict.checks.is_inverted =
      has_tree && !verdict.lacks_prev_data &&
      !has_fault(findings, {CommitFault::not_invertible, CommitFault::prev_data_absent});
  check_signature(verdict, proof, judging.keys);
}

void judge(FrameVerdict& verdict, const Sync& sync, const Judging& judging) {
  verdict.did = sync.did;
  check_time(verdict, sync.time);
  verdict.rev = sync.rev;
  CommitProof proof(sync);
  const CommitFindings findings = prove(proof, judging.depth);
  take_findings(verdict, findings, nullptr);
  if (!proof.blocks().roots().empty()) take_state(verdict, proof, proof.blocks().roots()[0]);
  take_checks(verdict, proof, findings);
  if (judging.depth == JudgeDepth::full) check_signature(verdict, proof, judging.keys);
}

SignatureOutcome judge_label(FrameVerdict& verdict, const Label& label, std::size_t at,
                             KeySource& keys) {
  const KeyAnswer answer = keys.find(label.src);
  const SignatureOutcome why = why_keyless(answer);
  if (why != SignatureOutcome::none) return why;
  const std::vector<PublicKey>& known = answer.keys->label;
  if (known.empty()) return SignatureOutcome::no_key;
  LabelCheck check = LabelCheck::wrong_signature;
  for (const PublicKey& key : known) {
    check = verify_label(label, key);
    if (check != LabelCheck::wrong_signature) break;
  }
  const std::string about = quoted_for_error(label.val) + " on " + quoted_for_error(label.uri);
  switch (check) {
    case LabelCheck::valid:
      return SignatureOutcome::valid;
    case LabelCheck::no_signature:
      add(verdict, "label_unsigned", about, at);
      return SignatureOutcome::wrong;
    case LabelCheck::no_version:
      add(verdict, "label_version_absent", about, at);
      return SignatureOutcome::wrong;
    case LabelCheck::wrong_signature:
      break;
  }
  if (known.size() > 1) return SignatureOutcome::key_changed;
  add(verdict, "label_signature_wrong", about, at);
  return SignatureOutcome::wrong;
}

void judge(FrameVerdict& verdict, const Labels& labels, const Judging& judging) {
  if (!labels.labels.empty()) verdict.did = labels.labels.front().src;
  if (judging.depth != JudgeDepth::full) return;
  for (std::size_t i = 0; i < labels.labels.size(); ++i) {
    verdict.labels.push_back(judge_label(verdict, labels.labels[i], i, judging.keys));
  }
}

// #identity, #account and the retired ones that say the same: whose, and when.
template <typename Named>
void judge(FrameVerdict& verdict, const Named& event, const Judging&) {
  verdict.did = event.did;
  check_did(verdict);
  check_time(verdict, event.time);
}
void judge(FrameVerdict&, const Info&, const Judging&) {}
void judge(FrameVerdict&, const ErrorFrame&, const Judging&) {}
void judge(FrameVerdict&, const UnknownMessage&, const Judging&) {}

// The envelope must be in the one encoding, too: hashes do not depend on it, but those who sign
// frames or compare them do. Spec: atproto event streams, "Framing"; DRISL.
void check_canonical(FrameVerdict& verdict, ByteView frame) {
  // Deeper than records may be is no matter of encoding.
  CborOptions options;
  options.depth_max = kCborDepthLimit;
  std::size_t at = 0;
  for (const char* const item : {"header", "payload"}) {
    const auto length = check_cbor(frame.subspan(at), options);
    if (!length) return add(verdict, "not_canonical", item + (": " + length.error().detail));
    at += *length;
  }
}

}  // namespace

void SignatureCounts::add(SignatureOutcome outcome) {
  switch (outcome) {
    case SignatureOutcome::none:
      return;
    case SignatureOutcome::unreadable:
      ++unreadable;
      return;
    case SignatureOutcome::valid:
      ++valid;
      return;
    case SignatureOutcome::wrong:
      ++wrong;
      return;
    case SignatureOutcome::no_document:
      ++no_document;
      return;
    case SignatureOutcome::no_key:
      ++no_key;
      return;
    case SignatureOutcome::key_changed:
      ++key_changed;
      return;
    case SignatureOutcome::no_answer:
      ++no_answer;
      return;
  }
}

FrameVerdict judge_frame(ByteView frame, KeySource& keys, JudgeDepth depth) {
  FrameVerdict verdict;
  verdict.bytes = frame.size();
  const FrameScan scan = scan_frame(frame);
  verdict.kind = scan.envelope.kind;
  verdict.seq = scan.envelope.seq;
  verdict.did = scan.envelope.did;
  // Without a seq, and nothing wrong: notes of upstream that stand in a file.
  const bool is_note =
      scan.why == Unarchivable::error_frame || scan.why == Unarchivable::info_frame;
  if (scan.why != Unarchivable::archivable && !is_note) {
    add(verdict, to_string(scan.why), "at byte " + std::to_string(scan.error_at));
    return verdict;
  }
  const auto event = decode_event(frame);
  if (!event) {
    add(verdict, "event_malformed", event.error().detail);
    return verdict;
  }
  verdict.is_decoded = true;
  check_canonical(verdict, frame);
  std::visit([&](const auto& decoded) { judge(verdict, decoded, Judging{keys, depth}); }, *event);
  return verdict;
}

}  // namespace standpipe
