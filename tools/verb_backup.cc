#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "tools/backup.h"
#include "tools/progress.h"
#include "tools/values.h"
#include "tools/verbs.h"

namespace standpipe::tools {
namespace {

struct CopyOptions {
  std::string from, to;
  bool is_json = false;
  bool is_quiet = false;
};

// Either verb: both copy an archive.
int run(const char* name, const CopyOptions& options, decltype(&back_up) copy) {
  Progress progress = Progress::on_stderr(name, options.is_quiet);
  const auto copied =
      copy(options.from, options.to, [&progress](std::uint64_t done, std::uint64_t total) {
        const double fraction =
            total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
        progress.update({0, done, fraction});
      });
  progress.finish();
  if (!copied) return fail(name, copied.error());
  if (options.is_json) {
    const nlohmann::json out = {{"copy", copied->copy.string()},
                                {"tables", copied->tables},
                                {"tables_new", copied->tables_new},
                                {"bytes", copied->bytes},
                                {"bytes_copied", copied->bytes_copied}};
    write_stdout(out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  } else if (!options.is_quiet) {
    write_stdout(fmt::format("{}: {} in {} tables, of which {} new; {} copied, the rest linked\n",
                             copied->copy.string(), format_size(copied->bytes), copied->tables,
                             copied->tables_new, format_size(copied->bytes_copied)));
  }
  return finish_stdout(name, kExitOk);
}

void add_common_options(OptionTable& table, CopyOptions& options) {
  table.flag("json", &options.is_json, "Print JSON");
  table.flag("quiet", &options.is_quiet, "No progress, and nothing said in the end");
}

}  // namespace

Verb backup_verb() {
  const auto options = std::make_shared<CopyOptions>();
  Verb verb;
  verb.name = "backup";
  verb.summary = "Copy an archive, also one that is being written; again: only what is new";
  verb.examples =
      "  standpipe backup --data /srv/standpipe --output /backup/standpipe\n"
      "  standpipe verify --data /backup/standpipe/current\n";
  verb.options.text("data", "DIR", &options->from, "The archive");
  verb.options.required();
  verb.options.text("output", "DIR", &options->to,
                    "The backup: a directory of its own; made if there is none. Its newest copy is "
                    "DIR/current, an archive like any other");
  verb.options.required();
  add_common_options(verb.options, *options);
  verb.run = [options] { return run("backup", *options, &back_up); };
  return verb;
}

Verb restore_verb() {
  const auto options = std::make_shared<CopyOptions>();
  Verb verb;
  verb.name = "restore";
  verb.summary = "Make an archive of a backup; a mirror on it goes on from where the backup ends";
  verb.examples =
      "  standpipe restore --from /backup/standpipe --data /srv/standpipe\n"
      "  standpipe mirror --data /srv/standpipe\n";
  verb.options.text("from", "DIR", &options->from, "The backup, or an archive nobody writes to");
  verb.options.required();
  verb.options.text("data", "DIR", &options->to,
                    "The archive to be: an empty directory, or none yet");
  verb.options.required();
  add_common_options(verb.options, *options);
  verb.run = [options] { return run("restore", *options, &restore); };
  return verb;
}

}  // namespace standpipe::tools
