// The life of a partition. Column families (RocksDB's manifest) and the directory (its log) become
// durable apart from each other, so each step here is ordered: the intent is durable before the
// manifest changes, and nothing is destroyed before its successor is durable outside the log.

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "storage/partition_steps.h"

namespace standpipe::storage {
namespace {

bool is_shared(const PartitionInfo& partition) { return partition.container == kSharedContainer; }

}  // namespace

std::string name_of(PartitionId id) { return "partition " + std::to_string(to_int(id)); }

Result<void> write_locked(Core& core, const StoreBatch& batch) {
  const std::lock_guard writing(core.write_mutex);
  return core.write(batch);
}

// Takes the partition's keys away; its row stays.
Result<void> destroy_contents(Core& core, const PartitionInfo& partition) {
  return core.change([&](Store& store) -> Result<void> {
    if (!store.has_container(partition.container)) return {};
    if (is_shared(partition)) {
      return store.drop_range(partition.container, partition_begin(partition.id),
                              partition_end(partition.id));
    }
    return store.drop_container(partition.container);
  });
}

Result<void> forget(Core& core, PartitionId id) {
  StoreBatch batch;
  batch.remove(kMetaContainer, partition_key(id));
  STANDPIPE_CHECK(core.write(batch));
  const std::lock_guard lock(core.mutex);
  core.partitions.erase(id);
  return {};
}

Result<PartitionInfo> find_sealed(Core& core, PartitionId id) {
  const std::lock_guard lock(core.mutex);
  const auto found = core.partitions.find(id);
  if (found == core.partitions.end()) return Error{Errc::not_found, "there is no " + name_of(id)};
  if (found->second.state != PartitionState::sealed) {
    return Error{Errc::invalid, name_of(id) + " is " + std::string(to_string(found->second.state)) +
                                    ", not sealed"};
  }
  return found->second;
}

Result<void> flush_container(Core& core, std::string_view container) {
  return core.change([container](Store& store) { return store.flush(container); });
}

// Numbers a new partition and makes its intent durable. The caller holds write_mutex.
Result<void> add_partition(Core& core, PartitionInfo& partition) {
  StoreBatch batch;
  CountersRow counters;
  {
    const std::lock_guard lock(core.mutex);
    counters = core.counters;
    partition.id = PartitionId{counters.next_partition++};
    const StreamState* stream = core.find_stream(partition.stream);
    STANDPIPE_ASSERT(stream != nullptr, "a partition of a stream that exists");
    partition.container = partition_container(stream->row, partition.id);
  }
  batch.put(kMetaContainer, partition_key(partition.id), encode_partition_row(partition));
  batch.put(kMetaContainer, counters_key(), encode_counters_row(counters));
  STANDPIPE_CHECK(core.write(batch));
  const std::lock_guard lock(core.mutex);
  core.counters = counters;
  core.partitions[partition.id] = partition;
  return {};
}

Result<void> ensure_container(Core& core, const PartitionInfo& partition) {
  return core.change([&](Store& store) -> Result<void> {
    if (store.has_container(partition.container)) return {};
    return store.create_container(partition.container);
  });
}

SelfDescription describe_partition(const StreamState& stream, const EpochState& epoch,
                                   PartitionId id, std::uint8_t codec, Seq first) {
  SelfDescription text;
  text.stream = stream.row.unique_id;
  text.stream_name = stream.row.spec.name;
  text.kind = stream.row.spec.kind;
  text.epoch = epoch.row.id;
  text.epoch_number = epoch.row.number;
  text.partition = id;
  text.codec = codec;
  text.first = first;
  return text;
}

void add_gap_changes(StoreBatch& batch, StreamId stream, EpochNumber epoch,
                     const GapChanges& changes) {
  for (const Seq after : changes.removed) {
    batch.remove(kMetaContainer, gap_key(stream, epoch, after));
  }
  for (const Gap& gap : changes.put) {
    batch.put(kMetaContainer, gap_key(stream, epoch, gap.after), encode_gap_row(gap));
  }
}

std::string partition_begin(PartitionId id) { return group_key(id, kSeqNone); }
std::string partition_end(PartitionId id) {
  return group_key(PartitionId{to_int(id) + 1}, kSeqNone);
}

std::string partition_container(const StreamRow& stream, PartitionId id) {
  if (stream.shares_container) return std::string(kSharedContainer);
  std::array<char, 24> number{};
  std::snprintf(number.data(), number.size(), "%016llx",
                static_cast<unsigned long long>(to_int(id)));
  return std::string(kFramesContainerPrefix) + stream.spec.name + "/" + number.data();
}

Result<PartitionId> create_partition(Core& core, StreamId stream, EpochNumber epoch) {
  PartitionInfo partition;
  partition.stream = stream;
  partition.epoch = epoch;
  partition.state = PartitionState::creating;
  STANDPIPE_CHECK(add_partition(core, partition));
  core.step("create.intent");
  STANDPIPE_CHECK(ensure_container(core, partition));
  core.step("create.family");
  return partition.id;
}

void add_opening(StoreBatch& batch, const StreamState& stream, const EpochState& epoch,
                 PartitionInfo& partition, Seq first, std::int64_t clock_ms) {
  partition.state = PartitionState::open;
  partition.epoch = epoch.row.number;        // a spare may have been made in the epoch before
  partition.first = partition.last = first;  // how far it goes is in the head
  partition.clock_first_ms = partition.clock_last_ms = clock_ms;
  batch.put(kMetaContainer, partition_key(partition.id), encode_partition_row(partition));
  batch.put(partition.container, self_description_key(partition.id),
            encode_self_description(
                describe_partition(stream, epoch, partition.id, partition.codec, first)));
}

PartitionInfo sealing_row(PartitionInfo open, const HeadRow& head) {
  open.state = PartitionState::sealing;
  open.first = head.open_first;
  open.last = head.open_last;
  open.clock_first_ms = head.open_clock_first_ms;
  open.clock_last_ms = head.open_clock_last_ms;
  open.frames = head.open_frames;
  open.raw_bytes = head.open_raw_bytes;
  open.groups = head.open_groups;
  open.digest = head.open_digest;
  return open;
}

void clear_open_partition(HeadRow& head) {
  head.open_partition = PartitionId{};
  head.open_first = head.open_last = kSeqNone;
  head.open_clock_first_ms = head.open_clock_last_ms = 0;
  head.open_frames = head.open_raw_bytes = head.open_groups = 0;
  head.open_digest = {};
}

Result<std::optional<PartitionId>> seal_open(Core& core, StreamId stream, EpochNumber epoch) {
  PartitionInfo row;
  HeadRow head;
  {
    const std::lock_guard lock(core.mutex);
    const EpochState* state = core.find_epoch(stream, epoch);
    STANDPIPE_ASSERT(state != nullptr, "the epoch exists");
    head = state->head;
    if (head.open_partition == PartitionId{}) return std::optional<PartitionId>();
    row = sealing_row(core.partitions.at(head.open_partition), head);
  }
  clear_open_partition(head);
  StoreBatch batch;
  batch.put(kMetaContainer, partition_key(row.id), encode_partition_row(row));
  batch.put(kMetaContainer, head_key(stream, epoch), encode_head_row(head));
  STANDPIPE_CHECK(core.write(batch));
  core.step("seal.intent");
  const std::lock_guard lock(core.mutex);
  core.partitions[row.id] = row;
  EpochState* state = core.find_epoch(stream, epoch);
  state->head = head;
  core.publish(*state);
  return std::optional<PartitionId>(row.id);
}

Result<void> finish_sealing(Core& core, PartitionId id) {
  PartitionInfo row;
  {
    const std::lock_guard lock(core.mutex);
    const auto found = core.partitions.find(id);
    if (found == core.partitions.end() || found->second.state != PartitionState::sealing) return {};
    row = found->second;
  }
  STANDPIPE_CHECK(flush_container(core, row.container));
  // Quiet families go along, or they would keep the log from being recycled.
  STANDPIPE_CHECK(flush_container(core, kMetaContainer));
  STANDPIPE_CHECK(flush_container(core, kQuarantineContainer));
  core.step("seal.flush");
  row.state = PartitionState::sealed;
  StoreBatch batch;
  batch.put(kMetaContainer, partition_key(id), encode_partition_row(row));
  STANDPIPE_CHECK(write_locked(core, batch));
  core.step("seal.done");
  {
    const std::lock_guard lock(core.mutex);
    core.partitions[id] = row;
    core.publish(*core.find_epoch(row.stream, row.epoch));
  }
  core.note_sealed();
  return {};
}

Result<void> drop_partition(Core& core, PartitionId id) {
  STANDPIPE_TRY(PartitionInfo row, find_sealed(core, id));
  {
    const std::unique_lock writing(core.write_mutex);
    HeadRow head;
    StoreBatch batch;
    GapSet gaps;
    {
      const std::lock_guard lock(core.mutex);
      const EpochState* epoch = core.find_epoch(row.stream, row.epoch);
      const auto view = epoch->channel->view();
      if (view->partitions.empty() || view->partitions.front().id != id) {
        return Error{Errc::invalid, name_of(id) +
                                        " is not the oldest of its epoch: dropping it "
                                        "would leave a hole in the window"};
      }
      head = epoch->head;
      gaps = epoch->gaps;  // a copy: if the write fails, nothing has been dropped
      const GapChanges changes = gaps.add({head.window_floor,
                                           next(row.last),
                                           GapReason::retention,
                                           core.options.clock->now_ms(),
                                           {}});
      add_gap_changes(batch, row.stream, row.epoch, changes);
    }
    head.window_floor = row.last;
    row.state = PartitionState::dropping;
    batch.put(kMetaContainer, partition_key(id), encode_partition_row(row));
    batch.put(kMetaContainer, head_key(row.stream, row.epoch), encode_head_row(head));
    STANDPIPE_CHECK(core.write(batch));
    core.step("drop.intent");
    const std::lock_guard lock(core.mutex);
    EpochState* epoch = core.find_epoch(row.stream, row.epoch);
    epoch->head.window_floor = head.window_floor;
    epoch->gaps = std::move(gaps);
    core.partitions[id] = row;
    core.publish(*epoch);
  }
  core.cache.drop_partition(id);
  STANDPIPE_CHECK(flush_container(core, kMetaContainer));
  core.step("drop.flush");
  STANDPIPE_CHECK(destroy_contents(core, row));
  core.step("drop.family");
  const std::lock_guard writing(core.write_mutex);
  STANDPIPE_CHECK(forget(core, id));
  core.step("drop.done");
  return {};
}

Result<void> recover_partitions(Core& core) {
  std::vector<PartitionInfo> rows;
  {
    const std::lock_guard lock(core.mutex);
    for (const auto& [id, partition] : core.partitions) rows.push_back(partition);
  }
  for (const PartitionInfo& row : rows) {
    switch (row.state) {
      case PartitionState::open:
      case PartitionState::sealed:
        break;
      case PartitionState::sealing:
        STANDPIPE_CHECK(finish_sealing(core, row.id));
        break;
      case PartitionState::dropping:
        // The row may be in the log alone, and what replaces the partition, too.
        STANDPIPE_CHECK(flush_container(core, kMetaContainer));
        [[fallthrough]];
      case PartitionState::creating:
      case PartitionState::building: {
        STANDPIPE_CHECK(destroy_contents(core, row));
        const std::lock_guard writing(core.write_mutex);
        STANDPIPE_CHECK(forget(core, row.id));
        break;
      }
    }
  }
  // Families that no row names: Core::load() has refused any that is not empty.
  return core.change([&core](Store& store) -> Result<void> {
    for (const std::string& name : store.containers()) {
      if (!name.starts_with(kFramesContainerPrefix) || name == kSharedContainer) continue;
      const auto names_it = [&name](const auto& entry) { return entry.second.container == name; };
      {
        const std::lock_guard lock(core.mutex);
        if (std::any_of(core.partitions.begin(), core.partitions.end(), names_it)) continue;
      }
      STANDPIPE_CHECK(store.drop_container(name));
    }
    return {};
  });
}

}  // namespace standpipe::storage
