#include "tools/mirror.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "archiver/firehose/upstream_url.h"
#include "replay/pages.h"
#include "replay/server.h"
#include "schema/base/log.h"
#include "schema/base/thread_name.h"
#include "tools/cli.h"
#include "tools/did_docs_file.h"
#include "tools/forwarding.h"
#include "tools/held_archive.h"
#include "tools/metrics.h"
#include "tools/mirror_status.h"
#include "tools/ready_file.h"
#include "tools/retention_options.h"
#include "tools/service_manager.h"
#include "tools/simulated_upstreams.h"
#include "tools/status_feed.h"
#include "tools/stop_signal.h"

namespace standpipe::tools {
namespace {

using archiver::StreamArchiver;
using archiver::StreamState;
using archiver::StreamStatus;

constexpr std::size_t kGapsRead = 10'000;  // of a stream, for the status page

replay::UpstreamState upstream_state(StreamState state) {
  switch (state) {
    case StreamState::connecting:
    case StreamState::catching_up:
      return replay::UpstreamState::catching_up;
    case StreamState::live:
      return replay::UpstreamState::live;
    case StreamState::upstream_reset:
      return replay::UpstreamState::reset;
    case StreamState::down:
    case StreamState::disk_full:  // said by the archive's own health
    case StreamState::failed:
    case StreamState::stopped:
      break;
  }
  return replay::UpstreamState::down;
}

class Mirror {
 public:
  Mirror(std::string_view verb, const MirrorOptions& options) : verb_(verb), options_(options) {}

  Result<void> run() {
    StopSignal signal([] {});
    if (!options_.did_docs.empty()) {
      STANDPIPE_TRY(const std::size_t refused, load_did_docs(options_.did_docs, did_keys_));
      if (refused + did_keys_.without_key() > 0) {
        log_warn(fmt::format("DID documents: {}, of which without a usable key {}; refused {}",
                             did_keys_.documents(), did_keys_.without_key(), refused));
      }
    }
    STANDPIPE_CHECK(open());
    auto worked = start(signal);
    if (worked) {
      worked = watch(signal);
    } else if (worked.error().code == Errc::closed && signal.was_raised()) {
      log_info("stopping: " + worked.error().detail);
      worked = {};
    }
    auto closed = stop();
    return worked ? closed : worked;
  }

 private:
  Result<void> open() {
    if (options_.archives) {
      storage::ArchiveOptions writing = options_.archive;
      // Without a word on what to follow there must be one that knows.
      writing.create_if_missing = !options_.streams.empty();
      auto held = HeldArchive::open(options_.data, writing,
                                    [this](std::string_view stream) { on_epoch(stream); });
      if (!held) return with_hint(held.error());
      held_.emplace(std::move(*held));
      archive_ = &held_->archive();
      return {};
    }
    storage::ArchiveOptions reading = options_.archive;
    reading.access = storage::Access::read_only;
    reading.create_if_missing = false;
    auto opened = storage::Archive::open(options_.data, reading);
    if (!opened) return with_hint(opened.error());
    read_only_ = std::move(*opened);
    archive_ = read_only_.get();
    return {};
  }

  Error with_hint(Error error) const {
    if (error.code == Errc::not_found && options_.archives && options_.streams.empty()) {
      error.detail += ", and no upstream to begin one with: give --upstream URL or --labeler URL";
    }
    // One process holds an archive; who wants both halves wants `mirror`.
    if (error.code == Errc::busy && options_.archives != options_.serves) {
      error.detail += "; to archive and to serve at once is what 'standpipe mirror' does";
    }
    return error;
  }

  Result<void> start(StopSignal& signal) {
    STANDPIPE_TRY(const auto followed, streams_to_follow());
    STANDPIPE_CHECK(check_retained_streams(options_.archive.retention, archive_->streams()));
    STANDPIPE_CHECK(simulated_.start(followed, options_.stream.writer.from, options_.version,
                                     [&signal] { return signal.was_raised(); }));
    if (options_.serves) {
      replay::ServerHooks hooks;
      hooks.health = [this] { return health(); };
      hooks.is_catching_up = [this](std::string_view stream) { return is_catching_up(stream); };
      STANDPIPE_CHECK(prepare_forwarding(followed));
      if (forwarding_) {
        hooks.forward = [this](const auto& executor, replay::ForwardCall call, auto place) {
          return forwarding_->forward(executor, std::move(call), std::move(place));
        };
      }
      STANDPIPE_TRY(auto server, replay::Server::start(*archive_, options_.listen, options_.server,
                                                       std::move(hooks), options_.version));
      const std::lock_guard lock(mutex_);
      server_ = std::move(server);
      for (const std::string& address : server_->addresses().plain) tell_where("ws", address);
      for (const std::string& address : server_->addresses().tls) tell_where("wss", address);
    }
    STANDPIPE_CHECK(start_admin());
    for (const storage::StreamInfo& stream : followed) STANDPIPE_CHECK(follow(stream, signal));
    if (server_) {
      status_thread_ = std::jthread([this](const std::stop_token& stop) { show_status(stop); });
    }
    if (options_.ready_file.empty()) return {};
    return write_ready_file(options_.ready_file,
                            server_ ? server_->addresses().all() : std::vector<std::string>{},
                            admin_ ? admin_->address() : std::string());
  }

  Result<void> prepare_forwarding(const std::vector<storage::StreamInfo>& followed) {
    if (!options_.archives || !options_.forwards) return {};
    std::map<std::string, firehose::UpstreamUrl, std::less<>> upstreams;
    for (const storage::StreamInfo& stream : followed) {
      const bool is_repos = stream.spec.kind == storage::StreamKind::repos;
      if (!is_repos || simulated_.clock_of(stream.spec.name) != nullptr) continue;
      STANDPIPE_TRY(auto url,
                    firehose::parse_upstream_url(stream.spec.url, firehose::UpstreamKind::repos));
      upstreams.emplace(stream.spec.name, std::move(url));
    }
    STANDPIPE_TRY(forwarding_, Forwarding::make(options_.forwarding, std::move(upstreams)));
    return {};
  }

  Result<void> start_admin() {
    if (!options_.admin) return {};
    AdminPages pages;
    pages.metrics = [this] {
      MetricsSample now = metrics_sample();
      now.process = process_usage();  // looks at each descriptor: not for the page, each second
      return metrics_text(now);
    };
    pages.health = [this] { return health(); };
    STANDPIPE_TRY(admin_, AdminServer::start(*options_.admin, std::move(pages)));
    log_info(fmt::format("metrics at http://{}/metrics", admin_->address()));
    return {};
  }

  // Where to connect to, ready to be copied.
  void tell_where(std::string_view scheme, const std::string& address) const {
    bool has_root[2] = {false, false};
    for (const storage::StreamInfo& stream : archive_->streams()) {
      const bool is_repos = stream.spec.kind == storage::StreamKind::repos;
      const bool is_at_root = !std::exchange(has_root[is_repos ? 1 : 0], true);
      log_info(fmt::format("serving stream {} at {}://{}{}{}", stream.spec.name, scheme, address,
                           is_at_root ? "" : "/stream/" + stream.spec.name,
                           replay::subscribe_path(stream.spec.kind)));
    }
  }

  Result<std::vector<storage::StreamInfo>> streams_to_follow() {
    std::vector<storage::StreamInfo> followed;
    if (!options_.archives) return followed;
    // Read once: streams of one network begin together.
    const std::int64_t now_ms = options_.archive.clock->now_ms();
    for (storage::StreamSpec spec : options_.streams) {
      STANDPIPE_CHECK(simulated_.resolve(spec, *archive_, now_ms));
      STANDPIPE_TRY(storage::StreamInfo stream,
                    archive_->ensure_stream(spec, options_.is_upstream_change));
      followed.push_back(std::move(stream));
    }
    if (!options_.streams.empty()) return followed;
    for (storage::StreamInfo& stream : archive_->streams()) {
      if (!stream.spec.url.empty()) followed.push_back(std::move(stream));
    }
    if (!followed.empty()) return followed;
    return Error{Errc::invalid,
                 fmt::format("{} follows no upstream yet: give --upstream URL or --labeler URL",
                             options_.data)};
  }

  Result<void> follow(const storage::StreamInfo& stream, StopSignal& signal) {
    archiver::StreamCallbacks callbacks;
    callbacks.on_durable = [this, id = stream.id](storage::EpochNumber epoch,
                                                  const storage::CommitReport& report) {
      if (server_) server_->publish(id, epoch, report.runs);
    };
    callbacks.on_epoch_began = [this](storage::EpochNumber) {
      if (server_) server_->refresh_streams();
    };
    callbacks.on_fatal = [this, &signal](const Error& error) {
      {
        const std::lock_guard lock(mutex_);
        if (!fatal_) fatal_ = error;
      }
      signal.end_waits();
    };
    storage::StreamInfo dialled = stream;
    archiver::StreamOptions following = options_.stream;
    following.check.keys = &did_keys_;
    simulated_.redirect(dialled, following.writer);
    STANDPIPE_TRY(auto archiver,
                  StreamArchiver::start(*archive_, dialled, following, std::move(callbacks)));
    const std::lock_guard lock(mutex_);
    followed_.emplace(stream.spec.name, std::move(archiver));
    return {};
  }

  // Until a signal, or until the archive has failed.
  Result<void> watch(StopSignal& signal) {
    MirrorStatus status, told;
    status.line(sample());  // what the first rates are taken from
    told.line(sample());
    const bool is_terminal = isatty(STDERR_FILENO) != 0;
    auto interval = options_.status_interval_ms > 0 ? options_.status_interval_ms : 1'000;
    if (const auto due = manager_.watchdog_interval()) interval = std::min(interval, due->count());
    manager_.tell("READY=1");
    pollfd waited{signal.fd(), POLLIN, 0};
    for (;;) {
      const int ready =
          ::poll(&waited, 1, static_cast<int>(std::min<std::int64_t>(interval, 60'000)));
      STANDPIPE_CHECK(check_archive());
      if (ready > 0) break;
      renew_certificate();
      tell_manager(told);
      if (options_.status_interval_ms > 0) show(status, is_terminal);
    }
    if (is_terminal && options_.status_interval_ms > 0 && !options_.is_json) {
      fmt::print(stderr, "\r\033[K");
    }
    manager_.tell("STOPPING=1");
    log_info("stopping: subscribers end at a frame boundary, what is queued becomes durable");
    return {};
  }

  // The threads that serve have answered, and the archive has not failed: else whoever watches
  // hears nothing, and starts us anew.
  void tell_manager(MirrorStatus& told) {
    if (!manager_.is_there()) return;
    const MirrorSample now = sample();
    manager_.tell("WATCHDOG=1");
    manager_.tell("STATUS=" + told.line(now));
  }

  void renew_certificate() {
    if (!server_) return;
    const auto renewed = server_->reload_certificate();
    if (!renewed) {
      log_error(fmt::format("the certificate stays as it is: {}", renewed.error().detail));
    } else if (*renewed) {
      log_info("the certificate has changed: new connections are shown the new one");
    }
  }

  MirrorSample sample() {
    MirrorSample now;
    now.now_ms = options_.archive.clock->now_ms();
    now.streams = statuses();
    if (server_) now.server = server_->stats();
    now.archive = archive_->stats();
    for (const storage::StreamInfo& stream : archive_->streams()) {
      for (const storage::EpochInfo& epoch : stream.epochs) now.raw_bytes += epoch.raw_bytes;
    }
    return now;
  }

  // What the status page shows, once a second.
  void show_status(const std::stop_token& stop) {
    name_this_thread("status");
    StatusFeed feed([this](const storage::StreamInfo& stream) {
      auto gaps = archive_->gaps(stream.id, stream.epochs.back().number, kSeqNone, next(kSeqMax),
                                 kGapsRead);
      return gaps ? std::move(*gaps) : std::vector<storage::Gap>();
    });
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    try {
      while (!stop.stop_requested()) {
        const StatusFeed::Texts texts = feed.next(metrics_sample());
        server_->show_status(texts.full, texts.tick);
        never.wait_for(lock, stop, std::chrono::seconds{1}, [] { return false; });
      }
    } catch (const std::exception& error) {
      log_error(fmt::format("the status page stands still: {}", error.what()));
    }
  }

  // On the threads of the admin listener and of the status page.
  MetricsSample metrics_sample() {
    MetricsSample now;
    now.verb = verb_;
    now.version = options_.version;
    now.format_version = archive_->format_version();
    now.mirror = sample();
    now.health = health();
    now.streams = archive_->streams();
    now.partitions = archive_->partitions();
    if (server_) {
      now.live_bytes = server_->live_bytes();
      now.serving = server_->options();
    }
    now.following = options_.stream;
    now.archive = options_.archive;
    return now;
  }

  void show(MirrorStatus& status, bool is_terminal) {
    if (options_.is_json) {
      write_stdout(status.json(sample()) + "\n");
      std::fflush(stdout);
    } else {
      const std::string line = status.line(sample());
      fmt::print(stderr, "{}", is_terminal ? "\r\033[K" + line + "\r" : line + "\n");
    }
  }

  Result<void> check_archive() {
    {
      const std::lock_guard lock(mutex_);
      if (fatal_) return *fatal_;
    }
    const storage::Health health = archive_->health();
    if (health == storage::Health::corrupt || health == storage::Health::storage_failed) {
      return Error{health == storage::Health::corrupt ? Errc::corrupt : Errc::io,
                   archive_->stats().health_detail};
    }
    return {};
  }

  // Subscribers first, at a frame boundary; then the upstreams, and what they have queued.
  Result<void> stop() {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    // First: they ask all that ends now.
    admin_.reset();
    status_thread_ = std::jthread();
    if (server_) server_->stop();
    std::map<std::string, std::unique_ptr<StreamArchiver>, std::less<>> followed;
    {
      const std::lock_guard lock(mutex_);
      followed.swap(followed_);
    }
    for (auto& [name, archiver] : followed) archiver->stop();
    followed.clear();
    server_.reset();
    simulated_.stop();
    read_only_.reset();
    return held_ ? held_->close() : Result<void>();
  }

  // -- Asked and told on other threads ------------------------------------------------------------
  void on_epoch(std::string_view stream) {
    const std::lock_guard lock(mutex_);
    if (is_stopping_) return;
    if (const auto found = followed_.find(stream); found != followed_.end()) {
      found->second->epoch_began();
    }
    if (server_) server_->refresh_streams();
  }

  std::vector<StreamStatus> statuses() {
    const std::lock_guard lock(mutex_);
    std::vector<StreamStatus> all;
    for (const auto& [name, archiver] : followed_) {
      all.push_back(archiver->status());
      const Clock* const simulated = simulated_.clock_of(name);
      if (simulated == nullptr) continue;
      // By the clock on the wall, as all else here: so ages come out as they are in the simulation.
      const std::int64_t shift = options_.archive.clock->now_ms() - simulated->now_ms();
      if (all.back().received_ms > 0) all.back().received_ms += shift;
      if (all.back().event_time_ms) *all.back().event_time_ms += shift;
    }
    return all;
  }

  bool is_catching_up(std::string_view stream) {
    const std::lock_guard lock(mutex_);
    const auto found = followed_.find(stream);
    if (found == followed_.end()) return false;
    const StreamState state = found->second->status().state;
    return state == StreamState::connecting || state == StreamState::catching_up ||
           state == StreamState::down || state == StreamState::disk_full;
  }

  replay::HealthReport health() {
    replay::HealthReport report;
    const std::vector<StreamStatus> followed = statuses();
    report.archive = archive_->health();
    {
      const std::lock_guard lock(mutex_);
      report.is_shutting_down = is_stopping_;
    }
    const std::int64_t now_ms = options_.archive.clock->now_ms();
    const auto age = [now_ms](std::int64_t since_ms) {
      return static_cast<double>(now_ms - since_ms) / 1000;
    };
    for (const storage::StreamInfo& info : archive_->streams()) {
      replay::StreamHealth stream;
      stream.name = info.spec.name;
      stream.kind = info.spec.kind;
      stream.seq = info.epochs.back().newest;
      for (const StreamStatus& status : followed) {
        if (status.name != info.spec.name) continue;
        stream.upstream = upstream_state(status.state);
        if (status.received_ms > 0) stream.received_age_s = age(status.received_ms);
        if (status.event_time_ms) stream.event_age_s = age(*status.event_time_ms);
      }
      report.streams.push_back(std::move(stream));
    }
    return report;
  }

  const std::string verb_;
  const MirrorOptions& options_;
  DidKeys did_keys_;  // not changed once streams are followed
  std::optional<HeldArchive> held_;
  std::unique_ptr<storage::Archive> read_only_;
  storage::Archive* archive_ = nullptr;     // one of the two
  std::unique_ptr<Forwarding> forwarding_;  // what the server asks of it; null: nothing
  // Set before the first stream is followed, and gone after the last has stopped; in between read
  // without the lock.
  std::unique_ptr<replay::Server> server_;
  SimulatedUpstreams simulated_;        // likewise
  std::unique_ptr<AdminServer> admin_;  // reads all of the above
  const ServiceManager manager_;
  std::jthread status_thread_;  // likewise

  std::mutex mutex_;  // guards everything below
  std::map<std::string, std::unique_ptr<StreamArchiver>, std::less<>> followed_;
  std::optional<Error> fatal_;
  bool is_stopping_ = false;
};

}  // namespace

int run_mirror(std::string_view verb, const MirrorOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  Mirror mirror(verb, options);
  const auto ran = mirror.run();
  return finish_stdout(verb, ran ? kExitOk : fail(verb, ran.error()));
}

}  // namespace standpipe::tools
