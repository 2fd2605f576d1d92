// What becomes of a frame: the rules of docs/architecture.md, "Judging a frame".

#include <algorithm>
#include <utility>

#include "schema/datetime.h"
#include "storage/appender_impl.h"
#include "storage/group.h"

namespace standpipe::storage {
namespace {

constexpr std::size_t kRecentMax = 8192;      // frames whose hashes are kept in memory
constexpr std::size_t kAheadMax = 1024;       // quarantined seqs that wait for a later frame
constexpr int kConflictsMax = 3;              // in a row: upstream was reset
constexpr std::int64_t kNewerMs = 60 * 1000;  // past our newest: not an old frame at all
constexpr std::size_t kNoteTextBytes = 4096;
constexpr std::uint64_t kDensitySteps = 64;  // before them, every skip counts as a gap

}  // namespace

Result<std::unique_ptr<Appender::Impl>> Appender::Impl::make(Core& core, StreamId stream) {
  std::unique_ptr<Impl> impl(new Impl(core, stream));
  {
    const std::lock_guard lock(core.mutex);
    StreamState* state = core.find_stream(stream);
    if (state == nullptr) return Error{Errc::not_found, "there is no such stream"};
    if (state->has_appender) {
      return Error{Errc::busy, "stream " + state->row.spec.name + " is being appended to already"};
    }
    const EpochState& epoch = state->epochs.back();
    impl->epoch_ = epoch.row.number;
    impl->channel_ = epoch.channel;
    impl->was_reset_ = epoch.was_reset;
    impl->kind_ = state->row.spec.kind;
    impl->density_ = state->row.spec.density;
    impl->shares_container_ = state->row.shares_container;
    impl->cut_ = partition_cut(core.options, core.options.retention.of(state->row.spec.name));
    impl->head_ = epoch.head;
    impl->generation_ = core.generation;
  }
  impl->next_ = impl->head_;
  STANDPIPE_CHECK(impl->load_recent());
  const std::lock_guard lock(core.mutex);
  core.find_stream(stream)->has_appender = true;
  return impl;
}

// The newest frames: what duplicates are most often judged against, and the window of the clock.
Result<void> Appender::Impl::load_recent() {
  if (head_.newest == kSeqNone) return {};
  clock_ = GroupClock(head_.clock_ms);
  const std::shared_ptr<const EpochView> view = channel_->view();
  struct Seen {
    Stored stored;
    std::optional<std::int64_t> time_ms;
  };
  std::vector<Seen> newest_first;
  const std::shared_lock lock(core_->store_mutex);
  if (core_->store == nullptr) return Error{Errc::closed, "the archive is closed"};
  for (auto partition = view->partitions.rbegin();
       partition != view->partitions.rend() && newest_first.size() < kClockWindow; ++partition) {
    STANDPIPE_TRY(const auto scan, core_->store->scan(partition->container, /*bulk=*/false));
    Seq before = kSeqMax;
    while (newest_first.size() < kClockWindow) {
      scan->seek_for_previous(group_key(partition->id, before));
      STANDPIPE_CHECK(scan->status());
      if (!scan->valid()) break;
      STANDPIPE_TRY(const GroupKey key, parse_group_key(scan->key()));
      if (key.partition != partition->id || key.first == kSeqNone) break;
      STANDPIPE_TRY(const GroupView group, parse_group(scan->value()));
      for (auto frame = group.frames.rbegin(); frame != group.frames.rend(); ++frame) {
        const ByteView wire = as_bytes(group.payload.substr(frame->offset, frame->length));
        std::optional<std::int64_t> time_ms;
        if (!wire.empty()) {
          STANDPIPE_TRY(const std::size_t header, check_wire_frame(wire));
          time_ms = parse_datetime_ms(scan_frame(wire.subspan(header)).envelope.time);
        }
        newest_first.push_back({{frame->seq, frame->hash}, time_ms});
      }
      before = previous(key.first);
    }
  }
  // Exactly the window, as if there had been no re-open: the clock must not depend on it.
  if (newest_first.size() > kClockWindow) newest_first.resize(kClockWindow);
  for (auto seen = newest_first.rbegin(); seen != newest_first.rend(); ++seen) {
    clock_.add_frame(seen->time_ms);
    recent_.push_back(seen->stored);
  }
  return {};
}

void Appender::Impl::begin_session() {
  session_begins_ = true;
  conflicts_in_a_row_ = 0;
}

Result<void> Appender::Impl::begin_after(Seq origin) {
  if (next_.has_origin) {
    return Error{Errc::invalid,
                 "the epoch has begun already, after seq " + std::to_string(to_int(next_.origin))};
  }
  if (origin < kSeqNone || origin > kSeqMax) {
    return Error{Errc::invalid, "an origin lies between 0 and 2^53 - 1"};
  }
  next_.has_origin = true;
  next_.origin = next_.floor = next_.window_floor = origin;
  return {};
}

Result<Judgement> Appender::Impl::offer(ByteView frame, std::int64_t received_ms) {
  if (was_reset_) {
    ++stats_.refused;
    return Judgement::refused;
  }
  const FrameScan scan = scan_frame(frame);
  if (scan.why == Unarchivable::error_frame || scan.why == Unarchivable::info_frame) {
    const bool is_error = scan.why == Unarchivable::error_frame;
    std::string text(scan.envelope.error_name);
    if (!scan.envelope.message.empty()) text += ": " + std::string(scan.envelope.message);
    add_note(is_error ? "error" : "info", std::move(text), received_ms);
    ++stats_.noted;
    if (is_error && scan.envelope.error_name == "FutureCursor") {
      reset("upstream says FutureCursor", received_ms);
    }
    return Judgement::noted;
  }
  if (scan.why != Unarchivable::archivable) {
    return quarantine(scan.why, scan, frame, frame.size(), received_ms);
  }
  if (*scan.envelope.seq <= next_.floor) return judge_old(scan, frame, received_ms);
  accept(scan, frame, received_ms);
  conflicts_in_a_row_ = 0;
  ++stats_.accepted;
  return Judgement::accepted;
}

// Whether the frame says that it is more than a minute younger than the newest group: no old frame.
bool Appender::Impl::is_past_newest(const FrameScan& scan) const {
  const std::optional<std::int64_t> time_ms = parse_datetime_ms(scan.envelope.time);
  return time_ms && head_.newest != kSeqNone && *time_ms > head_.clock_ms + kNewerMs;
}

Result<Judgement> Appender::Impl::judge_old(const FrameScan& scan, ByteView frame,
                                            std::int64_t received_ms) {
  const Seq seq = *scan.envelope.seq;
  const bool is_newer = is_past_newest(scan);
  if (seq <= std::max(next_.window_floor, channel_->view()->window_floor)) {
    // Its bytes are gone, so its time alone must tell.
    if (is_newer) return keep_conflict(Unarchivable::conflict, scan, frame, received_ms);
    conflicts_in_a_row_ = 0;
    ++stats_.duplicates;
    return Judgement::duplicate;
  }
  std::string wire;
  append_wire_frame(wire, frame);
  STANDPIPE_TRY(const std::optional<std::uint64_t> stored, stored_hash(seq));
  if (stored && *stored == wire_hash(wire)) {
    conflicts_in_a_row_ = 0;
    ++stats_.duplicates;
    return Judgement::duplicate;
  }
  return keep_conflict(stored ? Unarchivable::conflict : Unarchivable::late, scan, frame,
                       received_ms);
}

Result<Judgement> Appender::Impl::keep_conflict(Unarchivable reason, const FrameScan& scan,
                                                ByteView frame, std::int64_t received_ms) {
  const bool is_late = reason == Unarchivable::late;
  ++(is_late ? stats_.late : stats_.conflicts);
  if (core_->quarantine_admits(frame.size(), received_ms)) {
    aside_.push_back({stream_, 0, reason, received_ms, scan.envelope.seq, frame.size(),
                      std::string(as_text(frame))});
  } else {
    ++stats_.quarantine_dropped;
  }
  // A labeler re-signs its past; that is no reset (atproto labels, "Signatures" and key rotation).
  if (kind_ == StreamKind::labels && !is_late) return Judgement::conflict;
  ++conflicts_in_a_row_;
  const bool is_newer = is_past_newest(scan);
  if (conflicts_in_a_row_ >= kConflictsMax || is_newer) {
    reset("seq " + std::to_string(to_int(*scan.envelope.seq)) + " came again with other bytes" +
              (is_newer ? " and a newer time" : "") + ", newest is " +
              std::to_string(to_int(next_.newest)),
          received_ms);
  }
  return is_late ? Judgement::late : Judgement::conflict;
}

void Appender::Impl::reset(std::string_view why, std::int64_t when_ms) {
  if (was_reset_) return;
  was_reset_ = true;
  add_note(kResetNote, std::string(why), when_ms);
}

Result<std::optional<std::uint64_t>> Appender::Impl::stored_hash(Seq seq) {
  const auto by_seq = [](const auto& entry, Seq wanted) { return entry.seq < wanted; };
  const auto recent = std::lower_bound(recent_.begin(), recent_.end(), seq, by_seq);
  if (recent != recent_.end() && recent->seq == seq) return std::optional(recent->hash);
  // Between two frames in memory there is none on disk.
  if (recent != recent_.begin()) return std::optional<std::uint64_t>();

  const bool is_looked_up =
      !looked_up_.empty() && looked_up_.front().seq <= seq && seq <= looked_up_.back().seq;
  if (!is_looked_up) {
    looked_up_.clear();
    const std::shared_ptr<const EpochView> view = channel_->view();
    const auto after = std::upper_bound(
        view->partitions.begin(), view->partitions.end(), seq,
        [](Seq wanted, const PartitionInfo& partition) { return wanted < partition.first; });
    if (after == view->partitions.begin()) return std::optional<std::uint64_t>();
    const PartitionInfo& partition = *std::prev(after);
    const std::shared_lock lock(core_->store_mutex);
    if (core_->store == nullptr) return Error{Errc::closed, "the archive is closed"};
    STANDPIPE_TRY(const auto scan, core_->store->scan(partition.container, /*bulk=*/false));
    scan->seek_for_previous(group_key(partition.id, seq));
    STANDPIPE_CHECK(scan->status());
    if (!scan->valid()) return std::optional<std::uint64_t>();
    STANDPIPE_TRY(const GroupKey key, parse_group_key(scan->key()));
    if (key.partition != partition.id || key.first == kSeqNone) {
      return std::optional<std::uint64_t>();
    }
    STANDPIPE_TRY(const GroupView group, parse_group_header(scan->value()));
    looked_up_ = group.frames;
  }
  const auto found = std::lower_bound(looked_up_.begin(), looked_up_.end(), seq, by_seq);
  if (found == looked_up_.end() || found->seq != seq) return std::optional<std::uint64_t>();
  return std::optional(found->hash);
}

Result<Judgement> Appender::Impl::quarantine(Unarchivable reason, const FrameScan& scan,
                                             ByteView bytes, std::uint64_t bytes_total,
                                             std::int64_t received_ms) {
  if (was_reset_) {
    ++stats_.refused;
    return Judgement::refused;
  }
  ++stats_.quarantined;
  const ByteView kept = reason == Unarchivable::too_large
                            ? bytes.first(std::min(bytes.size(), kQuarantineHeadBytes))
                            : bytes;
  if (core_->quarantine_admits(kept.size(), received_ms)) {
    aside_.push_back({stream_, 0, reason, received_ms, scan.envelope.seq, bytes_total,
                      std::string(as_text(kept))});
  } else {
    ++stats_.quarantine_dropped;
  }
  if (const auto seq = scan.envelope.seq; seq && next_.has_origin && *seq > next_.floor) {
    ahead_.insert(*seq);
    // The nearest ones will be explained first: what is far ahead may well be invented.
    if (ahead_.size() > kAheadMax) ahead_.erase(std::prev(ahead_.end()));
    pass_quarantined();
  }
  return Judgement::quarantined;
}

// The floor passes over a quarantined seq that follows it directly, or the frame would return for
// ever. One that lies further ahead has to wait for a frame beyond it: garbage must not move the
// floor past frames that are still to come.
void Appender::Impl::pass_quarantined() {
  while (!ahead_.empty() && *ahead_.begin() == next(next_.floor)) {
    const Seq seq = *ahead_.begin();
    ahead_.erase(ahead_.begin());
    trailing_gaps_.push_back({previous(seq), next(seq), GapReason::quarantined, now_ms(), {}});
    next_.floor = seq;
    ++stats_.gaps;
  }
}

bool Appender::Impl::records_gaps() const {
  switch (density_) {
    case Density::dense:
      return true;
    case Density::sparse:
      return false;
    case Density::automatic:
      break;
  }
  // A labeler's seqs are rows of its own table; many are never sent.
  if (kind_ == StreamKind::labels) return false;
  return next_.steps < kDensitySteps || next_.steps_skipping * 4 <= next_.steps;
}

// Explains the seqs between the floor and `seq`, which is about to be accepted.
void Appender::Impl::explain_skip(Seq seq, std::vector<Gap>& gaps) {
  const GapReason reason = session_begins_ ? GapReason::outage : GapReason::upstream;
  const std::int64_t now = now_ms();
  const bool is_recorded = records_gaps();
  Seq done = next_.floor;
  const auto skip_to = [&](Seq before) {
    if (is_recorded && before > next(done)) {
      gaps.push_back({done, before, reason, now, {}});
      ++stats_.gaps;
    }
  };
  while (!ahead_.empty() && *ahead_.begin() <= seq) {
    const Seq aside = *ahead_.begin();
    ahead_.erase(ahead_.begin());
    if (aside == seq) break;  // it came again, archivable this time
    skip_to(aside);
    gaps.push_back({previous(aside), next(aside), GapReason::quarantined, now, {}});
    ++stats_.gaps;
    done = aside;
  }
  skip_to(seq);
}

PendingGroup& Appender::Impl::group_for(std::size_t wire_bytes) {
  const ArchiveOptions& options = core_->options;
  const bool is_new = groups_.empty() ||
                      groups_.back().run->frames.size() >= options.group_frames_max ||
                      groups_.back().run->wire.size() + wire_bytes > options.group_bytes_max;
  if (is_new) {
    PendingGroup& group = groups_.emplace_back();
    group.run->epoch = epoch_;
    group.run->wire.reserve(std::min(options.group_bytes_max, std::size_t{64} << 10));
  }
  return groups_.back();
}

void Appender::Impl::accept(const FrameScan& scan, ByteView frame, std::int64_t received_ms) {
  const Seq seq = *scan.envelope.seq;
  const std::size_t wire_bytes = wire_header_size(frame.size()) + frame.size();
  PendingGroup& group = group_for(wire_bytes);
  // What lies between the last group and this frame belongs to the same batch as this frame.
  group.gaps.insert(group.gaps.end(), trailing_gaps_.begin(), trailing_gaps_.end());
  trailing_gaps_.clear();
  if (next_.has_origin) {
    explain_skip(seq, group.gaps);
  } else {
    next_.has_origin = true;
    next_.origin = next_.window_floor = previous(seq);
  }
  if (next_.newest != kSeqNone && !session_begins_) {
    ++next_.steps;
    if (seq != next(next_.floor)) ++next_.steps_skipping;
  }
  session_begins_ = false;

  WireRun& run = *group.run;
  const auto offset = static_cast<std::uint32_t>(run.wire.size());
  append_wire_frame(run.wire, frame);
  const std::uint64_t hash = wire_hash(std::string_view(run.wire).substr(offset));
  if (run.frames.empty()) run.received_first_ms = received_ms;
  run.received_last_ms = received_ms;
  run.frames.push_back({seq, offset, static_cast<std::uint32_t>(wire_bytes), hash});
  group.times_ms.push_back(parse_datetime_ms(scan.envelope.time));
  recent_.push_back({seq, hash});
  if (recent_.size() > kRecentMax) recent_.pop_front();
  next_.newest = next_.floor = seq;
  ++pending_frames_;
  pending_bytes_ += wire_bytes;
  pass_quarantined();
}

void Appender::Impl::add_note(std::string_view kind, std::string text, std::int64_t when_ms) {
  // An upstream that talks without end must not fill the log; what we say ourselves always fits.
  if (kind != kResetNote && !core_->quarantine_admits(text.size(), when_ms)) {
    ++stats_.quarantine_dropped;
    return;
  }
  if (text.size() > kNoteTextBytes) text.resize(kNoteTextBytes);
  notes_.push_back({0, stream_, when_ms, std::string(kind), std::move(text)});
}

}  // namespace standpipe::storage
