// Connection, the part that goes through the list of frames and the plan.
#include <algorithm>
#include <utility>

#include "tools/play/connection.h"
#include "tools/play/frame_edit.h"

namespace standpipe::tools::play {
namespace {

constexpr std::size_t kFramesAtOnce = 64;

}  // namespace

// Those after the same frame happen in the order of the plan; so, for where several become due at
// once, the earlier ones come first in it.
void Connection::order_plan() {
  const auto key = [this](const PlannedEvent& event) {
    const std::size_t at = event.after.at;
    if (event.after.by == FrameRef::By::count) return at;
    return at < first_index_ ? SIZE_MAX : at + 1 - first_index_;
  };
  std::stable_sort(
      plan_.events.begin(), plan_.events.end(),
      [&key](const PlannedEvent& a, const PlannedEvent& b) { return key(a) < key(b); });
  events_done_.assign(plan_.events.size(), false);
  faults_done_.assign(plan_.faults.size(), false);
}

// Called with out_ empty: all that was put out before is TCP's.
bool Connection::produce() {
  if (is_mute_) return false;
  if (!filler_ && !controls_.empty()) std::swap(out_, controls_);
  if (phase_ == Phase::closing) return !out_.empty();
  if (filler_) {
    filler_->append_some(out_);
    if (filler_->is_done()) filler_.reset();
    return true;
  }
  if (copies_) {
    put_copies();
    return true;
  }
  if (is_stalled_ || waits_for_pong_ || is_delayed()) return !out_.empty();
  if (const auto due = due_event()) {
    events_done_[*due] = true;
    apply(plan_.events[*due]);
    return true;
  }
  if (produce_frames()) return true;
  note_caught_up();
  return !out_.empty();
}

bool Connection::is_delayed() {
  if (is_delayed_ && std::chrono::steady_clock::now() >= resume_at_) is_delayed_ = false;
  return is_delayed_;
}

void Connection::note_caught_up() {
  if (is_caught_up_ || !state_.is_at_end(index_)) return;
  awaits_acknowledgement_ = !stream_.is_acknowledged();
  if (awaits_acknowledgement_) return;
  is_caught_up_ = true;
  record([](ConnectionRecord& record) { record.is_caught_up = true; });
}

bool Connection::is_due(const PlannedEvent& event) const {
  if (event.after.by == FrameRef::By::count) return event.after.at <= done_;
  return event.after.at >= first_index_ && event.after.at < index_;
}

std::optional<std::size_t> Connection::due_event() const {
  for (std::size_t i = 0; i < plan_.events.size(); ++i) {
    if (!events_done_[i] && is_due(plan_.events[i])) return i;
  }
  return std::nullopt;
}

bool Connection::produce_frames() {
  bool has_moved = false;
  while (phase_ == Phase::serving && out_.size() < kChunkBytes && !copies_ && !due_event()) {
    const std::size_t count = frames_without_a_fault();
    if (count == 0) {
      if (!apply_faults()) break;
    } else {
      const auto frames = state_.take(index_, count);
      if (frames.empty()) break;
      for (const SharedFrame& frame : frames) put_frame(*frame);
      done_ += frames.size();
      last_seq_ = frames.back()->seq;
    }
    has_moved = true;
  }
  return has_moved;
}

// How many may be sent as they are before the plan has something to say.
std::size_t Connection::frames_without_a_fault() const {
  std::size_t count = kFramesAtOnce;
  for (std::size_t i = 0; i < plan_.events.size(); ++i) {
    const FrameRef& after = plan_.events[i].after;
    const bool is_by_count = after.by == FrameRef::By::count;
    const std::size_t position = is_by_count ? done_ : index_;
    const std::size_t last = is_by_count ? after.at : after.at + 1;
    if (!events_done_[i] && last > position) count = std::min(count, last - position);
  }
  for (std::size_t i = 0; i < plan_.faults.size(); ++i) {
    const FrameRef& frame = plan_.faults[i].frame;
    const std::size_t position = frame.by == FrameRef::By::count ? done_ + 1 : index_;
    if (!faults_done_[i] && frame.at >= position) count = std::min(count, frame.at - position);
  }
  return count;
}

bool Connection::is_next(const PlannedFault& fault) const {
  return fault.frame.at == (fault.frame.by == FrameRef::By::count ? done_ + 1 : index_);
}

// Of the frame that is done with, or the last one.
bool Connection::may_happen(FaultId id) const {
  const auto& asked = state_.options().on_fault;
  if (id == kFaultAlways || !asked) return true;
  const bool may = asked(id, {*number_, done_, last_seq_});
  state_.touch();
  return may;
}

// The first that happens is the frame's; the others are done with, too.
bool Connection::apply_faults() {
  const std::size_t first_due = index_;
  std::size_t next = index_;
  const auto frames = state_.take(next, 2);
  if (frames.empty()) return false;
  const bool may_get_second =
      frames.size() == 1 && !(state_.options().is_complete && state_.is_at_end(next));
  std::vector<std::size_t> due;
  for (std::size_t i = 0; i < plan_.faults.size(); ++i) {
    if (!faults_done_[i] && is_next(plan_.faults[i])) due.push_back(i);
  }
  const auto last_seq_before = last_seq_;
  index_ = next - (frames.size() - 1);
  ++done_;
  last_seq_ = frames.front()->seq;
  bool has_happened = false;
  for (const std::size_t i : due) {
    const PlannedFault& fault = plan_.faults[i];
    const bool is_swap = fault.kind == PlannedFault::Kind::swap;
    if (!has_happened && is_swap && may_get_second) {
      // Until it is there. The faults before this one did not happen, and are not asked again.
      index_ = first_due;
      --done_;
      last_seq_ = last_seq_before;
      return false;
    }
    faults_done_[i] = true;
    if (has_happened) continue;
    has_happened = is_swap ? apply_swap(fault, frames) : apply(fault, frames.front());
  }
  if (!has_happened) put_frame(*frames.front());
  return true;
}

// Faults are to what would go out, its new seq included.
bool Connection::apply(const PlannedFault& fault, const SharedFrame& frame) {
  const auto renumber_before = renumber_;
  if (fault.kind == PlannedFault::Kind::renumber) {
    renumber_ = static_cast<std::int64_t>(fault.count);
  }
  const Outgoing out = outgoing(*frame);
  if (apply_to(fault, frame, out)) return true;
  renumber_ = renumber_before;
  return false;
}

bool Connection::apply_to(const PlannedFault& fault, const SharedFrame& frame,
                          const Outgoing& out) {
  using Kind = PlannedFault::Kind;
  if (fault.kind == Kind::cut_within || fault.kind == Kind::reset_within) {
    return apply_cut(fault, out);
  }
  std::optional<Bytes> edited;
  if (fault.kind == Kind::edit) {
    edited = fault.edit(out.bytes);
    if (!edited) return false;
  }
  if (fault.kind == Kind::renumber && !with_seq(out.bytes, 1)) return false;
  if (!may_happen(fault.id)) return false;
  if (fault.kind == Kind::edit) {
    put_message(Opcode::binary, *edited, out.seq);
  } else if (fault.kind == Kind::fragment) {
    put_pieces(out, fault);
  } else if (fault.kind == Kind::repeat) {
    copies_ = Copies{frame, out, fault.count + 1};
    put_copies();
  } else if (fault.kind == Kind::renumber) {
    put_message(Opcode::binary, out.bytes, out.seq);
  }
  return true;
}

// As many as are put out at once; a frame may be large, and its copies are many.
void Connection::put_copies() {
  do {
    put_message(Opcode::binary, copies_->out.bytes, copies_->out.seq);
  } while (--copies_->left > 0 && out_.size() < kChunkBytes);
  if (copies_->left == 0) copies_.reset();
}

bool Connection::apply_cut(const PlannedFault& fault, const Outgoing& out) {
  Bytes wire;
  append_server_frame(wire, Opcode::binary, out.bytes);
  if (fault.count >= wire.size() || !may_happen(fault.id)) return false;
  wire.resize(fault.count);
  out_.insert(out_.end(), wire.begin(), wire.end());
  if (fault.kind == PlannedFault::Kind::cut_within) {
    leave(ConnectionEnd::cut);
  } else {
    phase_ = Phase::resetting;
  }
  return true;
}

bool Connection::apply_swap(const PlannedFault& fault, const std::vector<SharedFrame>& frames) {
  if (frames.size() < 2 || !may_happen(fault.id)) return false;
  put_frame(*frames.back());
  put_frame(*frames.front());
  ++index_;
  ++done_;
  last_seq_ = frames.back()->seq;
  return true;
}

void Connection::apply(const PlannedEvent& event) {
  const bool is_possible = !event.index || *event.index < index_;  // back, that is
  const bool is_asked_for = !event.follows || has_event_happened_;
  has_event_happened_ = is_possible && is_asked_for && may_happen(event.id);
  if (!has_event_happened_) return;
  switch (event.kind) {
    case PlannedEvent::Kind::cut:
      return leave(ConnectionEnd::cut);
    case PlannedEvent::Kind::reset:
      phase_ = Phase::resetting;
      return;
    case PlannedEvent::Kind::close:
      append_server_frame(out_, Opcode::close, close_payload(event.code, event.reason));
      phase_ = Phase::closing;
      return record_end(ConnectionEnd::closed);
    case PlannedEvent::Kind::stall:
    case PlannedEvent::Kind::pause:
      is_stalled_ = true;
      is_mute_ = event.kind == PlannedEvent::Kind::stall;
      return record([](ConnectionRecord& record) { record.is_stalled = true; });
    case PlannedEvent::Kind::delay:
      is_delayed_ = true;
      resume_at_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(event.count);
      return;
    case PlannedEvent::Kind::go_back:
      index_ = event.index.value_or(
          index_ - static_cast<std::size_t>(std::min<std::uint64_t>(index_, event.count)));
      return;
    case PlannedEvent::Kind::text:
      return put_message(Opcode::text, event.bytes);
    case PlannedEvent::Kind::binary:
      return put_message(Opcode::binary, event.bytes);
    case PlannedEvent::Kind::filler:
      filler_.emplace(event.count, event.bytes, event.piece);
      return;
    case PlannedEvent::Kind::raw:
      out_.insert(out_.end(), event.bytes.begin(), event.bytes.end());
      return;
    case PlannedEvent::Kind::ping:
      waits_for_pong_ = event.waits_for_pong;
      return append_server_frame(out_, Opcode::ping, event.bytes);
  }
}

// Once for each frame that is gone past: from a renumbering on, it counts.
Connection::Outgoing Connection::outgoing(const PlayFrame& frame) {
  if (!renumber_) return {frame.bytes, frame.seq};
  auto renumbered = with_seq(frame.bytes, *renumber_);
  if (!renumbered) return {frame.bytes, frame.seq};
  renumbered_ = std::move(*renumbered);
  return {renumbered_, (*renumber_)++};
}

void Connection::put_frame(const PlayFrame& frame) {
  const Outgoing out = outgoing(frame);
  put_message(Opcode::binary, out.bytes, out.seq);
}

void Connection::put_message(Opcode opcode, ByteView payload, std::optional<std::int64_t> seq) {
  append_server_frame(out_, opcode, payload);
  hash_.update(payload);
  marks_.push_back({out_.size(), seq, payload.size(), hash_.so_far()});
}

void Connection::put_pieces(const Outgoing& frame, const PlannedFault& fault) {
  const std::size_t size = (frame.bytes.size() + fault.count - 1) / fault.count;
  ByteView left = frame.bytes;
  for (std::size_t i = 0; i < fault.count; ++i) {
    if (i > 0 && fault.has_pings) append_server_frame(out_, Opcode::ping, {});
    const ByteView piece = left.first(std::min(size, left.size()));
    left = left.subspan(piece.size());
    append_server_frame(out_, i == 0 ? Opcode::binary : Opcode::continuation, piece,
                        i + 1 == fault.count);
  }
  hash_.update(frame.bytes);
  marks_.push_back({out_.size(), frame.seq, frame.bytes.size(), hash_.so_far()});
}

}  // namespace standpipe::tools::play
