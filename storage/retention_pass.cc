// Retention at work: measures, asks the policy, and drops one partition after the other.
#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "schema/base/log.h"
#include "schema/datetime.h"
#include "storage/core.h"

namespace standpipe::storage {
namespace {

struct StreamContents {
  std::string name;
  RetentionLimits limits;
  std::int64_t clock_ms = 0;
  std::vector<StoredPartition> partitions;
};

bool holds_frames(const PartitionInfo& partition) {
  return partition.frames > 0 &&
         (partition.state == PartitionState::open || partition.state == PartitionState::sealing ||
          partition.state == PartitionState::sealed);
}

std::vector<StreamContents> limited_streams(Core& core) {
  std::vector<StreamContents> all;
  const std::lock_guard lock(core.mutex);
  for (const auto& [id, stream] : core.streams) {
    const RetentionLimits& limits = core.options.retention.of(stream.row.spec.name);
    if (!limits.is_limited()) continue;
    StreamContents contents{stream.row.spec.name, limits, 0, {}};
    for (const EpochState& epoch : stream.epochs) {
      contents.clock_ms = std::max(contents.clock_ms, epoch.head.clock_ms);
    }
    for (const auto& [number, partition] : core.partitions) {
      if (partition.stream != id || !holds_frames(partition)) continue;
      contents.partitions.push_back({partition, 0});
    }
    all.push_back(std::move(contents));
  }
  return all;
}

Result<void> measure(Core& core, StreamContents& stream) {
  const std::shared_lock lock(core.store_mutex);
  if (core.store == nullptr) return Error{Errc::closed, "the archive is closed"};
  for (StoredPartition& one : stream.partitions) {
    const PartitionId id = one.partition.id;
    const auto bytes =
        core.store->table_bytes(one.partition.container, partition_begin(id), partition_end(id));
    if (bytes) {
      one.stored_bytes = *bytes;
    } else if (bytes.error().code != Errc::not_found) {  // dropped meanwhile: holds nothing
      return bytes.error();
    }
  }
  return {};
}

std::string limit_text(const RetentionLimits& limits, ExpiryReason reason) {
  if (reason == ExpiryReason::age) {
    return "older than " + std::to_string(*limits.age_ms / 1000) + " s behind the newest";
  }
  return "the stream holds more than " + std::to_string(*limits.stored_bytes) + " bytes";
}

void note_drop(Core& core, const StreamContents& stream, const StoredPartition& gone,
               ExpiryReason reason) {
  const PartitionInfo& partition = gone.partition;
  log_info(
      "stream " + stream.name + ": retention dropped seqs " +
      std::to_string(to_int(partition.first)) + " to " + std::to_string(to_int(partition.last)) +
      ", " + format_datetime_ms(partition.clock_first_ms) + " to " +
      format_datetime_ms(partition.clock_last_ms) + " (partition " +
      std::to_string(to_int(partition.id)) + ", " + std::to_string(partition.frames) + " frames, " +
      std::to_string(gone.stored_bytes) + " bytes stored): " + limit_text(stream.limits, reason));
  const std::lock_guard lock(core.mutex);
  ++core.dropped.partitions;
  core.dropped.frames += partition.frames;
  core.dropped.stored_bytes += gone.stored_bytes;
}

// False where the rest has to wait: others work on partitions, or have changed them.
Result<bool> drop_one(Core& core, PartitionId id) {
  const std::unique_lock work(core.partition_work, std::try_to_lock);
  if (!work || core.is_stopping) return false;
  STANDPIPE_CHECK(core.check_writable());
  const Result<void> dropped = drop_partition(core, id);
  if (dropped) return true;
  const Errc code = dropped.error().code;
  if (code == Errc::not_found || code == Errc::invalid) return false;
  return dropped.error();
}

// A name that fits no stream may be a slip of the pen for one whose frames would now go by the rule
// for all others: nothing goes until every name fits.
Result<void> check_names(Core& core) {
  const std::lock_guard lock(core.mutex);
  for (const auto& [name, limits] : core.options.retention.by_stream) {
    const auto is_it = [&name = name](const auto& entry) {
      return entry.second.row.spec.name == name;
    };
    if (std::any_of(core.streams.begin(), core.streams.end(), is_it)) continue;
    return Error{Errc::invalid, "retention names a stream that is not there: " + name};
  }
  return {};
}

}  // namespace

Result<std::size_t> drop_expired(Core& core) {
  std::size_t count = 0;
  if (core.options.access != Access::write || !core.options.retention.is_limited()) return count;
  STANDPIPE_CHECK(core.check_writable());
  STANDPIPE_CHECK(check_names(core));
  for (StreamContents& stream : limited_streams(core)) {
    STANDPIPE_CHECK(measure(core, stream));
    for (const Expiry& expiry :
         expired_partitions(stream.partitions, stream.clock_ms, stream.limits)) {
      STANDPIPE_TRY(const bool is_gone, drop_one(core, expiry.partition));
      if (!is_gone) return count;
      ++count;
      for (const StoredPartition& one : stream.partitions) {
        if (one.partition.id == expiry.partition) note_drop(core, stream, one, expiry.reason);
      }
    }
  }
  return count;
}

}  // namespace standpipe::storage
