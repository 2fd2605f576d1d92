// Threads that judge frames, and give them back in the order in which they were given.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/frame_verdict.h"
#include "schema/key_source.h"

namespace standpipe::tools {

// Frames that one thread judges in one go.
struct VerifyBatch {
  std::vector<Bytes> frames;
  std::size_t bytes = 0;               // sum of frames[i].size()
  std::vector<FrameVerdict> verdicts;  // of each frame, once it is judged

  bool is_full() const { return frames.size() >= kFramesMax || bytes >= kBytesMax; }
  static constexpr std::size_t kFramesMax = 64;
  static constexpr std::size_t kBytesMax = 256 << 10;
};

// push and pop by one thread.
class VerifyPool {
 public:
  // `keys` must outlive it.
  VerifyPool(std::size_t threads, KeySource& keys);
  ~VerifyPool();  // what is under way is judged no further
  VerifyPool(const VerifyPool&) = delete;
  VerifyPool& operator=(const VerifyPool&) = delete;

  // Whether more would only lie in wait: pop first. Bounds what is held to two batches a thread and
  // 64 MiB, of which one batch may be more.
  bool is_full() const;
  void push(VerifyBatch batch);
  bool has_work() const;  // there is something to pop
  // The oldest batch; waits until it is judged. limit: not enough memory to judge it.
  Result<VerifyBatch> pop();

 private:
  struct Job {
    VerifyBatch batch;
    bool is_done = false;
    std::optional<Error> error;
  };
  void work();

  KeySource& keys_;
  const std::size_t jobs_max_;
  std::size_t bytes_ = 0;  // of all jobs; of the thread that pushes and pops

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable waiting_;
  std::condition_variable done_;
  std::deque<std::unique_ptr<Job>> jobs_;  // in the order given
  std::deque<Job*> open_;                  // of these, which nobody has taken; not ours
  bool is_ending_ = false;

  std::vector<std::thread> threads_;
};

}  // namespace standpipe::tools
