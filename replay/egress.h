// How many bytes may be sent now: token buckets, for the whole server and for each subscriber.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace standpipe::replay {

// A rate with a burst of a tenth of a second. Time comes from the caller, monotonic, so that tests
// need no clock. Not thread-safe.
class TokenBucket {
 public:
  // `bytes_per_second` 0: no limit. More than 10^15 counts as that.
  TokenBucket(std::uint64_t bytes_per_second, std::int64_t now_ms)
      : rate_(std::min(bytes_per_second, kRateMax)), millibytes_(burst()), filled_ms_(now_ms) {}

  bool is_unlimited() const { return rate_ == 0; }
  // What may be sent of `wanted`. 0: try again some milliseconds later.
  std::size_t take(std::size_t wanted, std::int64_t now_ms);
  void give_back(std::size_t bytes);  // was taken, and not sent

 private:
  static constexpr std::uint64_t kRateMax = 1'000'000'000'000'000;
  static constexpr std::int64_t kBurstMs = 100;
  // At least a byte, or the slowest rate would never send one.
  std::uint64_t burst() const { return std::max<std::uint64_t>(rate_ * kBurstMs, 1000); }

  std::uint64_t rate_;        // bytes a second, so millibytes a millisecond
  std::uint64_t millibytes_;  // that may be sent now
  std::int64_t filled_ms_;
};

// The bucket that all network threads share. Thread-safe.
class SharedBucket {
 public:
  SharedBucket(std::uint64_t bytes_per_second, std::int64_t now_ms)
      : is_unlimited_(bytes_per_second == 0), bucket_(bytes_per_second, now_ms) {}

  std::size_t take(std::size_t wanted, std::int64_t now_ms) {
    if (is_unlimited_) return wanted;
    const std::lock_guard lock(mutex_);
    return bucket_.take(wanted, now_ms);
  }
  void give_back(std::size_t bytes) {
    if (is_unlimited_ || bytes == 0) return;
    const std::lock_guard lock(mutex_);
    bucket_.give_back(bytes);
  }

 private:
  const bool is_unlimited_;
  std::mutex mutex_;  // guards bucket_
  TokenBucket bucket_;
};

}  // namespace standpipe::replay
