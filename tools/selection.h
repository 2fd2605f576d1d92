// Which frames of an archive a verb is about: stream, epoch, range, filter; and the walk over them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schema/base/result.h"
#include "schema/frame_filter.h"
#include "schema/seq.h"
#include "tools/archive_view.h"
#include "tools/options.h"

namespace standpipe::tools {

struct SelectionOptions {
  std::string data;
  std::string stream;
  std::uint64_t epoch = 0;              // 0: the newest
  std::optional<Seq> after;             // exclusive
  std::optional<Seq> until;             // inclusive
  std::optional<std::int64_t> from_ms;  // of clock, inclusive, to the group
  std::optional<std::int64_t> to_ms;    // likewise, exclusive
  std::vector<std::string> dids;
  std::vector<std::string> collections;
};

// --data, --stream, --epoch, --until, --did, --collection. Where a range begins has another name in
// each verb.
void add_selection_options(OptionTable& table, SelectionOptions& options, bool needs_data = true);

// What options can be wrong in by themselves: an error of usage.
Result<FrameFilter> check_selection(const SelectionOptions& options);

struct Selection {
  std::unique_ptr<ArchiveView> view;
  Place place;
  Seq after = kSeqNone;
  Seq until = kSeqMax;  // not beyond what was newest when the selection was opened
  FrameFilter filter;
};

// Opens the archive and turns times into positions. A beginning that was not asked for is the
// oldest frame held.
Result<Selection> open_selection(const SelectionOptions& options, FrameFilter filter);

struct WalkTotals {
  std::uint64_t read = 0;  // frames in the range
  std::uint64_t bytes = 0;
  std::uint64_t passed = 0;  // of these, the ones that the filter let through
};

struct WalkCalls {
  std::function<Result<void>(const ViewFrame& frame)> frame;  // required
  // Retention took frames at the position. The walk goes on behind them.
  std::function<Result<void>(const storage::Gap& gap)> passed;
  // After each page; `fraction` is of the seqs in the range.
  std::function<void(const WalkTotals& totals, double fraction)> progress;
};

// Every frame that passes, in order. An error of a call ends the walk with that error.
Result<WalkTotals> walk(Selection& selection, const WalkCalls& calls);

}  // namespace standpipe::tools
