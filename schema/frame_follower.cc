#include "schema/frame_follower.h"

#include <algorithm>

#include "schema/commit_proof.h"

namespace standpipe {
namespace {

ChainLink link_of(const FrameVerdict& verdict) {
  ChainLink link;
  link.seq = verdict.seq.value_or(kSeqNone);
  link.did = verdict.did;
  if (verdict.rev) link.rev = *verdict.rev;
  link.since.is_present = verdict.since.is_present;
  if (verdict.since.value) link.since.value = *verdict.since.value;
  link.prev_data = verdict.prev_data;
  link.data = verdict.data;
  return link;
}

bool has_finding(const FrameVerdict& verdict, std::string_view what) {
  return std::any_of(verdict.findings.begin(), verdict.findings.end(),
                     [what](const FrameFinding& finding) { return finding.what == what; });
}

}  // namespace

void FrameFollower::follow(FrameVerdict& verdict) {
  if (check_seq(verdict)) follow_chain(verdict);
  settle_signature(verdict);
}

// False for a frame that is out of order. Its place in its repository's chain is unknown.
bool FrameFollower::check_seq(FrameVerdict& verdict) {
  if (!verdict.seq) return false;
  if (*verdict.seq <= last_) {
    verdict.findings.push_back(
        {"seq_not_rising", std::nullopt, "after " + std::to_string(to_int(last_))});
    return false;
  }
  if (first_ == kSeqNone) first_ = *verdict.seq;
  last_ = *verdict.seq;
  return true;
}

void FrameFollower::follow_chain(FrameVerdict& verdict) {
  switch (verdict.kind) {
    case FrameKind::commit:
      // One that cannot be decoded says nothing that could be relied on.
      return verdict.is_decoded ? follow_commit(verdict) : chain_.forget(verdict.did);
    case FrameKind::sync:
      return verdict.is_decoded ? chain_.add_sync(link_of(verdict)) : chain_.forget(verdict.did);
    case FrameKind::account:
    case FrameKind::tombstone:
    case FrameKind::migrate:
      return chain_.forget(verdict.did);
    case FrameKind::identity:
      return remember_identity(verdict.did);
    default:
      return;
  }
}

void FrameFollower::follow_commit(FrameVerdict& verdict) {
  const ChainStep step = chain_.add_commit(link_of(verdict));
  if (step.is_known) ++chained_;
  for (const ChainFinding& finding : step.findings) {
    const std::string_view what = to_string(finding.fault);
    if (has_finding(verdict, what)) continue;  // the frame says so by itself
    if (step.is_across_gap && finding.fault != ChainFault::rev_not_rising) {
      ++breaks_across_gaps_;
    } else {
      verdict.findings.push_back({what, std::nullopt, finding.detail});
    }
  }
}

void FrameFollower::remember_identity(const std::string& did) {
  if (identities_.size() >= repos_max_ && !identities_.contains(did)) {
    identities_forgotten_ += identities_.size();
    identities_.clear();
  }
  identities_.insert(did);
}

// After an #identity the documents may be older than the account's key.
void FrameFollower::settle_signature(FrameVerdict& verdict) const {
  if (verdict.signature != SignatureOutcome::wrong) return;
  if (identities_.contains(verdict.did)) {
    verdict.signature = SignatureOutcome::key_changed;
    return;
  }
  verdict.findings.push_back(
      {to_string(CommitFault::signature_wrong), std::nullopt, verdict.signature_detail});
}

}  // namespace standpipe
