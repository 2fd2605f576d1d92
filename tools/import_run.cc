#include "tools/import_run.h"

#include <algorithm>
#include <utility>

namespace standpipe::tools {

using storage::Judgement;

ImportRun::ImportRun(storage::Appender& appender, Limits limits, const Clock& clock,
                     OnCommit on_commit)
    : appender_(&appender), limits_(limits), clock_(&clock), on_commit_(std::move(on_commit)) {}

void ImportRun::begin_file() { appender_->begin_session(); }

Result<Judgement> ImportRun::offer(ByteView bytes, std::uint64_t bytes_total) {
  const std::int64_t now_ms = clock_->now_ms();
  if (bytes_total > kFrameBytesMax) {
    return appender_->offer_oversize(bytes.first(std::min(bytes.size(), kOversizeHeadBytes)),
                                     bytes_total, now_ms);
  }
  return appender_->offer(bytes, now_ms);
}

Result<void> ImportRun::take(ByteView bytes, std::uint64_t bytes_total) {
  STANDPIPE_TRY(const Judgement judgement, offer(bytes, bytes_total));
  ++totals_.frames;
  totals_.bytes += bytes_total;
  switch (judgement) {
    case Judgement::accepted:
      totals_.accepted_bytes += bytes_total;
      break;
    case Judgement::conflict:
      ++totals_.kept_aside[Unarchivable::conflict];
      break;
    case Judgement::late:
      ++totals_.kept_aside[Unarchivable::late];
      break;
    case Judgement::quarantined:
      ++totals_.kept_aside[bytes_total > kFrameBytesMax ? Unarchivable::too_large
                                                        : scan_frame(bytes).why];
      break;
    case Judgement::noted:
      break;
    case Judgement::duplicate:
    case Judgement::refused:
      return {};  // leaves nothing to commit
  }
  ++pending_entries_;
  pending_bytes_ += bytes.size();
  if (pending_entries_ < limits_.commit_frames_max && pending_bytes_ < limits_.commit_bytes_max) {
    return {};
  }
  return commit();
}

Result<void> ImportRun::commit() {
  if (pending_entries_ == 0) return {};
  const std::uint64_t frames = appender_->pending_frames();
  pending_entries_ = 0;
  pending_bytes_ = 0;
  STANDPIPE_TRY(const storage::CommitReport report, appender_->commit());
  for (const storage::Gap& gap : report.gaps) {
    if (totals_.gaps.size() < kGapsListed) totals_.gaps.push_back(gap);
  }
  return on_commit_(frames, appender_->newest());
}

ImportTotals ImportRun::totals() const {
  ImportTotals totals = totals_;
  totals.judged = appender_->stats();
  totals.newest = appender_->newest();
  totals.was_reset = appender_->was_reset();
  return totals;
}

}  // namespace standpipe::tools
