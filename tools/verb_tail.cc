#include <fmt/format.h>

#include <array>
#include <memory>
#include <utility>

#include "tools/frame_json.h"
#include "tools/selection.h"
#include "tools/values.h"
#include "tools/verbs.h"

namespace standpipe::tools {
namespace {

constexpr const char* kName = "tail";

struct TailOptions {
  SelectionOptions selection;
  bool is_json = false;
  bool is_raw = false;
};

Result<void> print(const TailOptions& options, const ViewFrame& frame) {
  bool is_written = true;
  if (options.is_raw) {
    std::array<std::byte, 4> length{};
    store_le(length.data(), static_cast<std::uint32_t>(frame.bytes.size()));
    is_written = write_stdout(as_text(length)) && write_stdout(as_text(frame.bytes));
  } else {
    is_written =
        write_stdout((options.is_json ? frame_as_json(frame) : frame_as_line(frame)) + "\n");
  }
  if (is_written) return {};
  return Error{Errc::io, "cannot write to standard output"};
}

int run(const TailOptions& options) {
  if (options.is_json && options.is_raw) return fail_usage(kName, "give one of --json and --raw");
  if (options.selection.after && options.selection.from_ms) {
    return fail_usage(kName, "--cursor and --time both say where to begin: give one");
  }
  auto filter = check_selection(options.selection);
  if (!filter) return fail_usage(kName, filter.error().detail);
  auto selection = open_selection(options.selection, std::move(*filter));
  if (!selection) return fail(kName, selection.error());
  WalkCalls calls;
  calls.frame = [&](const ViewFrame& frame) { return print(options, frame); };
  calls.passed = [](const storage::Gap& gap) -> Result<void> {
    fmt::print(stderr, "standpipe tail: after {} before {} is not held any more ({})\n",
               to_int(gap.after), to_int(gap.before), storage::to_string(gap.reason));
    return {};
  };
  const auto walked = walk(*selection, calls);
  if (!walked) return fail(kName, walked.error());
  return finish_stdout(kName, kExitOk);
}

}  // namespace

Verb tail_verb() {
  const auto options = std::make_shared<TailOptions>();
  Verb verb;
  verb.name = kName;
  verb.summary = "Print the frames of an archive in order, up to the newest";
  verb.examples =
      "  standpipe tail --data /srv/standpipe\n"
      "  standpipe tail --data /srv/standpipe --cursor 31527015321 --json\n"
      "  standpipe tail --data /srv/standpipe --time 2026-07-04T14:38:00Z \\\n"
      "      --collection app.bsky.feed.post --collection 'app.bsky.graph.*'\n"
      "  standpipe tail --data /srv/standpipe --raw | zstd > frames.bin.zst\n";
  OptionTable& table = verb.options;
  add_selection_options(table, options->selection);
  table.seq("cursor", &options->selection.after, "Begin behind this seq (default: at the oldest)");
  table.time_ms("time", &options->selection.from_ms, "Begin at this time of the archive's clock");
  table.flag("json", &options->is_json, "A JSON object a line, with the decoded event");
  table.flag("raw", &options->is_raw, "The frames themselves: u32 little-endian length, frame");
  verb.run = [options] { return run(*options); };
  return verb;
}

}  // namespace standpipe::tools
