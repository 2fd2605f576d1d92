#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "storage/frame_file.h"
#include "tools/archive_options.h"
#include "tools/frame_queue.h"
#include "tools/held_archive.h"
#include "tools/import_report.h"
#include "tools/import_run.h"
#include "tools/progress.h"
#include "tools/stop_signal.h"
#include "tools/values.h"
#include "tools/verbs.h"

namespace standpipe::tools {
namespace {

constexpr const char* kName = "import";
constexpr std::size_t kQueueBytesMax = 16 << 20;
// Input that comes slowly is made durable, and so visible, after this long.
constexpr std::chrono::milliseconds kIdleBeforeCommit{100};

struct ImportOptions {
  std::vector<std::string> files;
  std::string data;
  std::string stream;
  std::size_t kind = 0;  // index into repos, labels
  std::string url;
  bool is_upstream_change = false;
  std::size_t density = 0;  // index into auto, dense, sparse
  ImportRun::Limits limits;
  storage::ArchiveOptions archive;
  std::string report;
  bool is_json = false;
  bool is_quiet = false;
};

// "mod.bsky.app" of "wss://mod.bsky.app/xrpc/...".
std::string host_of(std::string_view url) {
  if (const std::size_t scheme = url.find("://"); scheme != std::string_view::npos) {
    url.remove_prefix(scheme + 3);
  }
  return std::string(url.substr(0, url.find_first_of(":/?")));
}

Result<storage::StreamSpec> stream_spec(const ImportOptions& options) {
  storage::StreamSpec spec;
  spec.name = options.stream;
  spec.kind = options.kind == 0 ? storage::StreamKind::repos : storage::StreamKind::labels;
  spec.url = options.url;
  spec.density = static_cast<storage::Density>(options.density);
  if (spec.name.empty()) {
    spec.name = spec.kind == storage::StreamKind::repos ? "repos" : host_of(spec.url);
  }
  if (spec.name.empty()) {
    return Error{Errc::invalid, "--kind labels needs --stream NAME, or --url to name it after"};
  }
  return spec;
}

// Before anything is written: a typo in the third name must not be found after an hour.
Result<std::uint64_t> check_files(const std::vector<std::string>& files) {
  std::uint64_t bytes = 0;
  bool is_size_known = true;
  for (const std::string& file : files) {
    if (file == "-") {
      is_size_known = false;
      continue;
    }
    std::error_code ec;
    const auto status = std::filesystem::status(file, ec);
    int why = 0;
    if (std::filesystem::is_directory(status)) {
      why = EISDIR;
    } else if (::access(file.c_str(), R_OK) != 0) {
      why = errno;
    }
    if (why != 0) {
      return Error{Errc::not_found, fmt::format("cannot read {}: {}; nothing was imported", file,
                                                std::strerror(why))};
    }
    if (std::filesystem::is_regular_file(status)) {
      bytes += std::filesystem::file_size(file, ec);
    } else {
      is_size_known = false;
    }
  }
  return is_size_known ? bytes : std::uint64_t{0};
}

// Reads files one after the other into the queue. A thread of its own.
void read_files(const std::vector<std::string>& files, FrameQueue& queue, int stop_fd) {
  std::uint64_t bytes_before = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    QueueEntry entry;
    entry.kind = QueueEntry::Kind::file_begin;
    entry.file = i;
    if (!queue.push(std::move(entry))) return;
    auto reader = storage::FrameFileReader::open(files[i], stop_fd);
    std::optional<Error> error;
    if (!reader) error = reader.error();
    while (!error) {
      auto frame = reader->next();
      if (!frame) {
        error = frame.error();
        break;
      }
      if (!frame->has_value()) break;
      const ByteView bytes = **frame;
      QueueEntry read;
      read.file = i;
      read.bytes_total = bytes.size();
      const bool is_oversize = bytes.size() > kFrameBytesMax;
      read.bytes = to_bytes(is_oversize ? bytes.first(ImportRun::kOversizeHeadBytes) : bytes);
      read.bytes_read = bytes_before + reader->file_bytes_read();
      if (!queue.push(std::move(read))) return;
    }
    if (error) {
      QueueEntry failed;
      failed.kind = QueueEntry::Kind::failed;
      failed.file = i;
      failed.error = std::move(error);
      queue.push(std::move(failed));
      return;
    }
    bytes_before += reader->file_bytes_read();
  }
  queue.finish();
}

// One import, from opened archive to closed archive.
class Import {
 public:
  Import(const ImportOptions& options, storage::StreamSpec spec, std::uint64_t bytes_total)
      : options_(options),
        spec_(std::move(spec)),
        bytes_total_(bytes_total),
        progress_(Progress::on_stderr("import", options.is_quiet)) {}

  // The result of the work, and beside it in `summary` what was done in any case.
  Result<void> run() {
    STANDPIPE_TRY(report_, CommitReportFile::open(options_.report));
    StopSignal signal([this] { queue_.stop(StopReason::signal); });
    STANDPIPE_TRY(HeldArchive held, HeldArchive::open(options_.data, options_.archive,
                                                      [this](std::string_view stream) {
                                                        if (stream == spec_.name) {
                                                          queue_.stop(StopReason::new_epoch);
                                                        }
                                                      }));
    auto worked = work(held.archive(), signal);
    auto closed = held.close();
    return worked ? closed : worked;
  }

  ImportSummary summary;

 private:
  Result<void> work(storage::Archive& archive, StopSignal& signal) {
    STANDPIPE_TRY(const storage::StreamInfo stream,
                  archive.ensure_stream(spec_, options_.is_upstream_change));
    STANDPIPE_TRY(storage::Appender appender, archive.appender(stream.id));
    summary.stream = spec_.name;
    summary.epoch = appender.epoch();
    ImportRun run(
        appender, options_.limits, *options_.archive.clock,
        [this](std::uint64_t frames, Seq newest) { return report_.write(frames, newest); });
    if (run.was_reset()) {
      summary.totals = run.totals();
      return reset_error();
    }
    std::thread reader([&] { read_files(options_.files, queue_, signal.fd()); });
    auto worked = take_all(run);
    // The reader may stand before a full queue, or wait for input that never comes.
    queue_.stop(StopReason::signal);
    signal.end_waits();
    reader.join();
    progress_.finish();
    summary.totals = run.totals();
    summary.files = worked ? options_.files.size() : file_;
    return explain(archive, std::move(worked), stream.id);
  }

  Result<void> take_all(ImportRun& run) {
    for (;;) {
      QueueEntry entry;
      switch (queue_.pop(entry, kIdleBeforeCommit)) {
        case FrameQueue::Popped::idle:
          STANDPIPE_CHECK(run.commit());
          continue;
        case FrameQueue::Popped::finished:
          return run.commit();
        case FrameQueue::Popped::stopped:
          return stop(run);
        case FrameQueue::Popped::entry:
          break;
      }
      if (entry.kind == QueueEntry::Kind::failed) {
        STANDPIPE_CHECK(run.commit());
        return *entry.error;
      }
      if (entry.kind == QueueEntry::Kind::file_begin) {
        file_ = entry.file;
        run.begin_file();
        continue;
      }
      STANDPIPE_CHECK(run.take(entry.bytes, entry.bytes_total));
      if (run.was_reset()) {
        STANDPIPE_CHECK(run.commit());
        return reset_error();
      }
      show_progress(entry);
    }
  }

  void show_progress(const QueueEntry& entry) {
    ++done_.frames;
    done_.bytes += entry.bytes_total;
    if (bytes_total_ > 0) {
      done_.fraction = static_cast<double>(entry.bytes_read) / static_cast<double>(bytes_total_);
    }
    progress_.update(done_);
  }

  Result<void> stop(ImportRun& run) {
    const auto reason = queue_.stop_reason();
    if (reason == StopReason::new_epoch) return Error{Errc::closed, "a new epoch has begun"};
    STANDPIPE_CHECK(run.commit());
    return Error{Errc::closed,
                 fmt::format("stopped by a signal in {} after seq {}, which is durable; import "
                             "again to go on: what is stored is passed over",
                             options_.files[file_], to_int(run.totals().newest))};
  }

  Error reset_error() const {
    return Error{Errc::closed,
                 fmt::format("upstream_reset: these are not the frames that stream '{0}' holds for "
                             "their seqs; nothing was overwritten. If its upstream began anew: "
                             "standpipe epoch new --data {1} --stream {0} --reason TEXT, then "
                             "import again; if not, choose another --stream",
                             spec_.name, options_.data)};
  }

  // What a closed appender means is known to the archive alone.
  Result<void> explain(const storage::Archive& archive, Result<void> worked,
                       storage::StreamId stream) const {
    if (worked) return worked;
    const auto info = archive.find_stream(spec_.name);
    if (info && info->id == stream && info->epochs.back().number != summary.epoch) {
      return Error{Errc::closed,
                   fmt::format("epoch {} of stream '{}' was begun while this import ran; epoch {} "
                               "ends at seq {}; import again to go on in the new one",
                               to_int(info->epochs.back().number), spec_.name,
                               to_int(summary.epoch), to_int(summary.totals.newest))};
    }
    if (archive.health() == storage::Health::disk_full) {
      return Error{Errc::limit,
                   fmt::format("disk full: {}; seq {} is the last durable one; make room, or set "
                               "--min-free, and import again",
                               archive.stats().health_detail, to_int(summary.totals.newest))};
    }
    return worked;
  }

  const ImportOptions& options_;
  const storage::StreamSpec spec_;
  const std::uint64_t bytes_total_;
  Progress progress_;
  CommitReportFile report_;
  FrameQueue queue_{kQueueBytesMax};
  std::size_t file_ = 0;  // which one is being read
  Progress::Done done_;
};

int run(const ImportOptions& options) {
  if (options.report == "-" && !options.is_json) {
    return fail_usage(kName, "--report - needs --json, so that standard output is JSON throughout");
  }
  if (std::count(options.files.begin(), options.files.end(), "-") > 1) {
    return fail_usage(kName, "standard input (-) can be read once");
  }
  auto spec = stream_spec(options);
  if (!spec) return fail_usage(kName, spec.error().detail);
  const auto bytes_total = check_files(options.files);
  if (!bytes_total) return fail(kName, bytes_total.error());
  std::signal(SIGPIPE, SIG_IGN);  // a report that nobody reads is an error to be told
  Import import(options, std::move(*spec), *bytes_total);
  const auto imported = import.run();
  if (!import.summary.stream.empty()) {
    write_stdout(options.is_json ? to_json_line(import.summary, imported)
                                 : to_text(import.summary));
  }
  return finish_stdout(kName, imported ? kExitOk : fail(kName, imported.error()));
}

}  // namespace

Verb import_verb() {
  const auto options = std::make_shared<ImportOptions>();
  Verb verb;
  verb.name = kName;
  verb.summary = "Append the frames of frame files (zstd of u32 length, frame) to an archive";
  verb.examples =
      "  standpipe import frames.bin.zst --data /srv/standpipe\n"
      "  standpipe import day1.zst day2.zst --data /srv/standpipe --url wss://bsky.network\n"
      "  curl -s https://example.com/labels.zst | standpipe import - --data /srv/standpipe \\\n"
      "      --kind labels --stream mod.bsky.app\n"
      "  standpipe import frames.bin.zst --data /srv/standpipe --json --report commits.jsonl\n";
  OptionTable& table = verb.options;
  table.text("data", "DIR", &options->data, "The archive; made if there is none");
  table.required();
  table.positional("FILE", 1, &options->files, "Frame files in the order of their seqs; -: stdin");
  table.text("stream", "NAME", &options->stream,
             "The stream (default repos; for labels the host of --url)");
  table.choice("kind", {"repos", "labels"}, &options->kind, "What the stream carries");
  table.text("url", "URL", &options->url, "Where the frames come from; kept with the stream");
  table.flag("change-upstream", &options->is_upstream_change,
             "Allow another --url than the stream has");
  table.choice("density", {"auto", "dense", "sparse"}, &options->density,
               "Whether a skipped seq is a gap (relays: dense)");
  table.count("commit-frames", &options->limits.commit_frames_max, 1, 1'000'000,
              "Frames made durable together (default 1024)");
  table.size("commit-bytes", &options->limits.commit_bytes_max,
             "Bytes made durable together (default 4 MiB)");
  add_archive_options(table, options->archive);
  table.text(
      "report", "FILE", &options->report,
      "Append a JSON line per commit, once it is durable: {\"seq\":N,\"frames\":M}; -: stdout");
  table.flag("json", &options->is_json, "Print the summary as JSON");
  table.flag("quiet", &options->is_quiet, "Show no progress");
  verb.run = [options] { return run(*options); };
  return verb;
}

}  // namespace standpipe::tools
