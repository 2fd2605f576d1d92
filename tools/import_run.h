// Frames into an appender, in commits of a bounded size; and the account of what became of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/clock.h"
#include "schema/base/result.h"
#include "schema/frame.h"
#include "storage/appender.h"

namespace standpipe::tools {

struct ImportTotals {
  std::uint64_t frames = 0;  // read, whatever became of them
  std::uint64_t bytes = 0;
  std::uint64_t accepted_bytes = 0;
  std::map<Unarchivable, std::uint64_t> kept_aside;  // by reason
  std::vector<storage::Gap> gaps;                    // the first of them, durable
  storage::AppenderStats judged;
  Seq newest = kSeqNone;  // durable
  bool was_reset = false;
};

// One thread.
class ImportRun {
 public:
  static constexpr std::size_t kGapsListed = 100;
  static constexpr std::size_t kOversizeHeadBytes = 64 << 10;

  struct Limits {
    std::uint64_t commit_frames_max = 1024;
    std::uint64_t commit_bytes_max = 4 << 20;
  };
  // Called once a commit is durable, with its frames and the newest seq. An error ends the import.
  using OnCommit = std::function<Result<void>(std::uint64_t frames, Seq newest)>;

  // `appender` must outlive the run.
  ImportRun(storage::Appender& appender, Limits limits, const Clock& clock, OnCommit on_commit);

  // What follows does not continue what came before: a skip of seqs is no skip of upstream's.
  void begin_file();
  // Judges a frame, and commits where a limit is reached. `bytes_total` exceeds `bytes` where only
  // the head of a frame that is too large was kept.
  Result<void> take(ByteView bytes, std::uint64_t bytes_total);
  // Makes what is pending durable. Nothing happens where nothing is.
  Result<void> commit();

  bool has_pending() const { return pending_entries_ > 0; }
  bool was_reset() const { return appender_->was_reset(); }
  ImportTotals totals() const;

 private:
  Result<storage::Judgement> offer(ByteView bytes, std::uint64_t bytes_total);

  storage::Appender* appender_;
  const Limits limits_;
  const Clock* clock_;
  OnCommit on_commit_;
  ImportTotals totals_;
  std::uint64_t pending_entries_ = 0;  // frames, and what was kept aside or noted
  std::uint64_t pending_bytes_ = 0;
};

}  // namespace standpipe::tools
