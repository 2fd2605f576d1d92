// The newest frames of an epoch, in memory and in wire form: what live subscribers are sent from.
//
// One writer appends; any number of network threads read, each through a LiveTail of its own. The
// log knows its floor: it holds every durable frame after it, and nothing before. Whoever stands
// below the floor reads the archive, by the same position.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "replay/frame_span.h"
#include "schema/seq.h"
#include "storage/run.h"

namespace standpipe::replay {

// A piece of the log. Bytes and index have a fixed place, and are written once, before the number
// of frames that covers them is stored: so readers need no lock.
class LiveSegment {
 public:
  struct Size {
    std::size_t bytes = 0;
    std::size_t frames = 0;
  };
  LiveSegment(std::uint64_t number, Seq floor, Size capacity);
  LiveSegment(const LiveSegment&) = delete;
  LiveSegment& operator=(const LiveSegment&) = delete;

  std::uint64_t number() const { return number_; }  // counts up within a log
  Seq floor() const { return floor_; }              // its frames come after this one

  // The frames that are published so far. Any thread; the span is valid as long as the segment.
  FrameSpan published() const {
    return {wire_.get(), {index_.get(), count_.load(std::memory_order_acquire)}, keys_.get()};
  }

 private:
  friend class LiveLog;
  bool has_room(std::size_t wire_bytes) const;
  void append(const storage::RunFrame& frame, std::string_view wire);

  const std::uint64_t number_;
  const Seq floor_;
  const Size capacity_;
  const std::unique_ptr<char[]> wire_;
  const std::unique_ptr<storage::RunFrame[]> index_;
  const std::unique_ptr<FrameKeys[]> keys_;
  std::size_t bytes_ = 0;               // the writer's alone
  std::size_t written_ = 0;             // likewise; published by count_
  std::atomic<std::size_t> count_ = 0;  // frames that readers may look at
};

using LiveSegmentPtr = std::shared_ptr<const LiveSegment>;

class LiveLog {
 public:
  struct Limits {
    std::size_t bytes_max = 256 << 20;    // wire bytes kept; the newest segment always stays
    std::size_t segment_bytes = 4 << 20;  // a larger frame gets a segment of its own
  };

  // `floor`: the newest durable seq at that time. Memory is taken with the first frame.
  LiveLog(Seq floor, Limits limits);

  // Appends frames that have become durable; those at or below newest() are passed over, for the
  // archive has them. One thread; commits must come in their order.
  void publish(const storage::WireRun& run);

  // Newest seq that was published, or the floor it began with. Any thread.
  Seq newest() const { return Seq{newest_.load(std::memory_order_acquire)}; }
  std::size_t bytes() const;  // wire bytes held. Any thread.

 private:
  friend class LiveTail;
  LiveSegment& segment_for(Seq previous, std::size_t wire_bytes);

  const Limits limits_;
  std::atomic<std::int64_t> newest_;
  // The writer's alone:
  LiveSegment* open_ = nullptr;    // the last of segments_
  std::uint64_t next_number_ = 0;  // of the next segment

  mutable std::mutex mutex_;  // guards everything below; held for moments
  std::deque<std::shared_ptr<LiveSegment>> segments_;
  std::size_t bytes_ = 0;        // of all of them
  Seq floor_;                    // of the oldest segment held
  std::uint64_t structure_ = 1;  // grows whenever segments_ changes
};

// One network thread's hold on a log. The thread's subscribers send from the segments that it
// holds; a segment that the log has let go lives until refresh().
class LiveTail {
 public:
  explicit LiveTail(const LiveLog& log);

  // Takes over what the log holds now. Cheap where no segment came or went.
  void refresh();

  Seq floor() const { return floor_; }
  Seq newest() const;  // of the segments that are held, as they are now; the floor without a frame
  // Of the second oldest segment: whoever comes back from the archive should stand above it, or
  // would fall out again at once. The floor itself while there is only one segment.
  Seq reentry_floor() const;
  bool holds(Seq after) const { return after >= floor_; }

  // Where a subscriber stands: saves looking it up.
  struct Place {
    std::uint64_t segment = 0;  // its number
    std::size_t frame = 0;      // index in it
    bool is_known = false;
  };
  // The frames after `after` in the segment that holds the first of them; empty when caught up.
  // `after` must not be below the floor. `place`: of the last call with a position that was not
  // later; is set to the first frame that is returned.
  FrameSpan read_after(Seq after, Place& place) const;

 private:
  const LiveLog* log_;  // not ours
  std::deque<LiveSegmentPtr> segments_;
  Seq floor_;
  std::uint64_t structure_ = 0;
};

}  // namespace standpipe::replay
