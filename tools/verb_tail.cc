#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <memory>
#include <utility>

#include "tools/frame_json.h"
#include "tools/selection.h"
#include "tools/tail_url.h"
#include "tools/values.h"
#include "tools/verbs.h"

namespace standpipe::tools {
namespace {

constexpr const char* kName = "tail";

struct TailOptions {
  SelectionOptions selection;
  std::vector<std::string> urls;
  std::size_t kind = 0;  // index into repos, labels
  std::string tls_ca;
  std::string version;
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

// A stream over the network, as it comes.
int run_url(const TailOptions& options) {
  const SelectionOptions& selection = options.selection;
  if (!selection.data.empty() || options.urls.size() > 1) {
    return fail_usage(kName, "wanted one URL, or --data DIR");
  }
  if (!selection.stream.empty() || selection.epoch != 0) {
    return fail_usage(kName,
                      "--stream and --epoch are of --data; of a URL they are in its path, "
                      "as in ws://HOST/stream/NAME/epoch/N");
  }
  const auto kind =
      options.kind == 0 ? firehose::UpstreamKind::repos : firehose::UpstreamKind::labels;
  auto url = firehose::parse_upstream_url(options.urls.front(), kind);
  if (!url) return fail_usage(kName, url.error().detail);
  TailUrlOptions tail;
  tail.url = std::move(*url);
  tail.ws.user_agent = "standpipe/" + options.version;
  tail.ws.tls_ca_file = options.tls_ca;
  tail.cursor = selection.after;
  tail.from_ms = selection.from_ms;
  tail.until = selection.until;
  tail.wanted = {selection.dids, selection.collections};
  const auto tailed = tail_url(tail, [&](const ViewFrame& frame) -> Result<void> {
    STANDPIPE_CHECK(print(options, frame));
    std::fflush(stdout);  // whoever reads a live stream does not want to wait for a full buffer
    return {};
  });
  if (!tailed) return fail(kName, tailed.error());
  return finish_stdout(kName, kExitOk);
}

int run(const TailOptions& options) {
  if (options.is_json && options.is_raw) return fail_usage(kName, "give one of --json and --raw");
  if (options.selection.after && options.selection.from_ms) {
    return fail_usage(kName, "--cursor and --time both say where to begin: give one");
  }
  auto filter = check_selection(options.selection);
  if (!filter) return fail_usage(kName, filter.error().detail);
  if (!options.urls.empty()) return run_url(options);
  if (options.selection.data.empty()) return fail_usage(kName, "wanted a URL, or --data DIR");
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

Verb tail_verb(std::string_view version) {
  const auto options = std::make_shared<TailOptions>();
  options->version = version;
  Verb verb;
  verb.name = kName;
  verb.summary = "Print the frames of an archive up to the newest, or of a URL as they come";
  verb.examples =
      "  standpipe tail --data /srv/standpipe\n"
      "  standpipe tail --data /srv/standpipe --cursor 31527015321 --json\n"
      "  standpipe tail --data /srv/standpipe --time 2026-07-04T14:38:00Z \\\n"
      "      --collection app.bsky.feed.post --collection 'app.bsky.graph.*'\n"
      "  standpipe tail --data /srv/standpipe --raw | zstd > frames.bin.zst\n"
      "  standpipe tail bsky.network --collection app.bsky.feed.post --json\n"
      "  standpipe tail ws://127.0.0.1:2480 --cursor 0 --until 31527015321\n";
  OptionTable& table = verb.options;
  table.positional("URL", 0, &options->urls, "A stream to read instead of --data: HOST, ws://HOST");
  add_selection_options(table, options->selection, /*needs_data=*/false);
  table.choice("kind", {"repos", "labels"}, &options->kind, "What the URL carries");
  table.text("tls-ca", "FILE", &options->tls_ca, "Trust the certificates in this PEM file, too");
  table.seq("cursor", &options->selection.after,
            "Begin behind this seq (default: at the oldest; of a URL: with what comes)");
  table.time_ms("time", &options->selection.from_ms,
                "Begin at this time of the archive's clock (of URLs only a standpipe knows it)");
  table.flag("json", &options->is_json, "A JSON object a line, with the decoded event");
  table.flag("raw", &options->is_raw, "The frames themselves: u32 little-endian length, frame");
  verb.run = [options] { return run(*options); };
  return verb;
}

}  // namespace standpipe::tools
