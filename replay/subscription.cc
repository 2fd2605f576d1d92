#include "replay/subscription.h"

#include <algorithm>

#include "schema/base/assert.h"

namespace standpipe::replay {
namespace {

// Of a filtered subscriber: what one plan may look at, so that a filter which lets nothing through
// does not hold up the others of its thread.
constexpr std::size_t kJudgedMax = 2048;
// A filtered gather goes out at this size: more slices cost more than they save.
constexpr std::size_t kGatherBytesMax = 64 << 10;

// Adds `size` bytes of frames [first, last], or extends the last slice where they adjoin.
void add_slice(SendPlan& plan, std::size_t first, std::size_t last, std::size_t skipped,
               std::size_t size) {
  const char* begin = plan.span.wire + plan.span.frames[first].offset + skipped;
  plan.bytes += size;
  if (plan.count > 0) {
    iovec& before = plan.io[plan.count - 1];
    if (static_cast<const char*>(before.iov_base) + before.iov_len == begin) {
      before.iov_len += size;
      plan.slices[plan.count - 1].last_frame = last;
      return;
    }
  }
  // sendmsg does not write through it.
  plan.io[plan.count] = {const_cast<char*>(begin), size};
  plan.slices[plan.count] = {first, last, skipped};
  ++plan.count;
}

}  // namespace

// Frames beyond `until` are not ours.
std::size_t Subscription::frames_before_end(const FrameSpan& span) const {
  if (!wanted_.until || span.frames.back().seq <= *wanted_.until) return span.frames.size();
  const auto beyond =
      std::upper_bound(span.frames.begin(), span.frames.end(), *wanted_.until,
                       [](Seq seq, const storage::RunFrame& frame) { return seq < frame.seq; });
  return static_cast<std::size_t>(beyond - span.frames.begin());
}

void Subscription::plan(const FrameSpan& span, const Limit& limit, SendPlan& out) const {
  out.span = span;
  out.count = out.bytes = 0;
  out.judged = at_.after;
  out.has_cut = out.meets_end = out.lost_frame = false;
  if (span.empty()) return;
  STANDPIPE_ASSERT(span.frames.front().seq > at_.after, "a plan begins after the position");
  if (at_.sent > 0) {
    // The rest of a frame that has begun comes first, whatever a filter says of it now.
    const storage::RunFrame& frame = span.frames.front();
    if (frame.seq != next(at_.after) || frame.length < at_.sent) {
      out.lost_frame = true;
      return;
    }
  }
  if (at_.sent > 0 && (limit.to_boundary || is_filtered())) {
    const std::size_t rest = span.frames.front().length - at_.sent;
    const std::size_t size = std::min(rest, limit.bytes);
    if (size > 0) add_slice(out, 0, 0, at_.sent, size);
    out.has_cut = size < rest;
    out.judged = span.frames.front().seq;
    return;
  }
  if (limit.to_boundary) return;
  const std::size_t ours = frames_before_end(span);
  out.meets_end = ours < span.frames.size();
  const FrameSpan wanted{span.wire, span.frames.first(ours), span.keys};
  if (wanted.empty()) return;
  if (is_filtered()) {
    plan_filtered(wanted, std::min(limit.bytes, kGatherBytesMax), out);
  } else {
    plan_all(wanted, limit.bytes, out);
  }
}

void Subscription::plan_all(const FrameSpan& span, std::size_t bytes_max, SendPlan& out) const {
  const storage::RunFrame& last = span.frames.back();
  const std::size_t whole =
      std::size_t{last.offset} + last.length - span.frames.front().offset - at_.sent;
  const std::size_t size = std::min(whole, bytes_max);
  if (size > 0) add_slice(out, 0, span.frames.size() - 1, at_.sent, size);
  out.has_cut = size < whole;
  if (out.has_cut) out.meets_end = false;
  out.judged = last.seq;
}

// The first frame at or after `i` that the filter may let through.
std::size_t Subscription::next_to_judge(const FrameSpan& span, std::size_t i) const {
  if (i == span.frames.size() || span.frames[i].seq > found_.to) return i;
  const auto found_end = found_.seqs.begin() + static_cast<std::ptrdiff_t>(found_.count);
  const auto found = std::lower_bound(found_.seqs.begin(), found_end, span.frames[i].seq);
  const Seq target = found != found_end ? *found : next(found_.to);
  const auto frames = span.frames.subspan(i);
  const auto at = std::lower_bound(
      frames.begin(), frames.end(), target,
      [](const storage::RunFrame& frame, Seq wanted) { return frame.seq < wanted; });
  return i + static_cast<std::size_t>(at - frames.begin());
}

void Subscription::plan_filtered(const FrameSpan& span, std::size_t bytes_max,
                                 SendPlan& out) const {
  std::size_t i = 0;
  for (std::size_t judged = 0; judged < kJudgedMax; ++judged, ++i) {
    const std::size_t from = i;
    i = next_to_judge(span, i);
    if (i > from) out.judged = span.frames[i - 1].seq;
    if (i == span.frames.size()) break;
    if (passes(*wanted_.filter, span, i)) {
      if (out.count == SendPlan::kSlicesMax || out.bytes >= bytes_max) break;
      const std::size_t size = std::min<std::size_t>(span.frames[i].length, bytes_max - out.bytes);
      add_slice(out, i, i, 0, size);
      if (size < span.frames[i].length) {
        out.has_cut = true;
        break;
      }
    }
    out.judged = span.frames[i].seq;
  }
  if (i < span.frames.size()) {
    out.has_cut = true;
    out.meets_end = false;
  }
}

std::size_t Subscription::advance(const SendPlan& plan, std::size_t bytes) {
  STANDPIPE_ASSERT(bytes <= plan.bytes, "no more can be sent than was planned");
  std::size_t left = bytes;
  std::size_t whole = 0;
  for (std::size_t s = 0; s < plan.count; ++s) {
    const SendPlan::Slice& slice = plan.slices[s];
    if (left > plan.io[s].iov_len || (left == plan.io[s].iov_len && s + 1 < plan.count)) {
      left -= plan.io[s].iov_len;
      whole += slice.last_frame - slice.first_frame + 1;
      continue;
    }
    // The end lies in this slice, or at its end: find the frame.
    const auto frames =
        plan.span.frames.subspan(slice.first_frame, slice.last_frame - slice.first_frame + 1);
    const std::size_t end = frames.front().offset + slice.skipped + left;
    const storage::RunFrame& last = frames.back();
    if (end == std::size_t{last.offset} + last.length) {
      const bool is_all = bytes == plan.bytes;
      at_ = {is_all ? std::max(plan.judged, last.seq) : last.seq, 0};
      return whole + frames.size();
    }
    const auto beyond = std::upper_bound(
        frames.begin(), frames.end(), end,
        [](std::size_t offset, const storage::RunFrame& frame) { return offset < frame.offset; });
    const storage::RunFrame& in_progress = *std::prev(beyond);
    at_ = {previous(in_progress.seq), end - in_progress.offset};
    return whole + static_cast<std::size_t>(&in_progress - &frames.front());
  }
  at_ = {std::max(plan.judged, at_.after), 0};  // nothing was to be sent: judged, and passed over
  return 0;
}

}  // namespace standpipe::replay
