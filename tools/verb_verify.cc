#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "archiver/firehose/upstream_url.h"
#include "schema/base/clock.h"
#include "storage/frame_file.h"
#include "tools/did_docs_file.h"
#include "tools/plc_keys.h"
#include "tools/progress.h"
#include "tools/selection.h"
#include "tools/stop_signal.h"
#include "tools/verbs.h"
#include "tools/verify_report.h"
#include "tools/verify_run.h"

namespace standpipe::tools {
namespace {

constexpr const char* kName = "verify";
constexpr std::uint64_t kThreadsMax = 256;
constexpr std::uint64_t kReposMax = 1'000'000'000;
constexpr std::size_t kGapsAtOnce = 1'000;
constexpr std::uint64_t kPlcRateMax = 10'000;

struct VerifyOptions {
  std::vector<std::string> files;
  SelectionOptions selection;
  std::string did_docs;
  std::string version;
  PlcOptions plc;  // no URL: nobody is asked
  std::string plc_cache;
  std::int64_t plc_timeout_ms = 10'000;
  std::uint64_t threads = 0;  // 0: one for each core
  std::uint64_t repos_max = 2'000'000;
  std::uint64_t findings_max = 1'000;
  bool is_skipping_files = false;
  bool is_json = false;
  bool is_quiet = false;
};

// One verification, from what is opened to its summary.
class Verify {
 public:
  explicit Verify(const VerifyOptions& options)
      : options_(options), progress_(Progress::on_stderr("verify", options.is_quiet)) {}

  // Whether all of the range was read. What was found is in `summary` in any case.
  Result<void> run() {
    StopSignal signal([this] {
      if (PlcKeys* const asked = asked_.load()) asked->stop();
    });
    signal_ = &signal;
    const std::int64_t started_ms = SystemClock::instance().now_ms();
    auto verified = read_keys();
    if (verified) verified = options_.files.empty() ? verify_archive() : verify_file();
    verified = end_asking(std::move(verified));
    progress_.finish();
    summary.took_ms = SystemClock::instance().now_ms() - started_ms;
    return verified;
  }

  VerifySummary summary;
  bool has_begun = false;  // else there is nothing to tell people but the error

 private:
  Result<void> read_keys() {
    if (!options_.did_docs.empty()) {
      STANDPIPE_TRY(summary.did_documents_refused, load_did_docs(options_.did_docs, keys_));
      summary.did_documents = keys_.documents();
      summary.did_documents_without_key = keys_.without_key();
    }
    if (options_.plc.url.empty()) return {};
    PlcOptions plc = options_.plc;
    plc.cache = options_.plc_cache;
    plc.http.user_agent = "standpipe/" + options_.version;
    plc.http.deadline = std::chrono::milliseconds(options_.plc_timeout_ms);
    STANDPIPE_TRY(plc_, PlcKeys::create(std::move(plc), keys_));
    STANDPIPE_CHECK(plc_->read_cache());
    asked_ = plc_.get();
    if (signal_->was_raised()) plc_->stop();
    return {};
  }

  // What the directory said is kept, however the verification ended.
  Result<void> end_asking(Result<void> verified) {
    if (!plc_ || asked_.load() == nullptr) return verified;
    summary.directory = plc_->stats();
    auto failure = plc_->failure();
    auto written = plc_->write_cache();
    if (verified && failure) return *std::move(failure);
    if (verified && signal_->was_raised()) verified = stopped();  // what was asked for was given up
    return verified ? written : verified;
  }

  KeySource& keys() { return plc_ ? static_cast<KeySource&>(*plc_) : keys_; }

  // Why there is no use in going on.
  Result<void> check_on() const {
    if (signal_->was_raised()) return stopped();
    if (!plc_) return {};
    auto failure = plc_->failure();
    return failure ? Result<void>(*std::move(failure)) : Result<void>();
  }

  VerifyRun make_run(VerifyRun::NextGaps next_gaps) {
    VerifyRun::Options options;
    options.threads = options_.threads != 0
                          ? options_.threads
                          : std::max<std::size_t>(std::thread::hardware_concurrency(), 1);
    options.repos_max = options_.repos_max;
    options.tells_keys = plc_ != nullptr;
    if (plc_) options.check_on = [this] { return check_on(); };
    has_begun = true;
    return VerifyRun(
        options, keys(), [this](const VerifyRow& row) { print(row); }, std::move(next_gaps));
  }

  void print(const VerifyRow& row) {
    if (printed_ >= options_.findings_max) {
      ++summary.left_out;
      return;
    }
    ++printed_;
    write_stdout(options_.is_json ? to_json_line(row) : to_text_line(row));
    std::fflush(stdout);  // a long verification is watched
  }

  // What was given to the run is judged even where no more can be read; what was not is not
  // counted.
  Result<void> end(VerifyRun& run, Result<void> read) {
    auto finished = run.finish();
    summary.totals = run.totals();
    return read ? finished : read;
  }

  Result<void> stopped() const { return Error{Errc::closed, "stopped by a signal"}; }

  Result<void> verify_file() {
    const std::string& path = options_.files.front();
    summary.source = path;
    STANDPIPE_TRY(auto reader, storage::FrameFileReader::open(path, signal_->fd()));
    VerifyRun run = make_run(nullptr);
    return end(run, read_file(reader, run));
  }

  Result<void> read_file(storage::FrameFileReader& reader, VerifyRun& run) {
    const Seq after = options_.selection.after.value_or(kSeqNone);
    const Seq until = options_.selection.until.value_or(kSeqMax);
    Progress::Done done;
    for (;;) {
      STANDPIPE_CHECK(check_on());
      auto frame = reader.next();
      if (!frame) return signal_->was_raised() ? stopped() : Result<void>(frame.error());
      if (!frame->has_value()) return {};
      const ByteView bytes = **frame;
      const std::optional<Seq> seq = scan_frame(bytes).envelope.seq;
      if (seq && (*seq <= after || *seq > until)) continue;
      STANDPIPE_CHECK(run.add(bytes));
      ++done.frames;
      done.bytes += bytes.size();
      if (reader.file_bytes_total() > 0) {
        done.fraction = static_cast<double>(reader.file_bytes_read()) /
                        static_cast<double>(reader.file_bytes_total());
      }
      progress_.update(done);
    }
  }

  Result<void> verify_archive() {
    summary.source = options_.selection.data;
    STANDPIPE_TRY(Selection selection, open_selection(options_.selection, FrameFilter()));
    summary.source +=
        fmt::format(" {} epoch {}", selection.place.stream, to_int(selection.place.epoch));
    has_begun = true;
    if (!options_.is_skipping_files) {
      STANDPIPE_CHECK(selection.view->verify());
      summary.has_files = true;
    }
    VerifyRun run = make_run([&selection](Seq after) {
      return selection.view->gaps(selection.place, after, kSeqMax, kGapsAtOnce);
    });
    return end(run, read_archive(selection, run));
  }

  Result<void> read_archive(Selection& selection, VerifyRun& run) {
    WalkCalls calls;
    calls.frame = [&](const ViewFrame& frame) -> Result<void> {
      STANDPIPE_CHECK(check_on());
      return run.add(frame.bytes);
    };
    calls.progress = [&](const WalkTotals& walked, double fraction) {
      progress_.update({walked.read, walked.bytes, fraction});
    };
    STANDPIPE_CHECK(walk(selection, calls));
    return {};
  }

  const VerifyOptions& options_;
  StopSignal* signal_ = nullptr;  // of run
  Progress progress_;
  DidKeys keys_;
  std::unique_ptr<PlcKeys> plc_;
  std::atomic<PlcKeys*> asked_ = nullptr;  // plc_, for the thread of the signal
  std::uint64_t printed_ = 0;
};

std::string place_fault(const VerifyOptions& options) {
  const SelectionOptions& selection = options.selection;
  if (options.files.size() > 1 || options.files.empty() == selection.data.empty()) {
    return "wanted one FILE, or --data DIR";
  }
  const bool is_file = !options.files.empty();
  if (is_file && (!selection.stream.empty() || selection.epoch != 0 || options.is_skipping_files)) {
    return "--stream, --epoch and --skip-files are of --data: a file has none";
  }
  if (auto checked = check_selection(selection); !checked) return checked.error().detail;
  return {};
}

std::string plc_fault(const VerifyOptions& options) {
  if (options.plc.url.empty()) {
    if (options.plc_cache.empty()) return {};
    return "--plc-cache: of use with --plc URL alone";
  }
  if (const auto url = firehose::parse_http_url(options.plc.url); !url) {
    return "--plc: " + url.error().detail;
  }
  if (options.plc_timeout_ms < 1) return "--plc-timeout: at least 1ms";
  return {};
}

std::string usage_fault(const VerifyOptions& options) {
  std::string fault = place_fault(options);
  return fault.empty() ? plc_fault(options) : fault;
}

// Where it ended before its time, how to go on.
Error with_resume(const Error& error, const VerifyTotals& totals) {
  if (totals.last == kSeqNone) return error;
  return Error{error.code,
               fmt::format("{}; seq {} was the last that was judged: go on with --after {}",
                           error.detail, to_int(totals.last), to_int(totals.last))};
}

int run(const VerifyOptions& options) {
  if (const std::string fault = usage_fault(options); !fault.empty()) {
    return fail_usage(kName, fault);
  }
  std::signal(SIGPIPE, SIG_IGN);  // findings that nobody reads are an error to be told
  Verify verify(options);
  const auto verified = verify.run();
  const VerifySummary& summary = verify.summary;
  if (verify.has_begun || options.is_json) {
    write_stdout(options.is_json ? to_json_line(summary, verified) : to_text(summary, verified));
  }
  if (!verified) {
    return finish_stdout(kName, fail(kName, with_resume(verified.error(), summary.totals)));
  }
  return finish_stdout(kName, summary.totals.findings == 0 ? kExitOk : kExitFailed);
}

}  // namespace

Verb verify_verb(std::string_view version) {
  const auto options = std::make_shared<VerifyOptions>();
  options->version = version;
  Verb verb;
  verb.name = kName;
  verb.summary = "Re-read an archive or a frame file, and prove what can be proved";
  verb.examples =
      "  standpipe verify frames.bin.zst --did-docs did_docs.json.zst\n"
      "  standpipe verify --data /srv/standpipe\n"
      "  standpipe verify --data /srv/standpipe --plc https://plc.directory --plc-cache plc.jsonl\n"
      "  standpipe verify --data /srv/standpipe --after 31527015321 --until 31527015471 --json\n"
      "  standpipe export --data /srv/standpipe --output - | standpipe verify -\n"
      "\nA line for each finding, then a summary. The exit status is 0 where nothing was found, "
      "and\n"
      "1 where something was, or where not all could be read: the summary's result says which.\n";
  OptionTable& table = verb.options;
  table.text("data", "DIR", &options->selection.data, "The archive");
  table.positional("FILE", 0, &options->files, "A frame file to read instead of --data; -: stdin");
  table.text("stream", "NAME", &options->selection.stream, "The stream (default: the only one)");
  table.count("epoch", &options->selection.epoch, 1, UINT32_MAX, "The epoch (default: the newest)");
  table.seq("after", &options->selection.after, "Begin behind this seq (default: at the oldest)");
  table.seq("until", &options->selection.until, "The last seq wanted (default: the newest)");
  table.text("did-docs", "FILE", &options->did_docs,
             "DID documents, to check signatures: JSON, plain or zstd; an object by DID, an array, "
             "or one to a line");
  table.text("plc", "URL", &options->plc.url,
             "Ask this directory for the documents of did:plc that are in no file, as "
             "https://plc.directory (default: nobody is asked)");
  table.text("plc-cache", "FILE", &options->plc_cache, "Keep what it said there, from run to run");
  table.duration_ms("plc-max-age", &options->plc.cache_age_max_ms,
                    "Ask again for what is older in that file (default 24h)");
  table.count("plc-rate", &options->plc.per_second, 1, kPlcRateMax,
              "Requests a second to it (default 10)");
  table.duration_ms("plc-timeout", &options->plc_timeout_ms, "For each of them (default 10s)");
  table.text("tls-ca", "FILE", &options->plc.http.tls_ca_file,
             "Trust the certificates in this PEM file, too");
  table.flag("skip-files", &options->is_skipping_files,
             "Do not first re-read every stored byte of the archive against its checksums");
  table.count("threads", &options->threads, 1, kThreadsMax,
              "Threads that judge (default: one for each core)");
  table.count(
      "repos-max", &options->repos_max, 2, kReposMax,
      "Repositories whose last commit is remembered (default 2000000; some 200 bytes each)");
  table.count("findings-max", &options->findings_max, 0, UINT64_MAX,
              "Findings that are listed; all are counted (default 1000)");
  table.flag("json", &options->is_json, "A JSON object for each finding, and one for the summary");
  table.flag("quiet", &options->is_quiet, "Show no progress");
  verb.run = [options] { return run(*options); };
  return verb;
}

}  // namespace standpipe::tools
