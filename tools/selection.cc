#include "tools/selection.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace standpipe::tools {

void add_selection_options(OptionTable& table, SelectionOptions& options, bool needs_data) {
  table.text("data", "DIR", &options.data, "The archive");
  if (needs_data) table.required();
  table.text("stream", "NAME", &options.stream, "The stream (default: the only one)");
  table.count("epoch", &options.epoch, 1, std::numeric_limits<std::uint32_t>::max(),
              "The epoch (default: the newest)");
  table.seq("until", &options.until, "The last seq wanted (default: the newest)");
  table.list("did", "DID", &options.dids, "Only frames that concern this DID; repeatable");
  table.list("collection", "NSID", &options.collections,
             "Of commits only those with an op in this collection, or below it as in "
             "app.bsky.feed.*; repeatable");
}

Result<FrameFilter> check_selection(const SelectionOptions& options) {
  if (options.after && options.until && *options.until < *options.after) {
    return Error{Errc::invalid, "--until lies before the beginning of the range"};
  }
  if (options.from_ms && options.to_ms && *options.to_ms < *options.from_ms) {
    return Error{Errc::invalid, "--to-time lies before --from-time"};
  }
  return FrameFilter::compile({options.dids, options.collections});
}

Result<Selection> open_selection(const SelectionOptions& options, FrameFilter filter) {
  Selection selection;
  selection.filter = std::move(filter);
  STANDPIPE_TRY(selection.view, open_view(options.data));
  std::optional<storage::EpochNumber> epoch;
  if (options.epoch != 0) epoch = storage::EpochNumber{static_cast<std::uint32_t>(options.epoch)};
  STANDPIPE_TRY(selection.place, selection.view->locate(options.stream, epoch));
  selection.after = options.after.value_or(selection.place.window_floor);
  if (options.from_ms) {
    STANDPIPE_TRY(selection.after, selection.view->position_at(selection.place, *options.from_ms));
  }
  selection.until = std::min(options.until.value_or(kSeqMax), selection.place.newest);
  if (options.to_ms) {
    STANDPIPE_TRY(const Seq end, selection.view->position_at(selection.place, *options.to_ms));
    selection.until = std::min(selection.until, end);
  }
  return selection;
}

Result<WalkTotals> walk(Selection& selection, const WalkCalls& calls) {
  WalkTotals totals;
  const Seq first = selection.after;
  const auto span =
      static_cast<double>(std::max<std::int64_t>(distance(first, selection.until), 1));
  Seq position = first;
  bool is_last = position >= selection.until;
  while (!is_last) {
    STANDPIPE_TRY(const FramePage page,
                  selection.view->read_after(selection.place, position, selection.until));
    for (const storage::Gap& gap : page.passed) {
      if (calls.passed) STANDPIPE_CHECK(calls.passed(gap));
    }
    for (const ViewFrame& frame : page.frames) {
      ++totals.read;
      totals.bytes += frame.bytes.size();
      if (!selection.filter.passes(frame.bytes)) continue;
      ++totals.passed;
      STANDPIPE_CHECK(calls.frame(frame));
    }
    if (!page.is_last && page.position <= position) {
      return Error{Errc::corrupt,
                   "reading the archive did not move on: the holder of the archive "
                   "is of another version"};
    }
    position = page.position;
    is_last = page.is_last;
    if (calls.progress) {
      calls.progress(totals, static_cast<double>(distance(first, position)) / span);
    }
  }
  return totals;
}

}  // namespace standpipe::tools
