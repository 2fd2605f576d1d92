#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <memory>
#include <utility>

#include "replay/server.h"
#include "tools/archive_options.h"
#include "tools/sim/host.h"
#include "tools/sim/spec.h"
#include "tools/simulate_listen.h"
#include "tools/simulation.h"
#include "tools/values.h"
#include "tools/verbs.h"

namespace standpipe::tools {
namespace {

constexpr const char* kName = "simulate";

struct SimulateOptions {
  SimulationOptions simulation;  // its network is completed by what follows
  std::uint64_t accounts = 0;    // 0: as is usual
  std::uint64_t frames = 0;
  std::int64_t span_ms = 0;
  std::uint64_t threads = 0;
  std::optional<std::int64_t> start_ms;
  std::optional<Seq> first_seq;
  std::vector<std::string> odd;
  std::vector<std::string> mix;
  std::string listen, ready_file;
  std::optional<Seq> after;
  std::string speed = "1";
  std::string version;
  bool is_overwriting = false;
  bool is_json = false;
};

template <typename Take>
Result<void> take_shares(std::string_view option, const std::vector<std::string>& texts,
                         sim::NetworkOptions& network, const Take& take) {
  for (const std::string& text : texts) {
    const auto taken = take(text, network);
    if (taken) continue;
    return Error{Errc::invalid, fmt::format("{} {}: {}", option, text, taken.error().detail)};
  }
  return {};
}

Result<sim::NetworkOptions> network_options(const SimulateOptions& options) {
  sim::NetworkOptions network = options.simulation.network;
  STANDPIPE_CHECK(take_shares("--odd", options.odd, network, sim::take_odd));
  STANDPIPE_CHECK(take_shares("--mix", options.mix, network, sim::take_mix));
  if (options.frames != 0 && options.span_ms != 0) {
    return Error{Errc::invalid, "say how much: either --frames or --span"};
  }
  network.frames = options.frames;
  if (options.span_ms != 0) {
    constexpr std::int64_t kSpanMsMax = std::int64_t{366} * 86'400'000;
    if (options.span_ms > kSpanMsMax) {
      return Error{Errc::invalid, "--span: up to 366d"};
    }
    network.frames = static_cast<std::uint64_t>(options.span_ms) * network.rate / 1000;
    if (network.frames == 0) return Error{Errc::invalid, "--span: less than one frame at --rate"};
  }
  if (options.accounts > 0) network.accounts = options.accounts;
  if (options.start_ms) network.start_ms = *options.start_ms;
  if (options.first_seq) network.first_seq = *options.first_seq;
  network.threads = options.threads;
  return network;
}

Result<void> check_free(const std::string& path, bool is_overwriting) {
  std::error_code ec;
  if (path.empty() || path == "-" || is_overwriting || !std::filesystem::exists(path, ec))
    return {};
  return Error{Errc::invalid,
               fmt::format("{} exists: choose another name, or allow --overwrite", path)};
}

// Those of add_archive_options(), as far as they change anything.
bool has_archive_options(const storage::ArchiveOptions& archive) {
  const storage::ArchiveOptions usual;
  return archive.partition_span_ms != usual.partition_span_ms ||
         archive.partition_bytes_max != usual.partition_bytes_max ||
         archive.partition_bytes_min != usual.partition_bytes_min ||
         archive.partition_age_max_ms != usual.partition_age_max_ms ||
         archive.free_bytes_min != usual.free_bytes_min ||
         archive.quarantine_bytes_max != usual.quarantine_bytes_max;
}

// Out as a live upstream. What a file needs and a host does not is not asked for.
int run_host(const SimulateOptions& options, sim::NetworkOptions network) {
  const SimulationOptions& simulation = options.simulation;
  for (const std::string* other :
       {&simulation.output, &simulation.data, &simulation.did_docs, &simulation.labels}) {
    if (other->empty()) continue;
    return fail_usage(kName, "--listen serves frames, labels and DID documents: no files of them");
  }
  for (const bool is_given :
       {simulation.stream != SimulationOptions().stream, options.is_overwriting, options.is_json,
        simulation.is_quiet, has_archive_options(simulation.archive)}) {
    if (!is_given) continue;
    return fail_usage(
        kName,
        "--stream, --overwrite, --json, --quiet and the options of an archive go with "
        "--output or --data");
  }
  sim::HostOptions host;
  const auto speed = sim::parse_speed(options.speed);
  if (!speed) return fail_usage(kName, "--speed: " + speed.error().detail);
  host.spec.speed = *speed;
  host.spec.has_start = true;
  if (!options.start_ms) network.start_ms = SystemClock::instance().now_ms() / 1000 * 1000;
  if (options.accounts == 0) network.accounts = sim::kLiveAccounts;
  host.spec.network = network;
  if (const auto checked = check_options(network); !checked) {
    return fail_usage(kName, checked.error().detail);
  }
  if (const auto checked = replay::check_listen_address(options.listen); !checked) {
    return fail_usage(kName, "--listen: " + checked.error().detail);
  }
  host.listen = options.listen;
  host.repos_after = options.after.value_or(kSeqNone);
  host.version = options.version;
  const auto served = listen_until_stopped(std::move(host), options.ready_file);
  return served ? kExitOk : fail(kName, served.error());
}

int run(const SimulateOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader who has gone is an error to be told
  auto network = network_options(options);
  if (!network) return fail_usage(kName, network.error().detail);
  if (!options.listen.empty()) return run_host(options, *network);
  SimulationOptions wanted = options.simulation;
  wanted.network = *network;
  if (wanted.output.empty() == wanted.data.empty()) {
    return fail_usage(kName,
                      "say where the frames go: --output FILE, --data DIR or --listen ADDRESS");
  }
  if (network->frames == 0) return fail_usage(kName, "say how much: either --frames or --span");
  for (const bool is_given : {!options.ready_file.empty(), options.after.has_value(),
                              options.speed != SimulateOptions().speed}) {
    if (is_given) return fail_usage(kName, "--ready-file, --after and --speed go with --listen");
  }
  if (const auto checked = check_options(*network); !checked) {
    return fail_usage(kName, checked.error().detail);
  }
  const std::vector<std::string> files = {wanted.output, wanted.did_docs, wanted.labels};
  if (std::count(files.begin(), files.end(), "-") > 1) {
    return fail_usage(kName, "standard output (-) can be written once");
  }
  for (const std::string& path : files) {
    const auto is_free = check_free(path, options.is_overwriting);
    if (!is_free) return fail(kName, is_free.error());
  }
  Simulation simulation(std::move(wanted));
  const auto simulated = simulation.run();
  if (!simulated) return fail(kName, simulated.error());
  const std::string summary = options.is_json ? simulation.json_line() : simulation.text();
  if (std::count(files.begin(), files.end(), "-") > 0) {
    fmt::print(stderr, "{}", summary);
    return finish_stdout(kName, kExitOk);
  }
  write_stdout(summary);
  return finish_stdout(kName, kExitOk);
}

}  // namespace

Verb simulate_verb(std::string_view version) {
  const auto options = std::make_shared<SimulateOptions>();
  Verb verb;
  options->version = version;
  verb.name = kName;
  verb.summary = "Generate the firehose of a network that does not exist, the same for each seed";
  verb.examples =
      "  standpipe simulate --seed 1 --frames 1000000 --output sim.bin.zst\n"
      "  standpipe simulate --seed 1 --span 1h --data /tmp/sim --did-docs did_docs.json\n"
      "  standpipe simulate --frames 20000 --output odd.bin.zst --odd legacy=20 --odd did-web\n"
      "  standpipe simulate --listen 127.0.0.1:2583 --rate 50     (ws://127.0.0.1:2583)\n"
      "\nWhat is odd, and off by default: legacy, empty, too-big, long-key, non-canonical, did-web,"
      "\nbig-record, many-ops, takedown, deletion, rev-back, info.\n";
  OptionTable& table = verb.options;
  table.text("output", "FILE", &options->simulation.output, "The frame file to write; -: stdout");
  table.text("data", "DIR", &options->simulation.data,
             "The archive to write to instead; made if none");
  table.text("stream", "NAME", &options->simulation.stream,
             "The stream of --data, new or begun with the same options (default repos)");
  table.text("listen", "ADDR", &options->listen,
             "Or be a host at this address: subscribeRepos, subscribeLabels, GET /did:...");
  table.count("seed", &options->simulation.network.seed, 0, UINT64_MAX,
              "Which network (default 1)");
  table.count("frames", &options->frames, 1, 100'000'000'000, "How many frames");
  table.duration_ms("span", &options->span_ms, "Or how much time, at --rate");
  table.count("rate", &options->simulation.network.rate, 1, sim::kRateMax,
              "Frames a second of simulated time (default 342)");
  table.count("bursts", &options->simulation.network.burst_rate, 1, sim::kRateMax,
              "Frames a second in bursts, of 2 s each minute or so (default: no bursts)");
  table.count("accounts", &options->accounts, 1, sim::kAccountsMax,
              "Accounts held at a time, of 10 KB (default 100000, as a host 5000)");
  table.time_ms("start", &options->start_ms,
                "When it begins (default 2026-07-01T00:00:00Z, as a host now)");
  table.seq("first-seq", &options->first_seq, "The first frame's seq (default 1)");
  table.list("mix", "KIND=N", &options->mix,
             "Frames of a thousand: identity=8, account=3, sync=1, the rest are commits; and "
             "labels=5, of a thousand commits");
  table.list("odd", "KIND[=N]", &options->odd,
             "Frames (did-web: accounts) of a thousand that are odd (5 where N is left out)");
  table.count("threads", &options->threads, 1, sim::kThreadsMax,
              "Threads that make frames; the frames do not depend on it (default: cores)");
  table.text("did-docs", "FILE", &options->simulation.did_docs,
             "Write the DID documents of all accounts, and of the labeler; -: stdout");
  table.text("labels", "FILE", &options->simulation.labels,
             "Write the frames of the network's labeler, too; -: stdout");
  table.text("speed", "N|max", &options->speed,
             "As a host: times the speed of the clock on the wall (default 1)");
  table.seq("after", &options->after, "As a host: frames up to this seq have appeared (default 0)");
  table.text("ready-file", "FILE", &options->ready_file,
             "As a host: write {\"listen\": [...], \"pid\": N} there once it listens");
  table.flag("overwrite", &options->is_overwriting, "Replace files that exist");
  add_archive_options(table, options->simulation.archive);
  table.flag("json", &options->is_json, "Print the summary as JSON");
  table.flag("quiet", &options->simulation.is_quiet, "Show no progress");
  verb.run = [options] { return run(*options); };
  return verb;
}

}  // namespace standpipe::tools
