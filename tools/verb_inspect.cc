#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "tools/archive_view.h"
#include "tools/describe.h"
#include "tools/frame_json.h"
#include "tools/values.h"
#include "tools/verbs.h"

namespace standpipe::tools {
namespace {

constexpr const char* kName = "inspect";

struct InspectOptions {
  std::vector<std::string> what;  // nothing, or "frame" and a seq
  std::string data;
  std::string stream;
  std::uint64_t epoch = 0;  // 0: the newest
  bool is_checking = false;
  bool has_hex = false;
  bool is_json = false;
};

// Why a seq is absent: silence would leave the user to guess.
Error absent(ArchiveView& view, const Place& place, Seq seq) {
  std::string why = "it is not in the ledger of gaps either: the stream does not number densely";
  if (seq > place.newest) {
    why = fmt::format("the newest is {}", to_int(place.newest));
  } else if (const auto gaps = view.gaps(place, previous(seq), next(seq), 1); !gaps) {
    why = gaps.error().detail;
  } else if (!gaps->empty()) {
    const storage::Gap& gap = gaps->front();
    why = fmt::format("it is in the gap after {} before {} ({}{}{})", to_int(gap.after),
                      to_int(gap.before), storage::to_string(gap.reason),
                      gap.detail.empty() ? "" : ": ", gap.detail);
  } else if (seq <= place.window_floor) {
    why = fmt::format("the archive begins after {}", to_int(place.window_floor));
  }
  return Error{Errc::not_found, fmt::format("no frame {} in {} epoch {}: {}", to_int(seq),
                                            place.stream, to_int(place.epoch), why)};
}

Result<void> print_frame(ArchiveView& view, const InspectOptions& options, Seq seq) {
  std::optional<storage::EpochNumber> epoch;
  if (options.epoch != 0) epoch = storage::EpochNumber{static_cast<std::uint32_t>(options.epoch)};
  STANDPIPE_TRY(const Place place, view.locate(options.stream, epoch));
  STANDPIPE_TRY(const FramePage page, view.read_after(place, previous(seq), seq));
  if (page.frames.empty()) return absent(view, place, seq);
  const FrameDetail detail{&place, options.has_hex};
  const ViewFrame& frame = page.frames.front();
  write_stdout(options.is_json ? frame_detail_as_json(frame, detail)
                               : frame_detail_as_text(frame, detail));
  return {};
}

Result<void> print_archive(ArchiveView& view, const InspectOptions& options) {
  STANDPIPE_TRY(std::string description, view.describe(options.stream));
  if (options.is_checking) STANDPIPE_CHECK(view.verify());
  if (!options.is_json) {
    STANDPIPE_TRY(const std::string text, describe_as_text(description));
    write_stdout(text);
    if (options.is_checking) write_stdout("checked: every stored byte matches its checksums\n");
    return {};
  }
  nlohmann::json out = nlohmann::json::parse(description, nullptr, false);
  if (options.is_checking && out.is_object()) out["checked"] = true;
  write_stdout(out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  return {};
}

int run(const InspectOptions& options) {
  std::optional<Seq> seq;
  if (!options.what.empty()) {
    if (options.what.size() != 2 || options.what.front() != "frame") {
      return fail_usage(kName, "what to inspect is either nothing, or: frame SEQ");
    }
    const auto parsed = parse_seq(options.what.back());
    if (!parsed) return fail_usage(kName, parsed.error().detail);
    if (*parsed == kSeqNone) return fail_usage(kName, "0 is a position before every frame");
    if (options.is_checking) return fail_usage(kName, "--check is for the whole archive");
    seq = *parsed;
  } else if (options.has_hex || options.epoch != 0) {
    return fail_usage(kName, "--hex and --epoch go with: frame SEQ");
  }
  auto view = open_view(options.data);
  if (!view) return fail(kName, view.error());
  const auto printed = seq ? print_frame(**view, options, *seq) : print_archive(**view, options);
  if (!printed) return fail(kName, printed.error());
  return finish_stdout(kName, kExitOk);
}

}  // namespace

Verb inspect_verb() {
  const auto options = std::make_shared<InspectOptions>();
  Verb verb;
  verb.name = kName;
  verb.summary = "Show what an archive holds, or one frame of it";
  verb.examples =
      "  standpipe inspect --data /srv/standpipe\n"
      "  standpipe inspect --data /srv/standpipe --json | jq '.streams[].epochs[].gaps'\n"
      "  standpipe inspect --data /srv/standpipe --check\n"
      "  standpipe inspect frame 31527015322 --data /srv/standpipe --hex\n";
  OptionTable& table = verb.options;
  table.text("data", "DIR", &options->data, "The archive");
  table.required();
  table.positional("WHAT", 0, &options->what, "frame SEQ: that frame, decoded");
  table.text("stream", "NAME", &options->stream, "The stream (default: all; of a frame: the only)");
  table.count("epoch", &options->epoch, 1, UINT32_MAX, "Of a frame: its epoch (default: newest)");
  table.flag("check", &options->is_checking, "Re-read every stored byte against its checksums");
  table.flag("hex", &options->has_hex, "Of a frame: its bytes, too");
  table.flag("json", &options->is_json, "Print JSON");
  verb.run = [options] { return run(*options); };
  return verb;
}

}  // namespace standpipe::tools
