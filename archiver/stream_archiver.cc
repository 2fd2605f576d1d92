#include "archiver/stream_archiver.h"

#include <fmt/format.h>

#include <mutex>
#include <utility>

#include "archiver/pipeline.h"
#include "schema/base/log.h"

namespace standpipe::archiver {
namespace {

using firehose::Dial;
using firehose::Next;
using firehose::parse_upstream_url;
using firehose::Upstream;
using firehose::UpstreamKind;
using firehose::UpstreamSink;
using firehose::UpstreamUrl;
using firehose::WsEnd;
using firehose::WsEndKind;
using firehose::WsMessage;
using firehose::WsOpened;

constexpr std::int64_t kBehindMs = 30'000;  // the newest frame is older: catching up ...
constexpr std::int64_t kFlowingMs = 2'000;  // ... as long as frames come at least this often

UpstreamKind kind_of(storage::StreamKind kind) {
  return kind == storage::StreamKind::repos ? UpstreamKind::repos : UpstreamKind::labels;
}

std::string describe(const std::optional<Seq>& cursor) {
  if (!cursor) return "from what comes next";
  if (*cursor == kSeqNone) return "from the oldest";
  return fmt::format("after seq {}", to_int(*cursor));
}

}  // namespace

std::string_view to_string(StreamState state) {
  switch (state) {
    case StreamState::connecting:
      return "connecting";
    case StreamState::catching_up:
      return "catching_up";
    case StreamState::live:
      return "live";
    case StreamState::down:
      return "down";
    case StreamState::upstream_reset:
      return "upstream_reset";
    case StreamState::disk_full:
      return "disk_full";
    case StreamState::failed:
      return "failed";
    case StreamState::stopped:
      return "stopped";
  }
  return "unknown";
}

class StreamArchiver::Impl final : public UpstreamSink {
 public:
  Impl(storage::Archive& archive, const storage::StreamInfo& stream, UpstreamUrl url,
       StreamOptions options, StreamCallbacks callbacks)
      : name_(stream.spec.name),
        url_(to_string(url)),
        clock_(options.writer.clock),
        pipeline_(options.queue_bytes_max),
        on_durable_(std::move(callbacks.on_durable)),
        check_(archive, stream, options.check),
        writer_(archive, stream, pipeline_, std::move(options.writer),
                {[this](storage::EpochNumber epoch, const storage::CommitReport& report) {
                   tell_durable(epoch, report);
                 },
                 std::move(callbacks.on_epoch_began), std::move(callbacks.on_fatal),
                 [this](bool is_failure) { upstream_.hang_up(is_failure); }}),
        upstream_(std::move(url), std::move(options.upstream), *this) {}

  ~Impl() override { stop(); }

  Result<void> start() {
    STANDPIPE_CHECK(writer_.start());
    upstream_.start();
    return {};
  }

  void stop() {
    writer_.refuse_dials();
    upstream_.stop();
    writer_.stop();
    check_.stop();
    const std::lock_guard lock(mutex_);
    link_.is_up = false;
  }

  void epoch_began() { writer_.epoch_began(); }
  void redial_now() { upstream_.redial_now(); }

  StreamStatus status() const {
    const WriterStatus writer = writer_.status();
    Link link;
    {
      const std::lock_guard lock(mutex_);
      link = link_;
    }
    StreamStatus status;
    status.name = name_;
    status.url = url_;
    status.state = state_of(writer, link);
    status.last_error = writer.detail.empty() ? link.last_error : writer.detail;
    status.epoch = writer.epoch;
    status.newest = writer.newest;
    status.received_ms = writer.received_ms;
    status.event_time_ms = writer.event_time_ms;
    status.is_connected = link.is_up;
    status.connections = link.connections;
    status.dials_failed = link.dials_failed;
    add_counts(status, writer);
    status.queue_bytes = pipeline_.bytes();
    status.queue_bytes_max = pipeline_.bytes_max();
    status.check = check_.stats();
    return status;
  }

 private:
  // What is known of the connection.
  struct Link {
    bool is_up = false;
    bool has_ended = false;  // a dial or a connection, since it was last up
    std::int64_t up_since_ms = 0;
    std::uint64_t connections = 0;
    std::uint64_t dials_failed = 0;
    std::string last_error;
  };

  // On the writer's thread.
  void tell_durable(storage::EpochNumber epoch, const storage::CommitReport& report) {
    if (on_durable_) on_durable_(epoch, report);
    if (!report.runs.empty()) check_.on_durable(epoch, report.runs.back()->last());
  }

  StreamState state_of(const WriterStatus& writer, const Link& link) const {
    switch (writer.state) {
      case WriterState::upstream_reset:
        return StreamState::upstream_reset;
      case WriterState::disk_full:
        return StreamState::disk_full;
      case WriterState::failed:
        return StreamState::failed;
      case WriterState::stopped:
        return StreamState::stopped;
      case WriterState::ready:
        break;
    }
    if (!link.is_up) return link.has_ended ? StreamState::down : StreamState::connecting;
    const std::int64_t now_ms = clock_->now_ms();
    const bool has_received = writer.received_ms >= link.up_since_ms;
    if (!has_received) {
      return now_ms - link.up_since_ms < kFlowingMs ? StreamState::catching_up : StreamState::live;
    }
    const bool is_flowing = now_ms - writer.received_ms <= kFlowingMs;
    const bool is_behind = writer.event_time_ms && now_ms - *writer.event_time_ms > kBehindMs;
    return is_flowing && is_behind ? StreamState::catching_up : StreamState::live;
  }

  static void add_counts(StreamStatus& status, const WriterStatus& writer) {
    using storage::Judgement;
    const ValidatorStats& judged = writer.judged;
    status.frames = judged.frames;
    status.text = judged.text;
    status.oversize = judged.oversize;
    status.bytes = judged.bytes;
    status.accepted = judged.of(Judgement::accepted);
    status.duplicates = judged.of(Judgement::duplicate);
    status.conflicts = judged.of(Judgement::conflict);
    status.late = judged.of(Judgement::late);
    status.noted = judged.of(Judgement::noted);
    status.refused = judged.of(Judgement::refused);
    status.quarantined = judged.of(Judgement::quarantined);
    for (std::size_t i = 0; i < judged.kept_aside.size(); ++i) {
      if (judged.kept_aside[i] == 0) continue;
      status.kept_aside[static_cast<Unarchivable>(i)] = judged.kept_aside[i];
    }
    status.quarantine_dropped = writer.quarantine_dropped;
    status.gaps = writer.gaps;
    status.commits = writer.commits;
    status.groups = writer.groups;
    status.commit_times = writer.commit_times;
  }

  // -- UpstreamSink, on the upstream's thread -----------------------------------------------------

  std::optional<Dial> before_dial() override { return writer_.wait_for_dial(); }

  Next on_connected(const WsOpened& opened, const Dial& dial) override {
    log_info(fmt::format("stream {}: connected to {} at {}, {}", name_, to_string(opened.url),
                         opened.address, describe(dial.cursor)));
    {
      const std::lock_guard lock(mutex_);
      link_.is_up = true;
      link_.has_ended = false;
      link_.up_since_ms = clock_->now_ms();
      ++link_.connections;
    }
    PipelineEntry entry;
    entry.kind = EntryKind::session_begin;
    return next_after(pipeline_.append(entry));
  }

  Next on_message(const WsMessage& message) override {
    PipelineEntry entry;
    entry.kind = message.is_text      ? EntryKind::text
                 : message.is_whole() ? EntryKind::frame
                                      : EntryKind::oversize;
    entry.received_ms = clock_->now_ms();
    entry.bytes_total = message.bytes_total;
    entry.bytes = message.bytes;
    return next_after(pipeline_.append(entry));
  }

  // Where the writer ended the session, it has hung up too, and said how it is to go on.
  Next next_after(bool was_taken) const {
    return was_taken && !writer_.is_session_over() ? Next::read : Next::redial;
  }

  bool on_disconnected(const WsEnd& end, std::chrono::milliseconds delay) override {
    const bool is_ours = end.kind == WsEndKind::handler || end.kind == WsEndKind::stopped;
    const std::string what = fmt::format("{} ({})", end.detail, to_string(end.kind));
    if (is_ours) {
      log_info(fmt::format("stream {}: disconnected: {}", name_, what));
    } else {
      log_warn(fmt::format("stream {}: {}: {}; dialling again in {} ms", name_,
                           end.was_open ? "disconnected" : "cannot connect", what, delay.count()));
    }
    {
      const std::lock_guard lock(mutex_);
      link_.is_up = false;
      link_.has_ended = link_.has_ended || !is_ours;
      if (!is_ours) link_.last_error = what;
      if (!end.was_open && !is_ours) ++link_.dials_failed;
    }
    PipelineEntry entry;
    entry.kind = EntryKind::session_end;
    pipeline_.append(entry);
    return true;
  }

  const std::string name_;
  const std::string url_;
  const Clock* const clock_;  // not ours
  mutable std::mutex mutex_;  // guards link_
  Link link_;
  Pipeline pipeline_;
  std::function<void(storage::EpochNumber, const storage::CommitReport&)> on_durable_;
  IngestCheck check_;
  Writer writer_;
  Upstream upstream_;
};

StreamArchiver::StreamArchiver(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StreamArchiver::~StreamArchiver() = default;

Result<std::unique_ptr<StreamArchiver>> StreamArchiver::start(storage::Archive& archive,
                                                              const storage::StreamInfo& stream,
                                                              StreamOptions options,
                                                              StreamCallbacks callbacks) {
  STANDPIPE_TRY(UpstreamUrl url, parse_upstream_url(stream.spec.url, kind_of(stream.spec.kind)));
  auto impl = std::make_unique<Impl>(archive, stream, std::move(url), std::move(options),
                                     std::move(callbacks));
  STANDPIPE_CHECK(impl->start());
  return std::unique_ptr<StreamArchiver>(new StreamArchiver(std::move(impl)));
}

void StreamArchiver::stop() { impl_->stop(); }
void StreamArchiver::epoch_began() { impl_->epoch_began(); }
void StreamArchiver::redial_now() { impl_->redial_now(); }
StreamStatus StreamArchiver::status() const { return impl_->status(); }

}  // namespace standpipe::archiver
