#include "storage/run_cache.h"

#include <utility>

namespace standpipe::storage {
namespace {

// What a run holds in memory.
std::size_t bytes_of(const DecodedRun& decoded) {
  return sizeof(WireRun) + decoded.run->wire.capacity() +
         decoded.run->frames.capacity() * sizeof(RunFrame);
}

}  // namespace

RunCache::RunCache(std::size_t bytes_max)
    : bytes_max_(bytes_max), promoted_bytes_max_(bytes_max - bytes_max / 4) {}

std::size_t RunCache::KeyHash::operator()(const RunKey& key) const {
  const std::uint64_t seq = static_cast<std::uint64_t>(to_int(key.first));
  return std::hash<std::uint64_t>()((seq ^ (to_int(key.partition) << 40U)) * 0x9E3779B97F4A7C15U);
}

Result<DecodedRun> RunCache::get(const RunKey& key,
                                 const std::function<Result<DecodedRun>()>& decode) {
  std::shared_ptr<Flight> flight;
  {
    std::unique_lock lock(mutex_);
    if (const auto found = entries_.find(key); found != entries_.end()) {
      ++hits_;
      touch(found->second);
      return found->second->decoded;
    }
    std::shared_ptr<Flight>& slot = flights_[key];
    if (slot != nullptr) {
      ++hits_;
      ++waiting_;
      const std::shared_ptr<Flight> other = slot;
      other->done.wait(lock, [&other] { return other->result.has_value(); });
      --waiting_;
      return *other->result;
    }
    ++misses_;
    slot = flight = std::make_shared<Flight>();
  }

  Result<DecodedRun> result = decode();
  settle(key, flight, result, /*is_unread=*/false);
  return result;
}

std::optional<DecodedRun> RunCache::read_ahead(const RunKey& key,
                                               const std::function<Result<DecodedRun>()>& decode) {
  std::shared_ptr<Flight> flight;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(key); found != entries_.end()) {
      return found->second->decoded;
    }
    std::shared_ptr<Flight>& slot = flights_[key];
    if (slot != nullptr) return std::nullopt;
    ++misses_;
    slot = flight = std::make_shared<Flight>();
  }
  Result<DecodedRun> result = decode();
  settle(key, flight, result, /*is_unread=*/true);
  if (!result) return std::nullopt;
  return std::move(result).value();
}

void RunCache::settle(const RunKey& key, const std::shared_ptr<Flight>& flight,
                      const Result<DecodedRun>& result, bool is_unread) {
  Entries evicted;  // freed after the lock is gone
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = flights_.find(key); found != flights_.end() && found->second == flight) {
      flights_.erase(found);
    }
    flight->result = result;
    if (result && !result->ends_at_tail && flight->may_keep) {
      keep(key, *result, is_unread, evicted);
    }
  }
  flight->done.notify_all();
}

// It has been read again: promoted, and the longest unread of the promoted ones back to probation.
void RunCache::touch(Entries::iterator entry) {
  if (entry->is_unread) {
    entry->is_unread = false;
    probation_.splice(probation_.begin(), probation_, entry);
    return;
  }
  if (!entry->is_promoted) {
    entry->is_promoted = true;
    promoted_bytes_ += entry->bytes;
    promoted_.splice(promoted_.begin(), probation_, entry);
  } else {
    promoted_.splice(promoted_.begin(), promoted_, entry);
  }
  while (promoted_bytes_ > promoted_bytes_max_) {
    const auto oldest = std::prev(promoted_.end());
    oldest->is_promoted = false;
    promoted_bytes_ -= oldest->bytes;
    probation_.splice(probation_.begin(), promoted_, oldest);
  }
}

void RunCache::keep(const RunKey& key, const DecodedRun& decoded, bool is_unread,
                    Entries& evicted) {
  const std::size_t bytes = bytes_of(decoded);
  if (bytes > bytes_max_ - promoted_bytes_max_) return;  // would not fit beside the promoted ones
  probation_.push_front({key, decoded, bytes, /*is_promoted=*/false, is_unread});
  entries_.emplace(key, probation_.begin());
  bytes_ += bytes;
  while (bytes_ > bytes_max_) {
    const auto oldest = std::prev(probation_.end());
    bytes_ -= oldest->bytes;
    entries_.erase(oldest->key);
    evicted.splice(evicted.end(), probation_, oldest);
  }
}

void RunCache::drop_partition(PartitionId id) {
  drop_where([id](const RunKey& key) { return key.partition == id; });
}

void RunCache::clear() {
  drop_where([](const RunKey&) { return true; });
}

void RunCache::drop_where(const std::function<bool(const RunKey&)>& matches) {
  Entries dropped;  // freed after the lock is gone
  const std::lock_guard lock(mutex_);
  for (Entries* entries : {&probation_, &promoted_}) {
    for (auto entry = entries->begin(); entry != entries->end();) {
      const auto here = entry++;
      if (!matches(here->key)) continue;
      bytes_ -= here->bytes;
      if (here->is_promoted) promoted_bytes_ -= here->bytes;
      entries_.erase(here->key);
      dropped.splice(dropped.end(), *entries, here);
    }
  }
  for (auto flight = flights_.begin(); flight != flights_.end();) {
    if (!matches(flight->first)) {
      ++flight;
      continue;
    }
    flight->second->may_keep = false;
    flight = flights_.erase(flight);
  }
}

RunCacheStats RunCache::stats() const {
  const std::lock_guard lock(mutex_);
  return {hits_, misses_, bytes_, entries_.size(), waiting_};
}

}  // namespace standpipe::storage
