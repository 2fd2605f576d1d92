// UpstreamConnection, the part that goes through the list of frames and the plan.
#include <algorithm>
#include <utility>

#include "tests/support/upstream_connection.h"

namespace standpipe::test {
namespace {

constexpr std::size_t kChunkBytes = 65'536;
constexpr std::size_t kFramesAtOnce = 64;

}  // namespace

// Called with out_ empty: all that was put out before is TCP's.
bool UpstreamConnection::produce() {
  if (is_mute_) return false;
  if (!filler_ && !controls_.empty()) std::swap(out_, controls_);
  if (phase_ == Phase::closing) return !out_.empty();
  if (filler_) {
    filler_->append_some(out_);
    if (filler_->is_done()) filler_.reset();
    return true;
  }
  if (is_stalled_ || waits_for_pong_) return !out_.empty();
  if (next_event_ < plan_.events.size() && plan_.events[next_event_].after <= done_) {
    apply(plan_.events[next_event_++]);
    return true;
  }
  return produce_frames() || !out_.empty();
}

bool UpstreamConnection::produce_frames() {
  bool has_moved = false;
  while (phase_ == Phase::serving && out_.size() < kChunkBytes) {
    if (next_event_ < plan_.events.size() && plan_.events[next_event_].after <= done_) break;
    const std::size_t count = frames_without_a_fault();
    if (count == 0) {
      if (!apply(*fault_of(done_ + 1))) break;
    } else {
      const auto frames = state_.take(index_, count);
      if (frames.empty()) break;
      for (const SharedFrame& frame : frames) put_frame(*frame);
      done_ += frames.size();
    }
    has_moved = true;
  }
  return has_moved;
}

// How many may be sent as they are before the plan has something to say.
std::size_t UpstreamConnection::frames_without_a_fault() const {
  std::size_t count = kFramesAtOnce;
  if (next_event_ < plan_.events.size()) {
    count = std::min(count, plan_.events[next_event_].after - done_);
  }
  for (const PlannedFault& fault : plan_.faults) {
    if (fault.frame > done_) count = std::min(count, fault.frame - done_ - 1);
  }
  return count;
}

const PlannedFault* UpstreamConnection::fault_of(std::size_t frame) const {
  const auto at = std::find_if(plan_.faults.begin(), plan_.faults.end(),
                               [frame](const PlannedFault& fault) { return fault.frame == frame; });
  return at == plan_.faults.end() ? nullptr : &*at;
}

bool UpstreamConnection::apply(const PlannedFault& fault) {
  if (fault.kind == PlannedFault::Kind::swap) return apply_swap();
  const auto taken = state_.take(index_, 1);
  if (taken.empty()) return false;
  const UpstreamFrame& frame = *taken.front();
  ++done_;
  switch (fault.kind) {
    case PlannedFault::Kind::skip:
    case PlannedFault::Kind::swap:
      break;
    case PlannedFault::Kind::replace:
      append_server_frame(out_, Opcode::binary, fault.bytes);
      break;
    case PlannedFault::Kind::repeat:
      for (std::size_t i = 0; i <= fault.count; ++i) put_frame(frame);
      break;
    case PlannedFault::Kind::fragment:
      put_pieces(frame, fault);
      break;
    case PlannedFault::Kind::cut_within:
    case PlannedFault::Kind::reset_within: {
      Bytes wire;
      append_server_frame(wire, Opcode::binary, frame.bytes);
      wire.resize(std::min(wire.size(), fault.count));
      out_.insert(out_.end(), wire.begin(), wire.end());
      if (fault.kind == PlannedFault::Kind::cut_within) {
        leave(ConnectionEnd::cut);
      } else {
        phase_ = Phase::resetting;
      }
      break;
    }
  }
  return true;
}

bool UpstreamConnection::apply_swap() {
  if (held_ == nullptr) {
    const auto first = state_.take(index_, 1);
    if (first.empty()) return false;
    held_ = first.front();
  }
  const auto second = state_.take(index_, 1);
  if (second.empty()) return false;
  put_frame(*second.front());
  put_frame(*std::exchange(held_, nullptr));
  done_ += 2;
  return true;
}

void UpstreamConnection::apply(const PlannedEvent& event) {
  switch (event.kind) {
    case PlannedEvent::Kind::cut:
      return leave(ConnectionEnd::cut);
    case PlannedEvent::Kind::reset:
      phase_ = Phase::resetting;
      return;
    case PlannedEvent::Kind::close:
      append_server_frame(out_, Opcode::close, close_payload(event.code, event.reason));
      phase_ = Phase::closing;
      return state_.end(number_, ConnectionEnd::closed);
    case PlannedEvent::Kind::stall:
    case PlannedEvent::Kind::pause:
      is_stalled_ = true;
      is_mute_ = event.kind == PlannedEvent::Kind::stall;
      return state_.update(number_, [](ConnectionRecord& record) { record.is_stalled = true; });
    case PlannedEvent::Kind::go_back:
      index_ -= static_cast<std::size_t>(std::min<std::uint64_t>(index_, event.count));
      return;
    case PlannedEvent::Kind::text:
      return append_server_frame(out_, Opcode::text, event.bytes);
    case PlannedEvent::Kind::binary:
      return append_server_frame(out_, Opcode::binary, event.bytes);
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

void UpstreamConnection::put_frame(const UpstreamFrame& frame) {
  append_server_frame(out_, Opcode::binary, frame.bytes);
  marks_.push_back({out_.size(), frame.seq});
}

void UpstreamConnection::put_pieces(const UpstreamFrame& frame, const PlannedFault& fault) {
  const std::size_t size = (frame.bytes.size() + fault.count - 1) / fault.count;
  ByteView left = frame.bytes;
  for (std::size_t i = 0; i < fault.count; ++i) {
    if (i > 0 && fault.has_pings) append_server_frame(out_, Opcode::ping, {});
    const ByteView piece = left.first(std::min(size, left.size()));
    left = left.subspan(piece.size());
    append_server_frame(out_, i == 0 ? Opcode::binary : Opcode::continuation, piece,
                        i + 1 == fault.count);
  }
  marks_.push_back({out_.size(), frame.seq});
}

}  // namespace standpipe::test
