#include "tools/verify_run.h"

#include <algorithm>
#include <utility>

namespace standpipe::tools {
namespace {

// A gap that is our own: frames were sent that are not here. What upstream skipped was not sent,
// and is upstream's to explain.
bool is_ours(const storage::Gap& gap) { return gap.reason != storage::GapReason::upstream; }

bool lacks_answer(const FrameVerdict& verdict) {
  const auto is_one = [](SignatureOutcome outcome) {
    return outcome == SignatureOutcome::no_answer;
  };
  return is_one(verdict.signature) ||
         std::any_of(verdict.labels.begin(), verdict.labels.end(), is_one);
}

}  // namespace

VerifyRun::VerifyRun(const Options& options, KeySource& keys,
                     std::function<void(const VerifyRow&)> on_finding, NextGaps next_gaps)
    : keys_(keys),
      tells_keys_(options.tells_keys),
      check_on_(options.check_on),
      on_finding_(std::move(on_finding)),
      next_gaps_(std::move(next_gaps)),
      has_more_gaps_(next_gaps_ != nullptr),
      follower_(options.repos_max),
      pool_(options.threads, keys) {}

Result<void> VerifyRun::add(ByteView frame) {
  STANDPIPE_CHECK(ended_);
  if (tells_keys_) {
    const Envelope envelope = scan_frame(frame).envelope;
    const bool is_signed = envelope.kind == FrameKind::commit || envelope.kind == FrameKind::sync;
    if (is_signed) keys_.expect(envelope.did);
  }
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
  STANDPIPE_CHECK(ended_);
  if (!batch_.frames.empty()) STANDPIPE_CHECK(push());
  while (pool_.has_work()) STANDPIPE_CHECK(take_oldest());
  return {};
}

Result<void> VerifyRun::take_oldest() {
  Result<VerifyBatch> batch = pool_.pop();
  ended_ = batch ? take_all(*batch) : Result<void>(batch.error());
  return ended_;
}

Result<void> VerifyRun::take_all(VerifyBatch& batch) {
  for (FrameVerdict& verdict : batch.verdicts) STANDPIPE_CHECK(take(verdict));
  return {};
}

Result<void> VerifyRun::take(FrameVerdict& verdict) {
  if (check_on_ && lacks_answer(verdict)) STANDPIPE_CHECK(check_on_());
  if (verdict.seq) STANDPIPE_CHECK(pass_gaps(*verdict.seq));
  follower_.follow(verdict);
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
      if (is_ours(gaps_.back())) follower_.pass_gap(gaps_.back().after);
      gaps_.pop_back();
    }
    if (!gaps_.empty() || !has_more_gaps_) return {};
    STANDPIPE_TRY(gaps_, next_gaps_(gaps_after_));
    has_more_gaps_ = !gaps_.empty();
    if (has_more_gaps_) gaps_after_ = previous(gaps_.back().before);
    std::reverse(gaps_.begin(), gaps_.end());
  }
}

void VerifyRun::count(const FrameVerdict& verdict) {
  ++totals_.frames;
  totals_.bytes += verdict.bytes;
  totals_.first = follower_.first();
  totals_.last = follower_.last();
  totals_.chained = follower_.chained();
  totals_.breaks_across_gaps = follower_.breaks_across_gaps();
  totals_.repos_forgotten = follower_.repos_forgotten();
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
