#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "tools/control_routes.h"
#include "tools/held_archive.h"
#include "tools/verbs.h"

namespace standpipe::tools {
namespace {

constexpr const char* kName = "epoch new";

struct EpochOptions {
  std::string data;
  std::string stream;
  std::string reason;
  bool is_json = false;
};

// In an archive that nobody holds.
Result<storage::EpochNumber> begin_here(const EpochOptions& options) {
  storage::ArchiveOptions archive_options;
  archive_options.create_if_missing = false;
  STANDPIPE_TRY(HeldArchive held, HeldArchive::open(options.data, archive_options, {}));
  STANDPIPE_TRY(const Place place, view_of(held.archive())->locate(options.stream, {}));
  const auto stream = held.archive().find_stream(place.stream);
  if (!stream) return Error{Errc::not_found, fmt::format("no stream '{}'", place.stream)};
  STANDPIPE_TRY(const auto begun, held.archive().begin_epoch(stream->id, options.reason));
  STANDPIPE_CHECK(held.close());
  return begun.number;
}

Result<storage::EpochNumber> begin(const EpochOptions& options) {
  auto begun = begin_here(options);
  if (begun || begun.error().code != Errc::busy) return begun;
  auto asked = call_begin_epoch(options.data, options.stream, options.reason);
  if (asked || asked.error().code != Errc::not_found) return asked;
  // Nobody answers at the socket: who holds the archive is the better answer, unless it was the
  // holder that did not know the stream.
  const auto health = control_call(options.data, {"GET", "/health", ""});
  return health ? asked.error() : begun.error();
}

int run(const EpochOptions& options) {
  if (options.reason.size() > kReasonBytesMax) {
    return fail_usage(kName, fmt::format("--reason: {} bytes; at most {} are allowed",
                                         options.reason.size(), kReasonBytesMax));
  }
  const auto begun = begin(options);
  if (!begun) return fail(kName, begun.error());
  if (options.is_json) {
    const nlohmann::json out = {{"stream", options.stream}, {"epoch", to_int(*begun)}};
    write_stdout(out.dump() + "\n");
  } else {
    write_stdout(fmt::format("epoch {} of {} has begun\n", to_int(*begun), options.stream));
  }
  return finish_stdout(kName, kExitOk);
}

}  // namespace

Verb epoch_new_verb() {
  const auto options = std::make_shared<EpochOptions>();
  Verb verb;
  verb.name = kName;
  verb.summary = "Begin a new epoch: the upstream numbers its frames anew";
  verb.examples =
      "  standpipe epoch new --data /srv/standpipe --stream repos --reason \"relay rebuilt\"\n";
  verb.options.text("data", "DIR", &options->data, "The archive");
  verb.options.required();
  verb.options.text("stream", "NAME", &options->stream, "The stream");
  verb.options.required();
  verb.options.text("reason", "TEXT", &options->reason, "Why; kept with the epoch");
  verb.options.required();
  verb.options.flag("json", &options->is_json, "Print JSON");
  verb.run = [options] { return run(*options); };
  return verb;
}

}  // namespace standpipe::tools
