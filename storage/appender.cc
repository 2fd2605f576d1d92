// Committing: pending groups, gaps, quarantine and notes become durable in one synced batch per
// partition that they touch.

#include "storage/appender.h"

#include <utility>

#include "storage/appender_impl.h"
#include "storage/group.h"

namespace standpipe::storage {

Appender::Impl::Impl(Core& core, StreamId stream) : core_(&core), stream_(stream) {}

Appender::Impl::~Impl() {
  const std::lock_guard lock(core_->mutex);
  StreamState* stream = core_->find_stream(stream_);
  const bool is_ours = stream != nullptr && core_->generation == generation_ &&
                       stream->epochs.back().row.number == epoch_;
  if (is_ours) stream->has_appender = false;
}

void Appender::Impl::forget_pending() {
  groups_.clear();
  trailing_gaps_.clear();
  aside_.clear();
  notes_.clear();
  ahead_.clear();
  recent_.clear();
  pending_frames_ = pending_bytes_ = 0;
  next_ = head_;
}

Result<void> Appender::Impl::check_current() const {
  STANDPIPE_CHECK(core_->check_writable());
  const std::lock_guard lock(core_->mutex);
  if (core_->generation != generation_) {
    return Error{Errc::closed, "the archive was re-opened: ask for a new appender"};
  }
  const StreamState* stream = core_->find_stream(stream_);
  if (stream->epochs.back().row.number != epoch_) {
    return Error{Errc::closed, "a new epoch began: ask for a new appender"};
  }
  return {};
}

Result<CommitReport> Appender::Impl::commit() {
  std::vector<PartitionId> sealed;
  Result<CommitReport> report = [&]() -> Result<CommitReport> {
    const std::lock_guard writing(core_->write_mutex);
    return commit_pending(sealed);
  }();
  if (!report) {
    forget_pending();
    return report;
  }
  for (const PartitionId id : sealed) {
    core_->in_background([core = core_, id] { return finish_sealing(*core, id); });
  }
  prepare_spare();
  return report;
}

Result<CommitReport> Appender::Impl::commit_pending(std::vector<PartitionId>& sealed) {
  STANDPIPE_CHECK(check_current());
  STANDPIPE_CHECK(core_->check_room());
  {
    // Sealing and retention have moved it since.
    const std::lock_guard lock(core_->mutex);
    head_ = core_->find_epoch(stream_, epoch_)->head;
  }
  CommitReport report;
  std::size_t done = 0;
  bool is_first = true;
  const bool head_moved = next_.floor != head_.floor || next_.has_origin != head_.has_origin;
  const bool has_work = head_moved || !aside_.empty() || !notes_.empty();
  while (is_first ? has_work : done < groups_.size()) {
    Step step;
    step.head = head_;
    if (is_first) add_aside(step);
    is_first = false;
    while (done < groups_.size()) {
      PendingGroup& group = groups_[done];
      GroupClock clock = clock_;
      for (const auto& time_ms : group.times_ms) clock.add_frame(time_ms);
      const std::int64_t clock_ms = clock.end_group(group.run->received_last_ms);
      const bool rolls = must_roll(step.head, group, clock_ms);
      if (rolls && !step.runs.empty()) break;  // the next batch begins with the roll
      if (rolls || step.head.open_partition == PartitionId{}) {
        STANDPIPE_CHECK(begin_partition(step, group, clock_ms));
      }
      clock_ = clock;
      add_group(step, group);
      ++done;
    }
    if (done == groups_.size()) {
      // All that was pending is in this batch: so is what follows the last frame.
      add_gaps(step, trailing_gaps_);
      step.head.floor = next_.floor;
    }
    if (step.sealed) sealed.push_back(step.sealed->id);
    STANDPIPE_CHECK(finish_step(step, report));
  }
  core_->write_witness_if_due();
  ++stats_.commits;
  groups_.clear();
  trailing_gaps_.clear();
  aside_.clear();
  notes_.clear();
  pending_frames_ = pending_bytes_ = 0;
  return report;
}

bool Appender::Impl::must_roll(const HeadRow& head, const PendingGroup& group,
                               std::int64_t clock_ms) const {
  if (head.open_partition == PartitionId{} || head.open_frames == 0) return false;
  if (head.open_raw_bytes + group.run->wire.size() > cut_.bytes_max) return true;
  const std::int64_t span_ms = clock_ms - head.open_clock_first_ms;
  if (span_ms >= cut_.age_max_ms) return true;
  return span_ms >= cut_.span_ms && head.open_raw_bytes >= core_->options.partition_bytes_min;
}

// Ends the open partition, if there is one, and opens another, with the group that follows.
Result<void> Appender::Impl::begin_partition(Step& step, const PendingGroup& group,
                                             std::int64_t clock_ms) {
  if (step.head.open_partition != PartitionId{}) {
    const std::lock_guard lock(core_->mutex);
    step.sealed = sealing_row(core_->partitions.at(step.head.open_partition), step.head);
    step.batch.put(kMetaContainer, partition_key(step.sealed->id),
                   encode_partition_row(*step.sealed));
    clear_open_partition(step.head);
  }
  std::optional<PartitionId> id;
  {
    const std::lock_guard lock(core_->mutex);
    id = std::exchange(core_->find_stream(stream_)->spare, std::nullopt);
  }
  if (!id) {
    STANDPIPE_TRY(id, create_partition(*core_, stream_, epoch_));
  }
  const std::lock_guard lock(core_->mutex);
  step.opened = core_->partitions.at(*id);
  const Seq first = group.run->frames.front().seq;
  add_opening(step.batch, *core_->find_stream(stream_), *core_->find_epoch(stream_, epoch_),
              *step.opened, first, clock_ms);
  step.head.open_partition = *id;
  step.head.open_first = first;
  step.head.open_clock_first_ms = clock_ms;
  return {};
}

void Appender::Impl::add_group(Step& step, PendingGroup& group) {
  WireRun& run = *group.run;
  HeadRow& head = step.head;
  run.clock_ms = clock_.clock_ms();
  run.partition = head.open_partition;
  GroupBuilder builder;
  for (std::size_t i = 0; i < run.frames.size(); ++i) {
    const std::string_view wire = as_text(run.wire_of(i));
    builder.add(run.frames[i].seq, wire, run.frames[i].hash);
    head.open_digest = chain_digest(head.open_digest, run.frames[i].seq, wire);
  }
  std::string container;
  if (step.opened) {
    container = step.opened->container;
  } else {
    const std::lock_guard lock(core_->mutex);
    container = core_->partitions.at(head.open_partition).container;
  }
  step.batch.put(container, group_key(head.open_partition, run.first()),
                 builder.finish({run.received_first_ms, run.received_last_ms, run.clock_ms}));
  add_gaps(step, group.gaps);

  set_origin(head);
  head.steps = next_.steps;
  head.steps_skipping = next_.steps_skipping;
  head.newest = head.floor = head.open_last = run.last();
  head.clock_ms = head.open_clock_last_ms = run.clock_ms;
  head.open_frames += run.frames.size();
  head.open_raw_bytes += run.wire.size();
  ++head.open_groups;
  ++stats_.groups;
  step.runs.push_back(std::move(group.run));
}

// Where the epoch begins is decided once; from then on retention alone moves the window.
void Appender::Impl::set_origin(HeadRow& head) const {
  if (head.has_origin || !next_.has_origin) return;
  head.has_origin = true;
  head.origin = head.window_floor = next_.origin;
}

void Appender::Impl::add_gaps(Step& step, const std::vector<Gap>& gaps) {
  if (gaps.empty()) return;
  const std::lock_guard lock(core_->mutex);
  EpochState* epoch = core_->find_epoch(stream_, epoch_);
  for (const Gap& gap : gaps) {
    add_gap_changes(step.batch, stream_, epoch_, epoch->gaps.add(gap));
    step.gaps.push_back(gap);
  }
}

// Quarantine and notes. They have no place among the seqs, so they go with the first batch.
void Appender::Impl::add_aside(Step& step) {
  const std::lock_guard lock(core_->mutex);
  for (QuarantineEntry& entry : aside_) core_->quarantine.add(step.batch, std::move(entry));
  for (Note& note : notes_) {
    // A reset outlives the process: an upstream that has caught up with our seqs is another one
    // still.
    if (note.kind == kResetNote) {
      step.batch.put(kMetaContainer, reset_key(stream_, epoch_), encode_note_row(note));
    }
    core_->add_note(step.batch, std::move(note));
  }
}

Result<void> Appender::Impl::finish_step(Step& step, CommitReport& report) {
  // Without frames the head may still have moved: an origin was set, a quarantined seq was passed.
  set_origin(step.head);
  step.batch.put(kMetaContainer, head_key(stream_, epoch_), encode_head_row(step.head));
  STANDPIPE_CHECK(core_->write(step.batch));
  core_->step("commit");

  head_ = step.head;
  const std::lock_guard lock(core_->mutex);
  EpochState* epoch = core_->find_epoch(stream_, epoch_);
  epoch->head = step.head;
  epoch->was_reset = was_reset_;
  if (step.sealed) core_->partitions[step.sealed->id] = *step.sealed;
  if (step.opened) core_->partitions[step.opened->id] = *step.opened;
  if (step.head.open_partition != PartitionId{}) {
    PartitionInfo& open = core_->partitions.at(step.head.open_partition);
    open = sealing_row(open, step.head);
    open.state = PartitionState::open;
  }
  if (step.sealed || step.opened) core_->publish(*epoch);
  // It is acknowledged, whatever has failed on other threads meanwhile.
  epoch->channel->publish_newest(step.head.newest);
  report.runs.insert(report.runs.end(), step.runs.begin(), step.runs.end());
  report.gaps.insert(report.gaps.end(), step.gaps.begin(), step.gaps.end());
  return {};
}

// Families are made ahead of need, off the path of a commit: it takes milliseconds.
void Appender::Impl::prepare_spare() {
  if (!core_->options.background || shares_container_) return;
  {
    const std::lock_guard lock(core_->mutex);
    StreamState* stream = core_->find_stream(stream_);
    if (stream->spare || head_.open_partition == PartitionId{} || stream->is_making_spare) return;
    stream->is_making_spare = true;
  }
  core_->in_background([core = core_, stream = stream_, epoch = epoch_]() -> Result<void> {
    const std::lock_guard writing(core->write_mutex);
    const Result<PartitionId> made = create_partition(*core, stream, epoch);
    const std::lock_guard lock(core->mutex);
    StreamState* state = core->find_stream(stream);
    state->is_making_spare = false;
    if (!made) return made.error();
    state->spare = *made;
    return {};
  });
}

Appender::Appender(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Appender::Appender(Appender&&) noexcept = default;
Appender& Appender::operator=(Appender&&) noexcept = default;
Appender::~Appender() = default;

StreamId Appender::stream() const { return impl_->stream(); }
EpochNumber Appender::epoch() const { return impl_->epoch(); }
void Appender::begin_session() { impl_->begin_session(); }

Result<Judgement> Appender::offer(ByteView frame, std::int64_t received_ms) {
  return impl_->offer(frame, received_ms);
}

Result<Judgement> Appender::offer_oversize(ByteView head, std::uint64_t bytes_total,
                                           std::int64_t received_ms) {
  return impl_->quarantine(Unarchivable::too_large, scan_frame(head), head, bytes_total,
                           received_ms);
}

Result<Judgement> Appender::offer_foreign(Unarchivable reason, ByteView bytes,
                                          std::int64_t received_ms) {
  return impl_->quarantine(reason, FrameScan{}, bytes, bytes.size(), received_ms);
}

void Appender::note_future_cursor() { impl_->reset("upstream says FutureCursor", impl_->now_ms()); }

Result<void> Appender::begin_after(Seq origin) { return impl_->begin_after(origin); }
std::size_t Appender::pending_frames() const { return impl_->pending_frames(); }
std::size_t Appender::pending_bytes() const { return impl_->pending_bytes(); }
Result<CommitReport> Appender::commit() { return impl_->commit(); }
bool Appender::was_reset() const { return impl_->was_reset(); }
Seq Appender::floor() const { return impl_->head().floor; }
std::optional<Seq> Appender::origin() const {
  if (!impl_->head().has_origin) return std::nullopt;
  return impl_->head().origin;
}
Seq Appender::newest() const { return impl_->head().newest; }
AppenderStats Appender::stats() const { return impl_->stats(); }

}  // namespace standpipe::storage
