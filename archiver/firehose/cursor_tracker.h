// Up to where everything is done, while several workers finish in whatever order.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>

#include "schema/seq.h"

namespace standpipe::firehose {

/// Give it every frame's seq when it arrives, and again when its work is done; cursor() is then
/// what may be saved: nothing at or below it is still to do. A frame that is slow holds the cursor
/// back, not the frames after it.
///
/// Any thread. Holds at most `in_flight_max` seqs.
class CursorTracker {
 public:
  /// `start`: what was done before; nullopt: nothing is known to be.
  /// `in_flight_max`: at least 1; seqs that have begun and that cursor() has not passed.
  explicit CursorTracker(std::optional<Seq> start = std::nullopt,
                         std::size_t in_flight_max = 10'000);

  /// Work on `seq` begins. Seqs rise: false, and nothing happens, where this one does not. Waits
  /// while `in_flight_max` of them are in flight, which is the back-pressure; false once closed.
  bool begin(Seq seq);

  /// It is done, or given up for good. False where it has not begun, or was done already.
  bool done(Seq seq);

  /// The greatest seq that has been done together with all that began before it.
  std::optional<Seq> cursor() const;
  std::size_t in_flight() const;

  /// Ends every begin() that waits, and those to come. done() and cursor() go on as before.
  void close();

 private:
  struct Entry {
    Seq seq;
    bool is_done = false;
  };

  const std::size_t in_flight_max_;
  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::deque<Entry> entries_;  // by seq; the first is not done
  std::optional<Seq> newest_;  // that has begun
  std::optional<Seq> cursor_;
  bool is_closed_ = false;
};

}  // namespace standpipe::firehose
