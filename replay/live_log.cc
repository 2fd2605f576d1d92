#include "replay/live_log.h"

#include <algorithm>
#include <cstring>

#include "schema/base/assert.h"

namespace standpipe::replay {
namespace {

// Frames are some 5 KB; a segment of small ones is full before its bytes are.
constexpr std::size_t kBytesPerIndexEntry = 1024;
constexpr std::size_t kFirstSegmentBytes = 256 << 10;

}  // namespace

LiveSegment::LiveSegment(std::uint64_t number, Seq floor, Size capacity)
    : number_(number),
      floor_(floor),
      capacity_(capacity),
      wire_(new char[capacity.bytes]),  // not zeroed: pages are taken as they are written
      index_(new storage::RunFrame[capacity.frames]),
      keys_(new FrameKeys[capacity.frames]) {}

bool LiveSegment::has_room(std::size_t wire_bytes) const {
  return written_ < capacity_.frames && capacity_.bytes - bytes_ >= wire_bytes;
}

void LiveSegment::append(const storage::RunFrame& frame, std::string_view wire) {
  const std::size_t i = written_;
  std::memcpy(wire_.get() + bytes_, wire.data(), wire.size());
  index_[i] = {frame.seq, static_cast<std::uint32_t>(bytes_), frame.length, frame.hash};
  bytes_ += wire.size();
  const FrameSpan span{wire_.get(), {index_.get(), i + 1}, nullptr};
  keys_[i] = frame.length == 0 ? FrameKeys{} : frame_keys(span.frame_of(i));
  ++written_;
}

LiveLog::LiveLog(Seq floor, Limits limits)
    : limits_(limits), newest_(to_int(floor)), floor_(floor) {}

void LiveLog::publish(const storage::WireRun& run) {
  Seq last = newest();
  for (std::size_t i = 0; i < run.frames.size(); ++i) {
    const storage::RunFrame& frame = run.frames[i];
    if (frame.seq <= last) continue;
    LiveSegment& segment = segment_for(last, frame.length);
    segment.append(frame, as_text(run.wire_of(i)));
    last = frame.seq;
  }
  if (open_ == nullptr) return;
  open_->count_.store(open_->written_, std::memory_order_release);
  newest_.store(to_int(last), std::memory_order_release);
}

// The open segment, or a new one after it where the frame does not fit.
LiveSegment& LiveLog::segment_for(Seq previous, std::size_t wire_bytes) {
  if (open_ != nullptr && open_->has_room(wire_bytes)) return *open_;
  if (open_ != nullptr) open_->count_.store(open_->written_, std::memory_order_release);
  // A quiet stream must not hold a large segment: they grow to their size.
  std::size_t bytes = limits_.segment_bytes;
  if (next_number_ < 2) bytes = std::min(bytes, kFirstSegmentBytes << (2 * next_number_));
  bytes = std::max(bytes, wire_bytes);
  const LiveSegment::Size capacity{bytes, std::max<std::size_t>(1, bytes / kBytesPerIndexEntry)};
  auto segment = std::make_shared<LiveSegment>(next_number_++, previous, capacity);
  std::deque<std::shared_ptr<LiveSegment>> retired;  // freed without the lock
  {
    const std::lock_guard lock(mutex_);
    if (open_ != nullptr) bytes_ += open_->bytes_;
    segments_.push_back(segment);
    while (segments_.size() > 1 && bytes_ > limits_.bytes_max) {
      bytes_ -= segments_.front()->bytes_;
      retired.push_back(std::move(segments_.front()));
      segments_.pop_front();
    }
    floor_ = segments_.front()->floor();
    ++structure_;
  }
  open_ = segment.get();
  return *open_;
}

std::size_t LiveLog::bytes() const {
  const std::lock_guard lock(mutex_);
  if (segments_.empty()) return 0;
  const FrameSpan open = segments_.back()->published();
  const std::size_t open_bytes =
      open.empty() ? 0 : open.frames.back().offset + open.frames.back().length;
  return bytes_ + open_bytes;
}

LiveTail::LiveTail(const LiveLog& log) : log_(&log), floor_(kSeqNone) { refresh(); }

void LiveTail::refresh() {
  std::deque<LiveSegmentPtr> retired;
  {
    const std::lock_guard lock(log_->mutex_);
    if (structure_ == log_->structure_) return;
    structure_ = log_->structure_;
    floor_ = log_->floor_;
    // A log that has begun always holds its newest segment.
    const std::uint64_t first = log_->segments_.empty() ? 0 : log_->segments_.front()->number();
    while (!segments_.empty() && segments_.front()->number() < first) {
      retired.push_back(std::move(segments_.front()));
      segments_.pop_front();
    }
    const std::uint64_t next = segments_.empty() ? first : segments_.back()->number() + 1;
    for (std::size_t i = next - first; i < log_->segments_.size(); ++i) {
      segments_.push_back(log_->segments_[i]);
    }
  }
}

Seq LiveTail::newest() const {
  if (segments_.empty()) return floor_;
  const LiveSegment& last = *segments_.back();
  const FrameSpan span = last.published();
  return span.empty() ? last.floor() : span.frames.back().seq;
}

Seq LiveTail::reentry_floor() const {
  return segments_.size() < 2 ? floor_ : segments_[1]->floor();
}

FrameSpan LiveTail::read_after(Seq after, Place& place) const {
  STANDPIPE_ASSERT(holds(after), "a position below the floor is not in the live log");
  if (segments_.empty()) return {};
  std::size_t at = segments_.size() - 1;
  const std::uint64_t first = segments_.front()->number();
  if (place.is_known && place.segment >= first) {
    at = std::min<std::size_t>(place.segment - first, at);
  } else {
    while (at > 0 && segments_[at]->floor() > after) --at;
    place = {segments_[at]->number(), 0, true};
  }
  for (; at < segments_.size(); ++at) {
    const LiveSegment& segment = *segments_[at];
    const FrameSpan span = segment.published();
    if (place.segment != segment.number()) place = {segment.number(), 0, true};
    // The archive may have given out what was published here only afterwards.
    while (place.frame < span.frames.size() && span.frames[place.frame].seq <= after) {
      const bool is_far = span.frames[place.frame].seq < after;
      if (is_far && place.frame == 0) {
        const auto found = std::upper_bound(
            span.frames.begin(), span.frames.end(), after,
            [](Seq wanted, const storage::RunFrame& frame) { return wanted < frame.seq; });
        place.frame = static_cast<std::size_t>(found - span.frames.begin());
      } else {
        ++place.frame;
      }
    }
    if (place.frame < span.frames.size()) {
      return {span.wire, span.frames.subspan(place.frame), span.keys + place.frame};
    }
  }
  return {};
}

}  // namespace standpipe::replay
