#include "tests/soak/deliveries.h"

#include <xxhash.h>

#include <utility>

namespace standpipe::test {
namespace {

constexpr std::size_t kFailuresKept = 20;

}  // namespace

std::uint64_t delivery_hash(ByteView frame) {
  const std::uint64_t hash = XXH3_64bits(frame.data(), frame.size());
  return hash == 0 ? 1 : hash;
}

Deliveries::Deliveries(std::int64_t last)
    : last_(last),
      hashes_(std::make_unique<std::atomic<std::uint64_t>[]>(static_cast<std::size_t>(last) + 1)) {}

bool Deliveries::note(std::int64_t seq, ByteView frame) {
  if (seq < 1 || seq > last_) return false;
  ++frames_;
  std::int64_t newest = newest_;
  while (newest < seq && !newest_.compare_exchange_weak(newest, seq)) continue;
  const std::uint64_t hash = delivery_hash(frame);
  std::uint64_t before = 0;
  return hashes_[static_cast<std::size_t>(seq)].compare_exchange_strong(before, hash) ||
         before == hash;
}

std::uint64_t Deliveries::hash_of(std::int64_t seq) const {
  return hashes_[static_cast<std::size_t>(seq)];
}

void Deliveries::fail(std::string what) {
  ++failures_count_;
  const std::lock_guard lock(mutex_);
  if (failures_.size() < kFailuresKept) failures_.push_back(std::move(what));
}

std::vector<std::string> Deliveries::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

}  // namespace standpipe::test
