// The steps that the protocols of partitions are made of. Private to storage/partition*.cc.
#pragma once

#include <string>
#include <string_view>

#include "storage/core.h"

namespace standpipe::storage {

std::string name_of(PartitionId id);  // "partition 12"

// A write of its own: takes write_mutex.
Result<void> write_locked(Core& core, const StoreBatch& batch);
// Takes the partition's keys away; its row stays.
Result<void> destroy_contents(Core& core, const PartitionInfo& partition);
// Removes the row. The caller holds write_mutex.
Result<void> forget(Core& core, PartitionId id);
// not_found, or invalid where it is in another state.
Result<PartitionInfo> find_sealed(Core& core, PartitionId id);
Result<void> flush_container(Core& core, std::string_view container);
// Numbers a new partition and makes its intent durable. The caller holds write_mutex.
Result<void> add_partition(Core& core, PartitionInfo& partition);
Result<void> ensure_container(Core& core, const PartitionInfo& partition);

}  // namespace standpipe::storage
