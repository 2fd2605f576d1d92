// What all subscribers of a soak were given, by seq: no two may have got other bytes for one.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "schema/base/bytes.h"

namespace standpipe::test {

std::uint64_t delivery_hash(ByteView frame);  // XXH3-64, never 0

// Any thread. Seqs from 1 to `last`.
class Deliveries {
 public:
  explicit Deliveries(std::int64_t last);

  // False: somebody has got other bytes for this seq, or there is no such seq.
  bool note(std::int64_t seq, ByteView frame);
  std::uint64_t hash_of(std::int64_t seq) const;  // 0: nobody has got it
  std::int64_t newest() const { return newest_; }
  std::uint64_t frames() const { return frames_; }  // delivered, to all together

  // What went wrong; the first ones are kept.
  void fail(std::string what);
  bool has_failed() const { return failures_count_ > 0; }
  std::vector<std::string> failures() const;

 private:
  const std::int64_t last_;
  const std::unique_ptr<std::atomic<std::uint64_t>[]> hashes_;
  std::atomic<std::int64_t> newest_ = 0;
  std::atomic<std::uint64_t> frames_ = 0, failures_count_ = 0;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<std::string> failures_;
};

}  // namespace standpipe::test
