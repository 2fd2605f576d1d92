// One verification: frames go in, findings come out in their order, and at the end the sums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/frame_follower.h"
#include "schema/frame_verdict.h"
#include "schema/key_source.h"
#include "schema/seq.h"
#include "storage/types.h"
#include "tools/verify_pool.h"

namespace standpipe::tools {

struct VerifyRow {
  std::uint64_t frame = 0;  // which of the frames that were judged, from 1
  std::optional<Seq> seq;
  std::string_view did;
  const FrameFinding* finding = nullptr;  // not ours
};

struct VerifyTotals {
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;
  Seq first = kSeqNone;
  Seq last = kSeqNone;
  std::map<std::string_view, std::uint64_t> by_kind;

  // Commits and #syncs of which that much could be checked.
  std::uint64_t blocks = 0;
  std::uint64_t objects = 0;
  std::uint64_t operations = 0;
  std::uint64_t inversions = 0;
  std::uint64_t chained = 0;          // held against the commit before
  std::uint64_t lacks_prev_data = 0;  // of before Sync v1.1
  std::uint64_t too_big = 0;
  SignatureCounts signatures;  // of commits and #syncs
  SignatureCounts labels;

  std::uint64_t breaks_across_gaps = 0;  // of chains, where frames are known to be missing
  std::uint64_t repos_forgotten = 0;     // for want of room: their next commit is held against none

  std::uint64_t findings = 0;
  std::map<std::string_view, std::uint64_t> by_finding;
};

// One thread, and in it the threads of a VerifyPool.
class VerifyRun {
 public:
  struct Options {
    std::size_t threads = 1;
    std::size_t repos_max = 2'000'000;
    bool tells_keys = false;  // which accounts come, ahead of time (KeySource::expect)
    // Whether there is use in going on; null: always. Asked before a frame counts as judged of
    // which a key got no answer: one that was given up is left as one that was never looked at.
    std::function<Result<void>()> check_on;
  };
  // Gaps of which the first begins at or after `after`, oldest first; empty: there are no more.
  using NextGaps = std::function<Result<std::vector<storage::Gap>>(Seq after)>;
  // `next_gaps` may be null. `keys` must outlive it.
  VerifyRun(const Options& options, KeySource& keys,
            std::function<void(const VerifyRow&)> on_finding, NextGaps next_gaps);

  // Frames in the order of their seqs. Errors are those of NextGaps, VerifyPool::pop and check_on;
  // behind the first nothing is judged any more, and it is what all later calls return.
  Result<void> add(ByteView frame);
  Result<void> finish();  // judges what is left

  const VerifyTotals& totals() const { return totals_; }

 private:
  Result<void> push();
  Result<void> take_oldest();
  Result<void> take_all(VerifyBatch& batch);
  Result<void> take(FrameVerdict& verdict);
  Result<void> pass_gaps(Seq seq);
  void count(const FrameVerdict& verdict);

  KeySource& keys_;  // not ours
  const bool tells_keys_;
  const std::function<Result<void>()> check_on_;
  std::function<void(const VerifyRow&)> on_finding_;
  NextGaps next_gaps_;
  std::vector<storage::Gap> gaps_;  // not passed yet, newest first
  Seq gaps_after_ = kSeqNone;       // they are asked for from here on
  bool has_more_gaps_ = false;
  VerifyBatch batch_;
  FrameFollower follower_;
  VerifyTotals totals_;
  Result<void> ended_;  // the first error
  VerifyPool pool_;     // last: its threads end first
};

}  // namespace standpipe::tools
