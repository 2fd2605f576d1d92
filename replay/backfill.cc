#include "replay/backfill.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <utility>
#include <variant>

#include "schema/base/thread_name.h"
#include "schema/datetime.h"
#include "schema/frame.h"
#include "storage/group_clock.h"

namespace standpipe::replay {

namespace {

// Decoding for replays takes milliseconds at a time; on a machine that is full, those who send what
// is live come first. On Linux niceness is a thread's own.
constexpr int kNiceness = 10;

void yield_to_senders() {
  thread_local bool is_done = false;
  if (std::exchange(is_done, true)) return;
  name_this_thread("read");
  // Where it is not allowed replays compete, and nothing is wrong.
  [[maybe_unused]] const int result =
      ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNiceness);
}

}  // namespace

class ReadPool::Impl {
 public:
  explicit Impl(std::size_t threads) : pool(threads) {}
  boost::asio::thread_pool pool;
  std::atomic<std::size_t> pending = 0;
};

ReadPool::ReadPool(std::size_t threads) : impl_(std::make_unique<Impl>(threads)) {}

ReadPool::~ReadPool() {
  impl_->pool.stop();
  impl_->pool.join();
}

void ReadPool::submit(std::function<void()> job) {
  impl_->pending.fetch_add(1, std::memory_order_relaxed);
  boost::asio::post(impl_->pool, [impl = impl_.get(), job = std::move(job)] {
    yield_to_senders();
    job();
    impl->pending.fetch_sub(1, std::memory_order_relaxed);
  });
}

std::size_t ReadPool::pending() const { return impl_->pending.load(std::memory_order_relaxed); }

Result<std::shared_ptr<Backfill>> Backfill::open(const storage::Archive& archive,
                                                 storage::StreamId stream,
                                                 storage::EpochNumber epoch, ReadPool& pool) {
  STANDPIPE_TRY(storage::Reader reader, archive.reader(stream, epoch));
  return std::shared_ptr<Backfill>(new Backfill(std::move(reader), pool));
}

void Backfill::read_after(Seq after, StepDone done) {
  pool_->submit([self = shared_from_this(), after, done = std::move(done)] {
    done(self->reader_.read_after(after));
  });
}

namespace {

// When a frame happened: by its own word, or when it came.
std::int64_t time_of(const storage::WireRun& run, std::size_t i) {
  return parse_datetime_ms(scan_frame(run.frame_of(i)).envelope.time)
      .value_or(run.received_first_ms);
}

}  // namespace

// Frames from `after` on until `take` returns true.
Result<void> Backfill::walk(Seq after, const FrameCall& take) {
  for (;;) {
    STANDPIPE_TRY(const storage::ReadStep step, reader_.read_after(after));
    if (const auto* passed = std::get_if<storage::WindowPassed>(&step)) {
      after = previous(passed->gap.before);
      continue;
    }
    const auto* slice = std::get_if<storage::RunSlice>(&step);
    if (slice == nullptr) return {};
    const storage::WireRun& run = *slice->run;
    for (std::size_t i = slice->first_frame; i < run.frames.size(); ++i) {
      if (run.frames[i].length > 0 && take(run, i)) return {};  // 0: erased
    }
    after = run.last();
  }
}

Result<Backfill::TimeStart> Backfill::find_start(std::int64_t time_ms) {
  TimeStart start;
  STANDPIPE_CHECK(walk(kSeqNone, [&](const storage::WireRun& run, std::size_t i) {
    start.is_before_oldest = time_ms < time_of(run, i);
    start.after = previous(run.frames[i].seq);
    return true;
  }));
  if (start.is_before_oldest) return start;
  // From the first group that is late enough by the archive's clock back over one window, and then
  // to the first frame that is late enough by its own time.
  STANDPIPE_TRY(const Seq by_clock, reader_.position_at(time_ms));
  STANDPIPE_TRY(const Seq from, reader_.step_back(by_clock, storage::kClockWindow));
  start.after = by_clock;
  std::size_t looked_beyond = 0;
  STANDPIPE_CHECK(walk(from, [&](const storage::WireRun& run, std::size_t i) {
    if (time_of(run, i) >= time_ms) {
      start.after = previous(run.frames[i].seq);
      return true;
    }
    // The group that is late enough may begin with frames that are not.
    return run.frames[i].seq > by_clock && ++looked_beyond == storage::kClockWindow;
  }));
  return start;
}

void Backfill::start_at(std::int64_t time_ms, TimeDone done) {
  pool_->submit([self = shared_from_this(), time_ms, done = std::move(done)] {
    done(self->find_start(time_ms));
  });
}

}  // namespace standpipe::replay
