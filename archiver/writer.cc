#include "archiver/writer.h"

#include <fmt/format.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <utility>

#include "archiver/dial_gate.h"
#include "schema/base/log.h"
#include "schema/base/thread_name.h"
#include "schema/datetime.h"
#include "schema/frame.h"

namespace standpipe::archiver {
namespace {

using storage::Appender;
using storage::CommitReport;
using storage::EpochNumber;
using storage::Health;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::hours kIdle{1};  // nothing is due: until somebody wakes us

// What the newest frame of a commit says of its time.
std::optional<std::int64_t> newest_time_ms(const CommitReport& report) {
  const storage::WireRun& run = *report.runs.back();
  const ByteView frame = run.frame_of(run.frames.size() - 1);
  return parse_datetime_ms(scan_frame(frame).envelope.time);
}

}  // namespace

// All of it belongs to the writer's thread, but what is said to be shared.
class Writer::Impl {
 public:
  Impl(storage::Archive& archive, storage::StreamInfo stream, Pipeline& pipeline,
       WriterOptions options, WriterCallbacks callbacks)
      : archive_(archive),
        stream_(std::move(stream)),
        pipeline_(pipeline),
        options_(std::move(options)),
        callbacks_(std::move(callbacks)),
        validator_(stream_.spec.name, *options_.clock) {}

  ~Impl() { stop(); }

  Result<void> start() {
    const FromSeq* const from = std::get_if<FromSeq>(&options_.from);
    if (from != nullptr && (from->first < kSeqMin || from->first > kSeqMax)) {
      return Error{Errc::invalid, "the first seq wanted lies between 1 and 2^53 - 1"};
    }
    acquire();
    if (failure_) return *failure_;  // a full disk is waited for, here as later
    has_started_ = true;
    thread_ = std::jthread([this] { run(); });
    return {};
  }

  void stop() {
    gate_.refuse();
    pipeline_.close();
    if (thread_.joinable()) thread_.join();
  }

  DialGate& gate() { return gate_; }

  void epoch_began() {
    may_have_new_epoch_ = true;
    pipeline_.wake();
  }

  WriterStatus status() const {
    const std::lock_guard lock(status_mutex_);
    return status_;
  }

 private:
  void run() {
    name_this_thread("writer");
    PipelineBatch batch;
    for (;;) {
      if (!prepare()) return;
      publish_status();
      if (!pipeline_.take(batch, next_wait())) break;
      for (std::size_t i = 0; i < batch.size(); ++i) {
        handle(batch.entry(i));
        if (failure_) return;
      }
      if (is_dirty_ && !commit()) {
        if (failure_) return;
      }
    }
    drop_appender();
    state_ = WriterState::stopped;
    detail_.clear();
    publish_status();
  }

  // -- The Appender, and whether there is one -----------------------------------------------------

  // What has to happen before the next batch. False once the archive has failed.
  bool prepare() {
    if (may_have_new_epoch_.exchange(false) || state_ == WriterState::upstream_reset) {
      look_for_epoch();
    }
    if (state_ == WriterState::upstream_reset) begin_epoch_if_wanted();
    if (state_ == WriterState::disk_full) resume_if_possible();
    if (!failure_ && !appender_ && state_ == WriterState::ready) acquire();
    if (failure_) return false;
    if (appender_ && state_ == WriterState::ready && gate_.is_idle()) open_gate();
    return !failure_;
  }

  Pipeline::Wait next_wait() const {
    const SteadyClock::time_point now = SteadyClock::now();
    Pipeline::Wait wait;
    const bool is_ready = appender_ && state_ == WriterState::ready;
    wait.until = now + (is_ready ? SteadyClock::duration(kIdle) : options_.retry_interval);
    wait.not_before = last_commit_ + options_.commit_interval;
    wait.bytes_enough = options_.commit_bytes_max;
    return wait;
  }

  // Takes the stream's Appender. Where that fails, state_ says what to wait for, or failure_ that
  // there is nothing.
  void acquire() {
    Result<Appender> appender = archive_.appender(stream_.id);
    if (!appender) {
      fence(appender.error());
      return;
    }
    appender_.emplace(std::move(*appender));
    epoch_ = appender_->epoch();
    state_ = appender_->was_reset() ? WriterState::upstream_reset : WriterState::ready;
    detail_ = appender_->was_reset() ? "upstream was reset before the start" : "";
    if (appender_->was_reset()) {
      log_warn(fmt::format("stream {}: upstream was reset: waiting for a new epoch", name()));
    }
    newest_ = appender_->newest();
    publish_status();
    if (!has_started_ || told_epoch_ != epoch_) told_ = newest_;
    told_epoch_ = epoch_;
    if (told_ < newest_) tell_stored();
  }

  // A commit that failed may have taken effect all the same: what a re-open found of it is durable,
  // upstream is not asked for it again, and nobody has been told.
  void tell_stored() {
    const Result<void> told = read_stored();
    if (!told) fence(told.error());
  }

  // Of a commit that failed half way the first half is durable: who reads the archive has it, and
  // who is live need not wait until there is room.
  void tell_published() {
    if (told_epoch_ != epoch_) return;
    newest_ = archive_.newest(stream_.id, epoch_);
    const Result<void> told = read_stored();
    if (!told) log_warn(fmt::format("stream {}: {}", name(), to_string(told.error())));
  }

  Result<void> read_stored() {
    if (told_ >= newest_) return {};  // before the first Appender there is no epoch to read either
    STANDPIPE_TRY(storage::Reader reader, archive_.reader(stream_.id, epoch_));
    while (told_ < newest_) {
      STANDPIPE_TRY(const storage::ReadStep step, reader.read_after(told_));
      if (std::holds_alternative<storage::CaughtUp>(step)) return {};
      if (const auto* passed = std::get_if<storage::WindowPassed>(&step)) {
        told_ = previous(passed->gap.before);
        continue;
      }
      CommitReport report;
      report.runs.push_back(std::get<storage::RunSlice>(step).run);
      tell(report);
    }
    return {};
  }

  void tell(const CommitReport& report) {
    if (!report.runs.empty()) told_ = report.runs.back()->last();
    if (callbacks_.on_durable) callbacks_.on_durable(epoch_, report);
  }

  void drop_appender() {
    if (!appender_) return;
    const storage::AppenderStats stats = appender_->stats();
    past_.gaps += stats.gaps;
    past_.commits += stats.commits;
    past_.groups += stats.groups;
    past_.quarantine_dropped += stats.quarantine_dropped;
    appender_.reset();
    is_dirty_ = false;
    pending_entries_ = pending_bytes_ = 0;
  }

  // Nothing of the session in progress will be stored; a dial that was offered is not valid.
  void end_session(bool is_failure) {
    if (gate_.end_session()) callbacks_.hang_up(is_failure);
  }

  // Something was refused by the archive: what was pending is gone, and what was offered with it.
  void fence(const Error& error) {
    drop_appender();
    const Health health = archive_.health();
    if (health == Health::disk_full) {
      if (state_ != WriterState::disk_full) {
        log_error(fmt::format("stream {}: nothing is stored until there is room: {}", name(),
                              error.detail));
      }
      state_ = WriterState::disk_full;
      detail_ = error.detail;
      tell_published();
    } else if (health == Health::ok && (error.code == Errc::closed || error.code == Errc::limit)) {
      // Another epoch, or the archive was re-opened, or found room, on behalf of another stream.
      state_ = WriterState::ready;
    } else {
      fail(error);
      return;
    }
    end_session(/*is_failure=*/false);
  }

  void fail(const Error& error) {
    failure_ = error;
    state_ = WriterState::failed;
    detail_ = to_string(error);
    drop_appender();
    publish_status();
    gate_.refuse();
    pipeline_.close();
    end_session(/*is_failure=*/false);
    if (!has_started_) return;  // start() returns it
    log_error(fmt::format("stream {}: the archive failed: {}", name(), detail_));
    if (callbacks_.on_fatal) callbacks_.on_fatal(error);
  }

  void resume_if_possible() {
    const Result<void> resumed = archive_.try_resume();
    if (!resumed) {
      if (archive_.health() != Health::disk_full) fail(resumed.error());
      return;
    }
    state_ = WriterState::ready;
    detail_.clear();
    log_info(fmt::format("stream {}: there is room again", name()));
  }

  // -- Epochs -------------------------------------------------------------------------------------

  void look_for_epoch() {
    if (state_ == WriterState::disk_full) return;  // the next Appender is for whatever is newest
    const std::optional<storage::StreamInfo> now = archive_.find_stream(name());
    if (!now || now->epochs.back().number == epoch_) return;
    drop_appender();
    state_ = WriterState::ready;
    detail_.clear();
    log_info(fmt::format("stream {}: epoch {} began", name(), to_int(now->epochs.back().number)));
    end_session(/*is_failure=*/false);
  }

  // An epoch that is empty, or hardly begun, is not followed by another without being asked: an
  // upstream that has lost its mind would fill the archive with them.
  void begin_epoch_if_wanted() {
    if (options_.on_upstream_reset != OnUpstreamReset::new_epoch) return;
    const std::optional<storage::StreamInfo> now = archive_.find_stream(name());
    if (!now) return;
    const storage::EpochInfo& epoch = now->epochs.back();
    const std::int64_t age_ms = options_.clock->now_ms() - epoch.started_ms;
    if (epoch.newest == kSeqNone || age_ms < options_.epoch_age_min.count()) return;
    drop_appender();
    const Result<storage::EpochInfo> begun = archive_.begin_epoch(stream_.id, "upstream was reset");
    if (!begun) {
      fence(begun.error());
      return;
    }
    state_ = WriterState::ready;
    detail_.clear();
    log_warn(fmt::format("stream {}: upstream was reset: epoch {} began", name(),
                         to_int(begun->number)));
    if (callbacks_.on_epoch_began) callbacks_.on_epoch_began(begun->number);
  }

  // -- Dialling -----------------------------------------------------------------------------------

  void open_gate() {
    firehose::Dial dial;
    if (appender_->origin()) {
      dial.cursor = appender_->floor();
    } else if (const FromSeq* from = std::get_if<FromSeq>(&options_.from);
               from != nullptr && epoch_ == EpochNumber{1}) {
      const Seq origin = previous(from->first);
      const Result<void> begun = appender_->begin_after(origin);
      if (!begun) {
        fail(begun.error());
        return;
      }
      if (!commit()) return;
      dial.cursor = origin;
    } else if (!std::holds_alternative<FromNewest>(options_.from)) {
      dial.cursor = kSeqNone;
    }
    gate_.open(dial);
  }

  // -- Entries ------------------------------------------------------------------------------------

  bool is_taking() const {
    return appender_ && state_ == WriterState::ready && !gate_.is_session_over();
  }

  void handle(const PipelineEntry& entry) {
    switch (entry.kind) {
      case EntryKind::session_begin:
        if (is_taking()) appender_->begin_session();
        return;
      case EntryKind::session_end:
        // The next dial asks for what follows the last frame of this session.
        if (is_dirty_) commit();
        gate_.session_ended();
        return;
      case EntryKind::frame:
      case EntryKind::oversize:
      case EntryKind::text:
        received_ms_ = entry.received_ms;
        if (is_taking()) take(entry);
        return;
    }
  }

  void take(const PipelineEntry& entry) {
    const Result<Verdict> verdict = validator_.judge(*appender_, entry);
    if (!verdict) {
      fence(verdict.error());
      return;
    }
    const bool leaves_work = verdict->judgement != storage::Judgement::duplicate &&
                             verdict->judgement != storage::Judgement::refused;
    if (leaves_work) {
      is_dirty_ = true;
      ++pending_entries_;
      pending_bytes_ += entry.bytes.size();
    }
    if (appender_->was_reset()) {
      if (commit()) await_epoch();
      return;
    }
    if (verdict->is_error) {
      if (commit()) end_session(/*is_failure=*/true);
      return;
    }
    if (pending_entries_ >= options_.commit_frames_max ||
        pending_bytes_ >= options_.commit_bytes_max) {
      commit();
    }
  }

  void await_epoch() {
    state_ = WriterState::upstream_reset;
    detail_ = fmt::format("upstream was reset; newest here is {}", to_int(newest_));
    log_error(fmt::format("stream {}: {}: waiting for a new epoch", name(), detail_));
    end_session(/*is_failure=*/false);
  }

  // False where it failed: fence() has seen to what follows.
  bool commit() {
    is_dirty_ = false;
    pending_entries_ = pending_bytes_ = 0;
    const SteadyClock::time_point began = SteadyClock::now();
    const Result<CommitReport> report = appender_->commit();
    last_commit_ = SteadyClock::now();
    if (!report) {
      fence(report.error());
      return false;
    }
    commit_times_.add(std::chrono::duration<double>(last_commit_ - began).count());
    newest_ = appender_->newest();
    if (!report->runs.empty()) event_time_ms_ = newest_time_ms(*report);
    publish_status();
    const bool says_something = !report->runs.empty() || !report->gaps.empty();
    if (says_something) tell(*report);
    return true;
  }

  // -- Shared -------------------------------------------------------------------------------------

  const std::string& name() const { return stream_.spec.name; }

  void publish_status() {
    const std::lock_guard lock(status_mutex_);
    status_.state = state_;
    status_.detail = detail_;
    status_.epoch = epoch_;
    status_.newest = newest_;
    status_.received_ms = received_ms_;
    status_.event_time_ms = event_time_ms_;
    status_.judged = validator_.stats();
    const storage::AppenderStats now = appender_ ? appender_->stats() : storage::AppenderStats{};
    status_.gaps = past_.gaps + now.gaps;
    status_.commits = past_.commits + now.commits;
    status_.groups = past_.groups + now.groups;
    status_.quarantine_dropped = past_.quarantine_dropped + now.quarantine_dropped;
    status_.commit_times = commit_times_;
  }

  storage::Archive& archive_;  // not ours
  const storage::StreamInfo stream_;
  Pipeline& pipeline_;  // not ours
  const WriterOptions options_;
  const WriterCallbacks callbacks_;
  Validator validator_;
  std::optional<Appender> appender_;
  EpochNumber epoch_{};
  EpochNumber told_epoch_{};  // what told_ is of
  Seq told_ = kSeqNone;       // on_durable has been told of all up to here
  WriterState state_ = WriterState::ready;
  std::string detail_;
  std::optional<Error> failure_;
  bool has_started_ = false;
  bool is_dirty_ = false;            // something was offered that the next commit must write
  std::size_t pending_entries_ = 0;  // since the last commit
  std::size_t pending_bytes_ = 0;
  SteadyClock::time_point last_commit_{};
  DurationHistogram commit_times_;
  Seq newest_ = kSeqNone;
  std::int64_t received_ms_ = 0;
  std::optional<std::int64_t> event_time_ms_;
  storage::AppenderStats past_;  // of Appenders that are gone

  DialGate gate_;                                 // thread-safe
  std::atomic<bool> may_have_new_epoch_ = false;  // shared
  mutable std::mutex status_mutex_;               // guards status_
  WriterStatus status_;
  std::jthread thread_;  // last: it uses everything above
};

Writer::Writer(storage::Archive& archive, storage::StreamInfo stream, Pipeline& pipeline,
               WriterOptions options, WriterCallbacks callbacks)
    : impl_(std::make_unique<Impl>(archive, std::move(stream), pipeline, std::move(options),
                                   std::move(callbacks))) {}
Writer::~Writer() = default;

Result<void> Writer::start() { return impl_->start(); }
void Writer::stop() { impl_->stop(); }
std::optional<firehose::Dial> Writer::wait_for_dial() { return impl_->gate().wait(); }
void Writer::refuse_dials() { impl_->gate().refuse(); }
bool Writer::is_session_over() const { return impl_->gate().is_session_over(); }
void Writer::epoch_began() { impl_->epoch_began(); }
WriterStatus Writer::status() const { return impl_->status(); }

}  // namespace standpipe::archiver
