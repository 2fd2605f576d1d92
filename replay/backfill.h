// Archive reads for subscribers that are below the live log: on a bounded pool, off the network
// threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "schema/base/result.h"
#include "storage/archive.h"

namespace standpipe::replay {

// Threads that may block on the disk. Jobs run in the order in which they came; each subscriber has
// one at a time, so their number is bounded by that of the subscribers.
class ReadPool {
 public:
  explicit ReadPool(std::size_t threads);
  ~ReadPool();  // waits for the jobs that run; those that wait are dropped
  ReadPool(const ReadPool&) = delete;
  ReadPool& operator=(const ReadPool&) = delete;

  void submit(std::function<void()> job);
  std::size_t pending() const;  // jobs that have not ended. Any thread.

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// One subscriber's way through the archive. Holds no iterator and no lock between reads, so that
// it may stand still for ever. One read at a time; `done` is called on a thread of the pool.
class Backfill : public std::enable_shared_from_this<Backfill> {
 public:
  static Result<std::shared_ptr<Backfill>> open(const storage::Archive& archive,
                                                storage::StreamId stream,
                                                storage::EpochNumber epoch, ReadPool& pool);

  using StepDone = std::function<void(Result<storage::ReadStep>)>;
  void read_after(Seq after, StepDone done);
  // Where a subscriber begins that asks for a time.
  struct TimeStart {
    Seq after = kSeqNone;
    bool is_before_oldest = false;  // the time lies before the oldest frame that is held
  };
  using TimeDone = std::function<void(Result<TimeStart>)>;
  // No frame of that time or later is missed, as far as upstream sends them about in order. The
  // archive's clock alone would miss some: it is a median, and lags behind by half a window.
  void start_at(std::int64_t time_ms, TimeDone done);

 private:
  using FrameCall = std::function<bool(const storage::WireRun& run, std::size_t index)>;
  Result<void> walk(Seq after, const FrameCall& take);
  Result<TimeStart> find_start(std::int64_t time_ms);

  Backfill(storage::Reader reader, ReadPool& pool) : reader_(std::move(reader)), pool_(&pool) {}

  storage::Reader reader_;  // of whoever reads
  ReadPool* pool_;          // not ours
};

}  // namespace standpipe::replay
