#include "tools/verify_run.h"

#include <algorithm>
#include <utility>

#include "schema/commit_proof.h"

namespace standpipe::tools {
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

// A gap that is our own: frames were sent that are not here. What upstream skipped was not sent,
// and is upstream's to explain.
bool is_ours(const storage::Gap& gap) { return gap.reason != storage::GapReason::upstream; }

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

VerifyRun::VerifyRun(const Options& options, KeySource& keys,
                     std::function<void(const VerifyRow&)> on_finding, NextGaps next_gaps)
    : repos_max_(options.repos_max),
      on_finding_(std::move(on_finding)),
      next_gaps_(std::move(next_gaps)),
      has_more_gaps_(next_gaps_ != nullptr),
      chain_(options.repos_max),
      pool_(options.threads, keys) {}

Result<void> VerifyRun::add(ByteView frame) {
  batch_.bytes += frame.size();
  batch_.frames.push_back(to_bytes(frame));
  return batch_.is_full() ? push() : Result<void>();
}

Result<void> VerifyRun::push() {
  while (pool_.is_full()) STANDPIPE_CHECK(take_oldest());
  pool_.push(std::exchange(batch_, VerifyBatch()));
  return {};
}

Result<void> VerifyRun::finish() {
  if (!batch_.frames.empty()) STANDPIPE_CHECK(push());
  while (pool_.has_work()) STANDPIPE_CHECK(take_oldest());
  return {};
}

Result<void> VerifyRun::take_oldest() {
  STANDPIPE_TRY(VerifyBatch batch, pool_.pop());
  for (FrameVerdict& verdict : batch.verdicts) STANDPIPE_CHECK(take(verdict));
  return {};
}

Result<void> VerifyRun::take(FrameVerdict& verdict) {
  if (verdict.seq) STANDPIPE_CHECK(pass_gaps(*verdict.seq));
  if (check_seq(verdict)) follow(verdict);
  settle_signature(verdict);
  count(verdict);
  for (const FrameFinding& finding : verdict.findings) {
    ++totals_.findings;
    ++totals_.by_finding[finding.what];
    on_finding_({totals_.frames, verdict.seq, verdict.did, &finding});
  }
  return {};
}

// Our own gaps that lie before `seq`.
Result<void> VerifyRun::pass_gaps(Seq seq) {
  for (;;) {
    while (!gaps_.empty() && gaps_.back().after < seq) {
      if (is_ours(gaps_.back())) chain_.pass_gap(gaps_.back().after);
      gaps_.pop_back();
    }
    if (!gaps_.empty() || !has_more_gaps_) return {};
    STANDPIPE_TRY(gaps_, next_gaps_(gaps_after_));
    has_more_gaps_ = !gaps_.empty();
    if (has_more_gaps_) gaps_after_ = previous(gaps_.back().before);
    std::reverse(gaps_.begin(), gaps_.end());
  }
}

// False for a frame that is out of order. Its place in its repository's chain is unknown.
bool VerifyRun::check_seq(FrameVerdict& verdict) {
  if (!verdict.seq) return false;
  if (*verdict.seq <= totals_.last) {
    verdict.findings.push_back(
        {"seq_not_rising", std::nullopt, "after " + std::to_string(to_int(totals_.last))});
    return false;
  }
  if (totals_.first == kSeqNone) totals_.first = *verdict.seq;
  totals_.last = *verdict.seq;
  return true;
}

void VerifyRun::follow(FrameVerdict& verdict) {
  switch (verdict.kind) {
    case FrameKind::commit: {
      // One that cannot be decoded says nothing that could be relied on.
      if (!verdict.is_decoded) return chain_.forget(verdict.did);
      const ChainStep step = chain_.add_commit(link_of(verdict));
      if (step.is_known) ++totals_.chained;
      for (const ChainFinding& finding : step.findings) {
        const std::string_view what = to_string(finding.fault);
        if (has_finding(verdict, what)) continue;  // the frame says so by itself
        if (step.is_across_gap && finding.fault != ChainFault::rev_not_rising) {
          ++totals_.breaks_across_gaps;
        } else {
          verdict.findings.push_back({what, std::nullopt, finding.detail});
        }
      }
      break;
    }
    case FrameKind::sync:
      if (!verdict.is_decoded) return chain_.forget(verdict.did);
      chain_.add_sync(link_of(verdict));
      break;
    case FrameKind::account:
    case FrameKind::tombstone:
    case FrameKind::migrate:
      chain_.forget(verdict.did);
      break;
    case FrameKind::identity:
      remember_identity(verdict.did);
      break;
    default:
      break;
  }
  totals_.repos_forgotten = chain_.repos_forgotten() + identities_forgotten_;
}

void VerifyRun::remember_identity(const std::string& did) {
  if (identities_.size() >= repos_max_ && !identities_.contains(did)) {
    identities_forgotten_ += identities_.size();
    identities_.clear();
  }
  identities_.insert(did);
}

// After an #identity the documents may be older than the account's key.
void VerifyRun::settle_signature(FrameVerdict& verdict) {
  if (verdict.signature != SignatureOutcome::wrong) return;
  if (identities_.contains(verdict.did)) {
    verdict.signature = SignatureOutcome::key_changed;
    return;
  }
  verdict.findings.push_back(
      {to_string(CommitFault::signature_wrong), std::nullopt, verdict.signature_detail});
}

void VerifyRun::count(const FrameVerdict& verdict) {
  ++totals_.frames;
  totals_.bytes += verdict.bytes;
  ++totals_.by_kind[to_string(verdict.kind)];
  totals_.blocks += verdict.checks.has_blocks ? 1U : 0U;
  totals_.objects += verdict.checks.has_object ? 1U : 0U;
  totals_.operations += verdict.checks.has_ops ? 1U : 0U;
  totals_.inversions += verdict.checks.is_inverted ? 1U : 0U;
  totals_.lacks_prev_data += verdict.lacks_prev_data ? 1U : 0U;
  totals_.too_big += verdict.is_too_big ? 1U : 0U;
  totals_.signatures.add(verdict.signature);
  for (const SignatureOutcome label : verdict.labels) totals_.labels.add(label);
}

}  // namespace standpipe::tools
