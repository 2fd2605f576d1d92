#include "tools/verify_pool.h"

#include <exception>
#include <utility>

#include "schema/base/assert.h"

namespace standpipe::tools {
namespace {

constexpr std::size_t kBytesInFlightMax = 64 << 20;

std::optional<Error> judge(VerifyBatch& batch, KeySource& keys) {
  try {
    batch.verdicts.reserve(batch.frames.size());
    for (Bytes& frame : batch.frames) {
      batch.verdicts.push_back(judge_frame(frame, keys));
      frame = Bytes();  // what is left of it is its verdict
    }
    return std::nullopt;
  } catch (const std::exception& error) {
    return Error{Errc::limit, std::string("cannot judge a frame: ") + error.what()};
  }
}

}  // namespace

VerifyPool::VerifyPool(std::size_t threads, KeySource& keys) : keys_(keys), jobs_max_(threads * 2) {
  threads_.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

VerifyPool::~VerifyPool() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  waiting_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool VerifyPool::is_full() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size() >= jobs_max_ || bytes_ >= kBytesInFlightMax;
}

void VerifyPool::push(VerifyBatch batch) {
  auto job = std::make_unique<Job>();
  job->batch = std::move(batch);
  bytes_ += job->batch.bytes;
  {
    const std::lock_guard lock(mutex_);
    open_.push_back(job.get());
    jobs_.push_back(std::move(job));
  }
  waiting_.notify_one();
}

bool VerifyPool::has_work() const {
  const std::lock_guard lock(mutex_);
  return !jobs_.empty();
}

Result<VerifyBatch> VerifyPool::pop() {
  std::unique_ptr<Job> job;
  {
    std::unique_lock lock(mutex_);
    STANDPIPE_ASSERT(!jobs_.empty(), "nothing to pop");
    done_.wait(lock, [this] { return jobs_.front()->is_done; });
    job = std::move(jobs_.front());
    jobs_.pop_front();
  }
  bytes_ -= job->batch.bytes;
  if (job->error) return *std::move(job->error);
  return std::move(job->batch);
}

void VerifyPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    waiting_.wait(lock, [this] { return is_ending_ || !open_.empty(); });
    if (is_ending_) return;
    Job* job = open_.front();
    open_.pop_front();
    lock.unlock();
    std::optional<Error> error = judge(job->batch, keys_);
    lock.lock();
    job->error = std::move(error);
    job->is_done = true;
    done_.notify_one();
  }
}

}  // namespace standpipe::tools
