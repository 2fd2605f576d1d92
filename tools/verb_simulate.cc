#include <fmt/format.h>

#include <array>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "storage/frame_file.h"
#include "tools/archive_options.h"
#include "tools/held_archive.h"
#include "tools/import_run.h"
#include "tools/progress.h"
#include "tools/sim/did_docs.h"
#include "tools/sim/network.h"
#include "tools/sim/report.h"
#include "tools/sim/spec.h"
#include "tools/stop_signal.h"
#include "tools/values.h"
#include "tools/verbs.h"

namespace standpipe::tools {
namespace {

using nlohmann::json;

constexpr const char* kName = "simulate";

struct SimulateOptions {
  sim::NetworkOptions network;
  std::uint64_t frames = 0;
  std::int64_t span_ms = 0;
  std::uint64_t threads = 0;
  std::optional<std::int64_t> start_ms;
  std::optional<Seq> first_seq;
  std::vector<std::string> odd;
  std::vector<std::string> mix;
  std::string output;
  std::string data;
  std::string stream = "repos";
  std::string did_docs;
  storage::ArchiveOptions archive;
  bool is_overwriting = false;
  bool is_json = false;
  bool is_quiet = false;
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
  sim::NetworkOptions network = options.network;
  STANDPIPE_CHECK(take_shares("--odd", options.odd, network, sim::take_odd));
  STANDPIPE_CHECK(take_shares("--mix", options.mix, network, sim::take_mix));
  if ((options.frames == 0) == (options.span_ms == 0)) {
    return Error{Errc::invalid, "say how much: either --frames or --span"};
  }
  network.frames = options.frames;
  if (options.frames == 0) {
    constexpr std::int64_t kSpanMsMax = std::int64_t{366} * 86'400'000;
    if (options.span_ms > kSpanMsMax) {
      return Error{Errc::invalid, "--span: up to 366d"};
    }
    network.frames = static_cast<std::uint64_t>(options.span_ms) * network.rate / 1000;
    if (network.frames == 0) return Error{Errc::invalid, "--span: less than one frame at --rate"};
  }
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

// What becomes of the frames.
using Take = std::function<Result<void>(ByteView frame)>;

class Simulation {
 public:
  Simulation(const SimulateOptions& options, std::unique_ptr<sim::Network> network,
             std::uint64_t frames)
      : options_(options),
        network_(std::move(network)),
        frames_(frames),
        progress_(Progress::on_stderr("simulate", options.is_quiet)) {}

  Result<void> run() {
    STANDPIPE_CHECK(options_.data.empty() ? to_file() : to_archive());
    if (options_.did_docs.empty()) return {};
    STANDPIPE_TRY(did_docs_, sim::write_did_docs(*network_, options_.did_docs));
    return {};
  }

  std::string text() const {
    const std::string where = options_.data.empty() ? options_.output : options_.data;
    std::string out = fmt::format("{}: {} frames, {}, seed {}, {} accounts\n", where,
                                  format_count(report_.frames()), format_size(report_.bytes()),
                                  options_.network.seed, format_count(network_->accounts()));
    if (!options_.did_docs.empty()) {
      out += fmt::format("{}: {} DID documents\n", options_.did_docs, format_count(did_docs_));
    }
    return out + sim::to_text(report_.figures());
  }

  std::string json_line() const {
    json figures = json::array();
    for (const sim::Figure& figure : report_.figures()) {
      figures.push_back({{"name", figure.name},
                         {"unit", figure.unit},
                         {"simulated", figure.simulated},
                         {"real", figure.real}});
    }
    json operations = json::object();
    for (const auto& [name, count] : report_.operations()) operations[name] = count;
    const json out = {{"output", options_.data.empty() ? options_.output : options_.data},
                      {"seed", options_.network.seed},
                      {"frames", report_.frames()},
                      {"bytes", report_.bytes()},
                      {"accounts", network_->accounts()},
                      {"did_docs", did_docs_},
                      {"operations", std::move(operations)},
                      {"figures", std::move(figures)}};
    return out.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  }

 private:
  Result<void> take_all(const StopSignal& signal, const Take& take) {
    while (auto frame = network_->next()) {
      if (signal.was_raised()) {
        return Error{Errc::closed,
                     fmt::format("stopped by a signal after {} of {} frames",
                                 format_count(report_.frames()), format_count(frames_))};
      }
      STANDPIPE_CHECK(take(frame->bytes));
      STANDPIPE_CHECK(report_.take(frame->bytes));
      progress_.update({report_.frames(), report_.bytes(),
                        static_cast<double>(report_.frames()) / static_cast<double>(frames_)});
    }
    return {};
  }

  Result<void> to_file() {
    const StopSignal signal([] {});
    STANDPIPE_TRY(auto writer, storage::FrameFileWriter::create(options_.output));
    auto taken = take_all(signal, [&](ByteView frame) { return writer.write(frame); });
    progress_.finish();
    if (!taken) return taken;
    return writer.finish();
  }

  Result<void> to_archive() {
    const StopSignal signal([] {});
    STANDPIPE_TRY(HeldArchive held,
                  HeldArchive::open(options_.data, options_.archive, [](std::string_view) {}));
    auto taken = append(held.archive(), signal);
    progress_.finish();
    auto closed = held.close();
    return taken ? closed : taken;
  }

  Result<void> append(storage::Archive& archive, const StopSignal& signal) {
    storage::StreamSpec spec;
    spec.name = options_.stream;
    spec.url = "sim:";
    spec.density = storage::Density::dense;
    STANDPIPE_TRY(const storage::StreamInfo stream, archive.ensure_stream(spec, false));
    STANDPIPE_TRY(storage::Appender appender, archive.appender(stream.id));
    if (stream.epochs.back().newest != kSeqNone) {
      return Error{Errc::invalid,
                   fmt::format("stream '{}' of {} has frames already: choose another --stream",
                               spec.name, options_.data)};
    }
    ImportRun run(appender, {}, *options_.archive.clock,
                  [](std::uint64_t, Seq) -> Result<void> { return {}; });
    auto taken = take_all(signal, [&](ByteView frame) { return run.take(frame, frame.size()); });
    auto committed = run.commit();
    return taken ? committed : taken;
  }

  const SimulateOptions& options_;
  std::unique_ptr<sim::Network> network_;
  const std::uint64_t frames_;
  Progress progress_;
  sim::Report report_;
  std::uint64_t did_docs_ = 0;
};

int run(const SimulateOptions& options) {
  if (options.output.empty() == options.data.empty()) {
    return fail_usage(kName, "say where the frames go: either --output FILE or --data DIR");
  }
  if (options.output == "-" && options.did_docs == "-") {
    return fail_usage(kName, "standard output (-) can be written once");
  }
  auto network_of = network_options(options);
  if (!network_of) return fail_usage(kName, network_of.error().detail);
  for (const std::string& path : {options.output, options.did_docs}) {
    const auto is_free = check_free(path, options.is_overwriting);
    if (!is_free) return fail(kName, is_free.error());
  }
  std::signal(SIGPIPE, SIG_IGN);  // a reader who has gone is an error to be told
  auto network = sim::Network::create(*network_of);
  if (!network) return fail_usage(kName, network.error().detail);
  Simulation simulation(options, std::move(*network), network_of->frames);
  const auto simulated = simulation.run();
  if (!simulated) return fail(kName, simulated.error());
  const std::string summary = options.is_json ? simulation.json_line() : simulation.text();
  if (options.output == "-" || options.did_docs == "-") {
    fmt::print(stderr, "{}", summary);
    return finish_stdout(kName, kExitOk);
  }
  write_stdout(summary);
  return finish_stdout(kName, kExitOk);
}

}  // namespace

Verb simulate_verb() {
  const auto options = std::make_shared<SimulateOptions>();
  Verb verb;
  verb.name = kName;
  verb.summary = "Generate the firehose of a network that does not exist, the same for each seed";
  verb.examples =
      "  standpipe simulate --seed 1 --frames 1000000 --output sim.bin.zst\n"
      "  standpipe simulate --seed 1 --span 1h --data /tmp/sim --did-docs did_docs.json\n"
      "  standpipe simulate --frames 20000 --output odd.bin.zst --odd legacy=20 --odd did-web\n"
      "\nWhat is odd, and off by default: legacy, empty, too-big, long-key, non-canonical, did-web,"
      "\nbig-record, many-ops, takedown, deletion, rev-back, info.\n";
  OptionTable& table = verb.options;
  table.text("output", "FILE", &options->output, "The frame file to write; -: stdout");
  table.text("data", "DIR", &options->data, "The archive to write to instead; made if none");
  table.text("stream", "NAME", &options->stream, "The stream of --data, empty (default repos)");
  table.count("seed", &options->network.seed, 0, UINT64_MAX, "Which network (default 1)");
  table.count("frames", &options->frames, 1, 100'000'000'000, "How many frames");
  table.duration_ms("span", &options->span_ms, "Or how much time, at --rate");
  table.count("rate", &options->network.rate, 1, sim::kRateMax,
              "Frames a second of simulated time (default 342)");
  table.count("bursts", &options->network.burst_rate, 1, sim::kRateMax,
              "Frames a second in bursts, of 2 s each minute or so (default: no bursts)");
  table.count("accounts", &options->network.accounts, 1, sim::kAccountsMax,
              "Accounts held at a time, of 10 KB (default 100000)");
  table.time_ms("start", &options->start_ms, "When it begins (default 2026-07-01T00:00:00Z)");
  table.seq("first-seq", &options->first_seq, "The first frame's seq (default 1)");
  table.list("mix", "KIND=N", &options->mix,
             "Frames of a thousand: identity=8, account=3, sync=1; the rest are commits");
  table.list("odd", "KIND[=N]", &options->odd,
             "Frames (did-web: accounts) of a thousand that are odd (5 where N is left out)");
  table.count("threads", &options->threads, 1, sim::kThreadsMax,
              "Threads that make frames; the frames do not depend on it (default: cores)");
  table.text("did-docs", "FILE", &options->did_docs,
             "Write the DID documents of all accounts; -: stdout");
  table.flag("overwrite", &options->is_overwriting, "Replace files that exist");
  add_archive_options(table, options->archive);
  table.flag("json", &options->is_json, "Print the summary as JSON");
  table.flag("quiet", &options->is_quiet, "Show no progress");
  verb.run = [options] { return run(*options); };
  return verb;
}

}  // namespace standpipe::tools
