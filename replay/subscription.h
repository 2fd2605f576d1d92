// What one subscriber is to get next: a position, a filter, an end. No sockets.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>

#include "replay/frame_span.h"
#include "schema/frame_filter.h"
#include "schema/seq.h"

namespace standpipe::replay {

// Where a subscriber stands. It survives every change of source, because the bytes of a frame are
// the same wherever they come from.
struct Position {
  Seq after = kSeqNone;  // everything up to here is done
  // Bytes of the wire form of frame next(after) that were sent already; 0: at a frame boundary.
  std::size_t sent = 0;
};

// What one system call is to send: slices of a FrameSpan, in order.
struct SendPlan {
  static constexpr std::size_t kSlicesMax = 64;
  struct Slice {
    std::size_t first_frame = 0;  // of the span
    std::size_t last_frame = 0;   // inclusive
    std::size_t skipped = 0;      // bytes of the first frame that were sent before
  };

  FrameSpan span;
  std::array<iovec, kSlicesMax> io{};
  std::array<Slice, kSlicesMax> slices{};
  std::size_t count = 0;  // of io and slices
  std::size_t bytes = 0;  // of all slices
  // Everything up to here is done once all slices are sent and none was cut by the limit.
  Seq judged = kSeqNone;
  bool has_cut = false;     // more of the span remains, within `until`
  bool meets_end = false;   // a frame beyond `until` follows what was planned
  bool lost_frame = false;  // the frame in progress is not there any more
};

// What was looked up already: of the frames after the position and up to `to`, these alone can pass
// the filter, wherever they are read from.
struct FoundFrames {
  static constexpr std::size_t kMax = 8;  // who gets more in one go reads on by itself
  std::array<Seq, kMax> seqs{};
  std::size_t count = 0;
  Seq to = kSeqNone;
};

// The state of one connection. One thread.
class Subscription {
 public:
  struct Wanted {
    Position start;
    std::shared_ptr<const FrameFilter> filter;  // null: every frame
    std::optional<Seq> until;                   // inclusive
  };
  explicit Subscription(Wanted wanted) : wanted_(std::move(wanted)), at_(wanted_.start) {}

  const Position& position() const { return at_; }
  bool is_at_boundary() const { return at_.sent == 0; }
  bool is_filtered() const { return wanted_.filter != nullptr; }
  const std::optional<Seq>& until() const { return wanted_.until; }
  // Nothing that is wanted can follow: the position has reached `until`.
  bool has_passed_end() const { return wanted_.until && at_.after >= *wanted_.until; }
  void move_to(Seq after) { at_ = {after, 0}; }
  // Holds until the position is beyond found.to; takes the place of what was found before.
  void look_only_at(const FoundFrames& found) { found_ = found; }

  struct Limit {
    std::size_t bytes = 0;
    bool to_boundary = false;  // no more than the rest of the frame in progress
  };
  // Plans to send what follows the position in `span`, whose first frame must be the first one
  // after the position. Judges a bounded number of frames: a plan may hold nothing and still move
  // on.
  void plan(const FrameSpan& span, const Limit& limit, SendPlan& out) const;
  // `bytes` of the plan were sent: 0 .. plan.bytes. Returns how many frames are whole with them.
  std::size_t advance(const SendPlan& plan, std::size_t bytes);

 private:
  void plan_all(const FrameSpan& span, std::size_t bytes_max, SendPlan& out) const;
  void plan_filtered(const FrameSpan& span, std::size_t bytes_max, SendPlan& out) const;
  std::size_t frames_before_end(const FrameSpan& span) const;
  std::size_t next_to_judge(const FrameSpan& span, std::size_t i) const;

  Wanted wanted_;
  FoundFrames found_;
  Position at_;
};

}  // namespace standpipe::replay
