#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "storage/options.h"
#include "storage/repair.h"
#include "tools/progress.h"
#include "tools/values.h"
#include "tools/verbs.h"

namespace standpipe::tools {
namespace {

constexpr const char* kName = "repair";

struct RepairOptions {
  std::string data, into;
  bool accepts_loss = false;
  storage::ArchiveOptions archive;  // of which only the room that is to remain counts
  bool is_json = false;
  bool is_quiet = false;
};

using nlohmann::json;
namespace fs = std::filesystem;

std::string default_target(const std::string& data) {
  fs::path path = fs::path(data).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "DIR/"
  return path.string() + ".repaired";
}

// The seqs that it names, both ends among them.
std::string range_of(const storage::RepairLoss& loss) {
  const Seq first = next(loss.after);
  const Seq last = previous(loss.before);
  if (first == last) return fmt::format("seq {}", to_int(first));
  return fmt::format("seqs {} to {}", to_int(first), to_int(last));
}

json to_json(const storage::RepairReport& report, const std::string& made) {
  json out = {{"whole", report.is_whole()}, {"frames", report.frames},     {"bytes", report.bytes},
              {"damages", json::array()},   {"partitions", json::array()}, {"lost", json::array()},
              {"remarks", report.remarks}};
  for (const storage::RepairDamage& damage : report.damages) {
    out["damages"].push_back(
        {{"file", damage.file}, {"family", damage.container}, {"what", damage.what}});
  }
  for (const storage::RepairPartition& partition : report.partitions) {
    json told = {{"id", to_int(partition.id)},       {"stream", partition.stream},
                 {"epoch", to_int(partition.epoch)}, {"family", partition.container},
                 {"first", to_int(partition.first)}, {"last", to_int(partition.last)},
                 {"frames", partition.frames},       {"whole", partition.is_whole}};
    if (partition.frames_recorded) told["frames_recorded"] = *partition.frames_recorded;
    out["partitions"].push_back(std::move(told));
  }
  for (const storage::RepairLoss& loss : report.losses) {
    out["lost"].push_back({{"stream", loss.stream},
                           {"epoch", to_int(loss.epoch)},
                           {"after", to_int(loss.after)},
                           {"before", to_int(loss.before)},
                           {"asked_again", loss.is_asked_again}});
  }
  if (!made.empty()) out["repaired"] = made;
  return out;
}

std::string to_text(const storage::RepairReport& report, const RepairOptions& options,
                    const std::string& made) {
  if (report.is_whole()) {
    return fmt::format("{} is whole: {} frames in {} partitions; there is nothing to repair\n",
                       options.data, format_count(report.frames), report.partitions.size());
  }
  std::string out;
  for (const storage::RepairDamage& damage : report.damages) {
    const std::string family =
        damage.container.empty() ? "" : fmt::format(" ({})", damage.container);
    out += fmt::format("damaged  {}{}: {}\n", damage.file, family, one_line(damage.what));
  }
  for (const storage::RepairPartition& partition : report.partitions) {
    const std::string of = partition.frames_recorded && !partition.is_whole
                               ? fmt::format(" of {}", format_count(*partition.frames_recorded))
                               : std::string();
    out += fmt::format("{}  stream {}, epoch {}, partition {}, seqs {} to {}: {}{} frames\n",
                       partition.is_whole ? "whole  " : "partly ", partition.stream,
                       to_int(partition.epoch), to_int(partition.id), to_int(partition.first),
                       to_int(partition.last), format_count(partition.frames), of);
  }
  for (const storage::RepairLoss& loss : report.losses) {
    out += fmt::format("lost     stream {}, epoch {}, {}{}\n", loss.stream, to_int(loss.epoch),
                       range_of(loss),
                       loss.is_asked_again ? ": upstream is asked for them again" : "");
  }
  for (const std::string& remark : report.remarks) out += fmt::format("note     {}\n", remark);
  if (!made.empty()) {
    out += fmt::format("made     {}: {} frames; {} is as it was\n", made,
                       format_count(report.frames), options.data);
  } else {
    out += fmt::format(
        "nothing was changed; --accept-loss makes an archive of the {} frames that "
        "are whole\n",
        format_count(report.frames));
  }
  return out;
}

storage::RepairProgress shown_by(Progress& progress) {
  return [&progress](std::uint64_t done, std::uint64_t total) {
    const double fraction = total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
    progress.update({0, done, fraction});
  };
}

int run(const RepairOptions& options) {
  if (!options.into.empty() && !options.accepts_loss) {
    return fail_usage(kName, "--into is where --accept-loss writes: it goes with that alone");
  }
  Progress reading = Progress::on_stderr("repair: reading", options.is_quiet);
  const auto repair =
      storage::Repair::examine(options.data, SystemClock::instance(), shown_by(reading));
  reading.finish();
  if (!repair) return fail(kName, repair.error());
  const storage::RepairReport& report = (*repair)->report();
  std::string made;
  if (options.accepts_loss && !report.is_whole()) {
    made = options.into.empty() ? default_target(options.data) : options.into;
    Progress writing = Progress::on_stderr("repair: writing", options.is_quiet);
    const Result<void> written =
        (*repair)->write(made, options.archive.free_bytes_min, shown_by(writing));
    writing.finish();
    if (!written) return fail(kName, written.error());
  }
  if (options.is_json) {
    write_stdout(to_json(report, made).dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  } else if (!options.is_quiet) {
    write_stdout(to_text(report, options, made));
  }
  return finish_stdout(kName, report.is_whole() || !made.empty() ? kExitOk : kExitFailed);
}

}  // namespace

Verb repair_verb() {
  const auto options = std::make_shared<RepairOptions>();
  Verb verb;
  verb.name = kName;
  verb.summary = "Say what of a damaged archive is whole, and make another archive of that";
  verb.examples =
      "  standpipe repair --data /srv/standpipe\n"
      "  standpipe repair --data /srv/standpipe --accept-loss --into /srv/standpipe.repaired\n";
  verb.options.text("data", "DIR", &options->data,
                    "The archive; nobody may write to it meanwhile. Nothing in it is changed");
  verb.options.required();
  verb.options.flag("accept-loss", &options->accepts_loss,
                    "Write an archive of all that is whole, in which the rest is a gap `lost`");
  verb.options.text("into", "DIR", &options->into,
                    "Where: an empty directory, or none yet (default: that of --data with "
                    ".repaired after its name)");
  verb.options.size("min-free", &options->archive.free_bytes_min,
                    fmt::format("Begin only if this much room remains (default {})",
                                format_size(options->archive.free_bytes_min)));
  verb.options.flag("json", &options->is_json, "Print JSON");
  verb.options.flag("quiet", &options->is_quiet, "No progress, and nothing said in the end");
  verb.run = [options] { return run(*options); };
  return verb;
}

}  // namespace standpipe::tools
