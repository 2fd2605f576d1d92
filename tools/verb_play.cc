#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>

#include "tools/play/scenario.h"
#include "tools/play_fixture.h"
#include "tools/play_run.h"
#include "tools/ready_file.h"
#include "tools/stop_signal.h"
#include "tools/verbs.h"

namespace standpipe::tools {
namespace {

constexpr const char* kName = "play";

struct PlayVerbOptions {
  PlaySource source;
  std::vector<std::string> files;
  std::string scenario;
  std::string speed;
  std::string rate;
  bool is_stepped = false;
  std::vector<std::string> until;
  std::size_t cursor_mode = 0;  // index into exclusive, inclusive, ignored
  std::uint64_t port = 0;
  std::uint64_t connections = 256;
  std::string ready_file;
  std::string report;
  std::string tls_cert;
  std::string tls_key;
};

Result<void> take_source(PlayVerbOptions& options) {
  PlaySource& source = options.source;
  if (options.files.size() > 1) return Error{Errc::invalid, "wanted one FILE"};
  if (!options.files.empty()) source.file = options.files.front();
  const int given = static_cast<int>(!source.file.empty()) +
                    static_cast<int>(!source.data.empty()) + static_cast<int>(source.is_simulation);
  if (given != 1) {
    return Error{Errc::invalid, "say what to play: one of FILE, --data DIR and --simulate"};
  }
  const bool has_range = source.from || source.to || source.epoch != 0 || !source.stream.empty();
  if (source.data.empty() && has_range) {
    return Error{Errc::invalid, "--stream, --epoch, --from and --to are of --data"};
  }
  if (source.from && source.to && *source.from > *source.to) {
    return Error{Errc::invalid, "--from is above --to"};
  }
  if (source.is_simulation != (source.frames > 0)) {
    return Error{Errc::invalid, "--simulate needs --frames N, and only --simulate has it"};
  }
  if (!source.is_simulation && (source.seed || source.accounts)) {
    return Error{Errc::invalid, "--seed and --accounts are of --simulate"};
  }
  return {};
}

Result<double> parse_factor(std::string_view option, const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  if (is_number && std::isfinite(value) && value >= 1e-6 && value <= 1e9) return value;
  return Error{Errc::invalid,
               fmt::format("--{} {}: give a number from 0.000001 to 1000000000", option, text)};
}

Result<void> take_pace(const PlayVerbOptions& options, PlayRunOptions& run) {
  const int given = static_cast<int>(!options.speed.empty()) +
                    static_cast<int>(!options.rate.empty()) + static_cast<int>(options.is_stepped);
  if (given > 1) return Error{Errc::invalid, "--speed, --rate and --stepped: give one"};
  if (options.is_stepped) run.pace = PlayPaceKind::stepped;
  if (!options.speed.empty()) {
    run.pace = PlayPaceKind::speed;
    STANDPIPE_TRY(run.factor, parse_factor("speed", options.speed));
  }
  if (!options.rate.empty()) {
    run.pace = PlayPaceKind::rate;
    STANDPIPE_TRY(run.factor, parse_factor("rate", options.rate));
  }
  return {};
}

Result<void> take_tls(const PlayVerbOptions& options, PlayRunOptions& run) {
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return Error{Errc::invalid, "--tls-cert and --tls-key go together"};
  }
  if (options.tls_cert.empty()) return {};
  constexpr std::size_t kPemBytesMax = 1 << 20;
  play::TlsIdentity identity;
  STANDPIPE_TRY(identity.certificate_pem, read_whole_file(options.tls_cert, kPemBytesMax));
  STANDPIPE_TRY(identity.key_pem, read_whole_file(options.tls_key, kPemBytesMax));
  run.tls = std::move(identity);
  return {};
}

Result<PlayRunOptions> run_options(PlayVerbOptions& options) {
  PlayRunOptions run;
  STANDPIPE_CHECK(take_source(options));
  STANDPIPE_CHECK(take_pace(options, run));
  for (const std::string& text : options.until) STANDPIPE_CHECK(parse_until(text, run.until));
  if (!options.scenario.empty()) {
    STANDPIPE_TRY(run.scenario, play::read_scenario(options.scenario));
    run.scenario_file = options.scenario;
  } else if (run.until.is_faults) {
    return Error{Errc::invalid, "--until faults needs a --scenario that has some"};
  }
  STANDPIPE_CHECK(take_tls(options, run));
  run.cursor_mode = static_cast<play::CursorMode>(options.cursor_mode);
  run.port = static_cast<std::uint16_t>(options.port);
  run.connections_max = options.connections;
  return run;
}

int fail_as(const Error& error) {
  return error.code == Errc::invalid ? fail_usage(kName, error.detail) : fail(kName, error);
}

int run(PlayVerbOptions& options) {
  auto wanted = run_options(options);
  if (!wanted) return fail_as(wanted.error());
  std::mutex mutex;  // guards what follows
  PlayRun* playing = nullptr;
  // Before the fixture: an archive that it is read from has threads that outlive it.
  const StopSignal signal([&] {
    const std::lock_guard lock(mutex);
    if (playing != nullptr) playing->stop();
  });
  auto fixture = load_fixture(options.source, signal);
  if (!fixture) return fail_as(fixture.error());
  auto started = PlayRun::start(std::move(*wanted), std::move(*fixture));
  if (!started) return fail_as(started.error());
  PlayRun& play = **started;
  const auto set_playing = [&](PlayRun* run) {
    const std::lock_guard lock(mutex);
    playing = run;
  };
  set_playing(&play);
  if (!options.ready_file.empty()) {
    const auto written = write_whole_file(options.ready_file, play.ready_text());
    if (!written) return fail(kName, written.error());
  }
  write_stdout(play.ready_text());
  std::fflush(stdout);
  play.run(signal);
  set_playing(nullptr);
  const std::string report = play.report();
  if (options.report.empty()) {
    write_stdout(report);
  } else if (const auto written = write_whole_file(options.report, report); !written) {
    return fail(kName, written.error());
  }
  const std::string missed = play.missed();
  if (!missed.empty()) return fail(kName, Error{Errc::not_found, missed});
  return finish_stdout(kName, kExitOk);
}

}  // namespace

Verb play_verb() {
  const auto options = std::make_shared<PlayVerbOptions>();
  Verb verb;
  verb.name = kName;
  verb.summary = "Serve a recording as a fixture: paced, stepped, with scripted faults";
  verb.examples =
      "  standpipe play frames.bin.zst\n"
      "  standpipe play frames.bin.zst --scenario faults.toml --until end --report report.json\n"
      "  standpipe play --data ./data --from 31527015322 --to 31527016321 --speed 10\n"
      "  standpipe play --simulate --seed 7 --frames 5000 --stepped --ready-file ready.json\n"
      "\nOn 127.0.0.1 alone. docs/fixtures.md has the language of scenarios, the report, and an\n"
      "example. By HTTP: GET /play/report, POST /play/advance?frames=N (--stepped), POST "
      "/play/stop.\n";
  OptionTable& table = verb.options;
  PlaySource& source = options->source;
  table.positional("FILE", 0, &options->files, "A frame file, as export writes it; -: stdin");
  table.text("data", "DIR", &source.data, "Frames of this archive instead");
  table.text("stream", "NAME", &source.stream, "Its stream (default: the only one)");
  table.count("epoch", &source.epoch, 1, UINT32_MAX, "Its epoch (default: the newest)");
  table.seq("from", &source.from, "Its first frame (default: the oldest)");
  table.seq("to", &source.to, "Its last frame (default: the newest)");
  table.flag("simulate", &source.is_simulation, "Frames of a simulated network instead");
  table.count("seed", &source.seed, 0, UINT64_MAX, "Which network (default 1)");
  table.count("accounts", &source.accounts, 1, 1'000'000, "Its accounts (default 1000)");
  table.count("frames", &source.frames, 1, 100'000'000, "How many frames of it");
  table.size("memory-max", &source.bytes_max, "Of the fixture, all in memory (default 1GiB)");
  table.text("scenario", "FILE", &options->scenario, "Faults: TOML, or JSON if it ends in .json");
  table.text("speed", "FACTOR", &options->speed, "So many times as fast as the frames' own clock");
  table.text("rate", "N", &options->rate, "So many frames a second");
  table.flag("stepped", &options->is_stepped, "Frames go when POST /play/advance says so");
  table.list("until", "WHAT", &options->until,
             "Ends it: end (a subscriber has all; end=N: N have), connections=N (have ended), "
             "faults (all happened), or a duration");
  table.choice("cursor-mode", {"exclusive", "inclusive", "ignored"}, &options->cursor_mode,
               "What cursor=N begins with: seqs above N, N itself, the oldest frame");
  table.count("port", &options->port, 0, 65'535, "Port to listen on (default 0: any)");
  table.count("connections", &options->connections, 1, 4'096, "Open at once (default 256)");
  table.text("ready-file", "FILE", &options->ready_file,
             "Write what is printed once it is ready here, too");
  table.text("report", "FILE", &options->report, "Write the report here (default: stdout)");
  table.text("tls-cert", "FILE", &options->tls_cert, "Speak TLS, with this PEM chain");
  table.text("tls-key", "FILE", &options->tls_key, "The key of --tls-cert, in PEM");
  verb.run = [options] { return run(*options); };
  return verb;
}

}  // namespace standpipe::tools
