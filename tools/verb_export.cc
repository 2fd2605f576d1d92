#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "storage/frame_file.h"
#include "tools/progress.h"
#include "tools/selection.h"
#include "tools/values.h"
#include "tools/verbs.h"

namespace standpipe::tools {
namespace {

using nlohmann::json;

constexpr const char* kName = "export";

struct ExportOptions {
  SelectionOptions selection;
  std::string output;
  std::uint64_t zstd_level = 3;
  bool is_overwriting = false;
  bool is_json = false;
  bool is_quiet = false;
};

struct ExportTotals {
  WalkTotals walked;
  Seq first = kSeqNone;
  Seq last = kSeqNone;
  std::vector<storage::Gap> passed;
  std::uint64_t file_bytes = 0;
};

Result<void> check_output(const ExportOptions& options) {
  std::error_code ec;
  if (options.output == "-" || options.is_overwriting ||
      !std::filesystem::exists(options.output, ec)) {
    return {};
  }
  return Error{
      Errc::invalid,
      fmt::format("{} exists: choose another --output, or allow --overwrite", options.output)};
}

Result<ExportTotals> export_all(const ExportOptions& options, FrameFilter filter) {
  STANDPIPE_TRY(Selection selection, open_selection(options.selection, std::move(filter)));
  STANDPIPE_TRY(auto writer, storage::FrameFileWriter::create(
                                 options.output, static_cast<int>(options.zstd_level)));
  Progress progress = Progress::on_stderr("export", options.is_quiet);
  ExportTotals totals;
  WalkCalls calls;
  calls.frame = [&](const ViewFrame& frame) {
    if (totals.first == kSeqNone) totals.first = frame.seq;
    totals.last = frame.seq;
    return writer.write(frame.bytes);
  };
  calls.passed = [&](const storage::Gap& gap) -> Result<void> {
    totals.passed.push_back(gap);
    return {};
  };
  calls.progress = [&](const WalkTotals& walked, double fraction) {
    progress.update({walked.read, walked.bytes, fraction});
  };
  auto walked = walk(selection, calls);
  progress.finish();
  if (!walked) return walked.error();
  STANDPIPE_CHECK(writer.finish());
  totals.walked = *walked;
  totals.file_bytes = writer.file_bytes_written();
  return totals;
}

std::string summary_text(const ExportOptions& options, const ExportTotals& totals) {
  std::string out = fmt::format(
      "{}: {} of {} frames, seq {} .. {}, {} stored as {}\n", options.output,
      format_count(totals.walked.passed), format_count(totals.walked.read), to_int(totals.first),
      to_int(totals.last), format_size(totals.walked.bytes), format_size(totals.file_bytes));
  for (const storage::Gap& gap : totals.passed) {
    out += fmt::format("  not held any more: after {} before {} ({})\n", to_int(gap.after),
                       to_int(gap.before), storage::to_string(gap.reason));
  }
  return out;
}

std::string summary_json(const ExportOptions& options, const ExportTotals& totals) {
  json passed = json::array();
  for (const storage::Gap& gap : totals.passed) {
    passed.push_back({{"after", to_int(gap.after)},
                      {"before", to_int(gap.before)},
                      {"reason", storage::to_string(gap.reason)}});
  }
  const bool is_empty = totals.walked.passed == 0;
  const json out = {{"output", options.output},
                    {"frames", totals.walked.passed},
                    {"frames_read", totals.walked.read},
                    {"first", is_empty ? json() : json(to_int(totals.first))},
                    {"last", is_empty ? json() : json(to_int(totals.last))},
                    {"file_bytes", totals.file_bytes},
                    {"not_held", std::move(passed)}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

int run(const ExportOptions& options) {
  if (options.selection.after && options.selection.from_ms) {
    return fail_usage(kName, "--after and --from-time both say where to begin: give one");
  }
  auto filter = check_selection(options.selection);
  if (!filter) return fail_usage(kName, filter.error().detail);
  if (auto free = check_output(options); !free) return fail(kName, free.error());
  const auto totals = export_all(options, std::move(*filter));
  if (!totals) return fail(kName, totals.error());
  // With the frames on stdout, the account of them goes where it does not mix with them.
  const std::string summary =
      options.is_json ? summary_json(options, *totals) : summary_text(options, *totals);
  if (options.output == "-") {
    fmt::print(stderr, "{}", summary);
    return kExitOk;
  }
  write_stdout(summary);
  return finish_stdout(kName, kExitOk);
}

}  // namespace

Verb export_verb() {
  const auto options = std::make_shared<ExportOptions>();
  Verb verb;
  verb.name = kName;
  verb.summary = "Write frames of an archive to a frame file";
  verb.examples =
      "  standpipe export --data /srv/standpipe --output all.bin.zst\n"
      "  standpipe export --data /srv/standpipe --output day.bin.zst \\\n"
      "      --from-time 2026-07-04T00:00:00Z --to-time 2026-07-05T00:00:00Z\n"
      "  standpipe export --data /srv/standpipe --output posts.bin.zst --after 31527015321 \\\n"
      "      --until 31527015471 --collection app.bsky.feed.post\n"
      "\nThe file has its name once it is complete. Times are the archive's clock, and cut "
      "between\n"
      "groups: a few frames before --from-time may come along.\n";
  OptionTable& table = verb.options;
  add_selection_options(table, options->selection);
  table.text("output", "FILE", &options->output, "The file to write; -: stdout");
  table.required();
  table.seq("after", &options->selection.after, "Begin behind this seq (default: at the oldest)");
  table.time_ms("from-time", &options->selection.from_ms, "Begin at this time");
  table.time_ms("to-time", &options->selection.to_ms, "End before this time");
  table.count("zstd-level", &options->zstd_level, 1, 19, "Compression, 1 to 19 (default 3)");
  table.flag("overwrite", &options->is_overwriting, "Replace --output if it exists");
  table.flag("json", &options->is_json, "Print the summary as JSON");
  table.flag("quiet", &options->is_quiet, "Show no progress");
  verb.run = [options] { return run(*options); };
  return verb;
}

}  // namespace standpipe::tools
