#include "replay/backfill.h"

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <utility>

namespace standpipe::replay {

class ReadPool::Impl {
 public:
  explicit Impl(std::size_t threads) : pool(threads) {}
  boost::asio::thread_pool pool;
};

ReadPool::ReadPool(std::size_t threads) : impl_(std::make_unique<Impl>(threads)) {}

ReadPool::~ReadPool() {
  impl_->pool.stop();
  impl_->pool.join();
}

void ReadPool::submit(std::function<void()> job) { boost::asio::post(impl_->pool, std::move(job)); }

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

void Backfill::position_at(std::int64_t clock_ms, PositionDone done) {
  pool_->submit([self = shared_from_this(), clock_ms, done = std::move(done)] {
    done(self->reader_.position_at(clock_ms));
  });
}

}  // namespace standpipe::replay
