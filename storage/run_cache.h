// Decoded runs, shared by all readers of the archive.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "schema/base/result.h"
#include "storage/codec.h"
#include "storage/types.h"

namespace standpipe::storage {

struct RunKey {
  PartitionId partition{};
  Seq first = kSeqNone;  // of the run's first group
  bool operator==(const RunKey&) const = default;
};

struct RunCacheStats {
  std::uint64_t hits = 0;     // found, or shared with a reader that was decoding it
  std::uint64_t misses = 0;   // decoded
  std::uint64_t bytes = 0;    // kept now
  std::uint64_t runs = 0;     // kept now
  std::uint64_t waiting = 0;  // readers that wait for another's decode now
};

// Many readers of one range cost one decode: the first that misses decodes, the others wait for it.
//
// A run that is read once must not push out those that are read often, or one cold scan of the
// archive would wash the cache out. So a new run enters on probation, and a second reader promotes
// it; what is promoted may take three quarters of the budget, and new runs only push out others on
// probation (a segmented LRU).
// Thread-safe. No lock is held while decoding, or while a run is freed.
class RunCache {
 public:
  // `bytes_max`: of the runs kept. 0 keeps none, and still shares decodes.
  explicit RunCache(std::size_t bytes_max);
  RunCache(const RunCache&) = delete;
  RunCache& operator=(const RunCache&) = delete;

  // The run of `key`: from the cache, or from another thread that is decoding it, or by `decode`.
  // An error is handed to all who wait for it, and not kept; nor is a run that ends at the tail.
  // `decode` must not ask the cache for the same key.
  Result<DecodedRun> get(const RunKey& key, const std::function<Result<DecodedRun>()>& decode);

  // For a reader that goes on: as get(), but the run is kept as not read yet, so that its first
  // read does not count as a second one; nor does this call. nullopt where another thread is
  // decoding it, or where decoding failed: whoever asks for it will be told.
  std::optional<DecodedRun> read_ahead(const RunKey& key,
                                       const std::function<Result<DecodedRun>()>& decode);

  // Forgets what it holds; a decode that is under way still answers its callers, and is not kept.
  void drop_partition(PartitionId id);
  void clear();

  RunCacheStats stats() const;

 private:
  struct Entry {
    RunKey key;
    DecodedRun decoded;
    std::size_t bytes = 0;
    bool is_promoted = false;
    bool is_unread = false;  // was read ahead
  };
  // One decode under way, shared by those who wait for it. Guarded by the cache's mutex.
  struct Flight {
    std::condition_variable done;
    std::optional<Result<DecodedRun>> result;
    bool may_keep = true;
  };
  struct KeyHash {
    std::size_t operator()(const RunKey& key) const;
  };
  using Entries = std::list<Entry>;

  void touch(Entries::iterator entry);
  // Ends a decode: answers those who wait for it, and keeps the run if it may.
  void settle(const RunKey& key, const std::shared_ptr<Flight>& flight,
              const Result<DecodedRun>& result, bool is_unread);
  void keep(const RunKey& key, const DecodedRun& decoded, bool is_unread, Entries& evicted);
  void drop_where(const std::function<bool(const RunKey&)>& matches);

  const std::size_t bytes_max_;
  const std::size_t promoted_bytes_max_;
  mutable std::mutex mutex_;  // guards everything below
  Entries probation_;         // newest first
  Entries promoted_;          // newest first
  std::unordered_map<RunKey, Entries::iterator, KeyHash> entries_;
  std::unordered_map<RunKey, std::shared_ptr<Flight>, KeyHash> flights_;
  std::size_t bytes_ = 0;           // of both lists
  std::size_t promoted_bytes_ = 0;  // of promoted_
  std::uint64_t hits_ = 0;
  std::uint64_t misses_ = 0;
  std::uint64_t waiting_ = 0;
};

}  // namespace standpipe::storage
