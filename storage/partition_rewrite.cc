// Partitions read group by group: rewritten, compared, verified. storage/partition.cc has the rest
// of their life, and the order of its steps.

#include <array>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "storage/group.h"
#include "storage/partition_steps.h"

namespace standpipe::storage {
namespace {

constexpr std::size_t kCopyBatchBytes = 4 << 20;

// Walks the stored groups of one partition in order.
class GroupWalk {
 public:
  static Result<GroupWalk> begin(const Store& store, const PartitionInfo& partition) {
    STANDPIPE_TRY(auto scan, store.scan(partition.container, /*bulk=*/true));
    scan->seek(group_key(partition.id, kSeqMin));
    return GroupWalk(std::move(scan), partition.id);
  }

  // The group at the walk's place; nullopt at the end. Views are valid until next().
  Result<std::optional<GroupView>> current() const {
    STANDPIPE_CHECK(scan_->status());
    if (!scan_->valid()) return std::optional<GroupView>();
    STANDPIPE_TRY(const GroupKey key, parse_group_key(scan_->key()));
    if (key.partition != id_) return std::optional<GroupView>();
    STANDPIPE_TRY(GroupView group, parse_group(scan_->value()));
    if (group.frames.front().seq != key.first) {
      return Error{Errc::corrupt, "a group of " + name_of(id_) + " stands under another key"};
    }
    return std::optional<GroupView>(std::move(group));
  }
  void next() { scan_->next(); }

 private:
  GroupWalk(std::unique_ptr<StoreScan> scan, PartitionId id) : scan_(std::move(scan)), id_(id) {}

  std::unique_ptr<StoreScan> scan_;
  PartitionId id_;
};

std::string_view wire_in(const GroupView& group, const RunFrame& frame) {
  return group.payload.substr(frame.offset, frame.length);
}

// Copies the groups of one partition into another, joining small ones up to the size of a full one.
class GroupCopy {
 public:
  GroupCopy(Core& core, PartitionInfo& target) : core_(&core), target_(&target) {}

  Result<void> add(const GroupView& group) {
    for (const RunFrame& frame : group.frames) {
      const std::string_view wire = wire_in(group, frame);
      const bool is_full = builder_.frames() >= core_->options.group_frames_max ||
                           builder_.payload_bytes() + wire.size() > core_->options.group_bytes_max;
      if (builder_.frames() > 0 && is_full) STANDPIPE_CHECK(end_group());
      if (builder_.frames() == 0) {
        first_ = frame.seq;
        times_.received_first_ms = group.times.received_first_ms;
      }
      builder_.add(frame.seq, wire, frame.hash);
      times_.received_last_ms = group.times.received_last_ms;
      times_.clock_ms = group.times.clock_ms;
      target_->digest = chain_digest(target_->digest, frame.seq, wire);
      if (target_->frames++ == 0) target_->first = frame.seq;
      target_->last = frame.seq;
      target_->raw_bytes += wire.size();
    }
    return {};
  }

  Result<void> finish() {
    if (builder_.frames() > 0) STANDPIPE_CHECK(end_group());
    return write_batch();
  }
  StoreBatch& batch() { return batch_; }

 private:
  Result<void> end_group() {
    ++target_->groups;
    batch_.put(target_->container, group_key(target_->id, first_), builder_.finish(times_));
    return batch_.bytes() >= kCopyBatchBytes ? write_batch() : Result<void>();
  }
  Result<void> write_batch() {
    STANDPIPE_CHECK(write_locked(*core_, batch_));
    batch_ = {};
    return {};
  }

  Core* core_;             // not ours
  PartitionInfo* target_;  // not ours
  GroupBuilder builder_;
  GroupTimes times_;
  Seq first_ = kSeqNone;
  StoreBatch batch_;
};

// Every frame of `a` and of `b`, in order: the same seqs, hashes and bytes.
Result<void> compare_frames(Core& core, const PartitionInfo& a, const PartitionInfo& b) {
  STANDPIPE_TRY(GroupWalk left, GroupWalk::begin(*core.store, a));
  STANDPIPE_TRY(GroupWalk right, GroupWalk::begin(*core.store, b));
  STANDPIPE_TRY(std::optional<GroupView> right_group, right.current());
  std::size_t right_index = 0;
  for (;; left.next()) {
    STANDPIPE_TRY(const std::optional<GroupView> group, left.current());
    if (!group) break;
    for (const RunFrame& frame : group->frames) {
      if (right_group && right_index == right_group->frames.size()) {
        right.next();
        right_index = 0;
        STANDPIPE_TRY(right_group, right.current());
      }
      const bool is_same =
          right_group && right_group->frames[right_index].seq == frame.seq &&
          right_group->frames[right_index].hash == frame.hash &&
          wire_in(*right_group, right_group->frames[right_index]) == wire_in(*group, frame);
      if (!is_same) {
        return Error{Errc::corrupt, "seq " + std::to_string(to_int(frame.seq)) +
                                        " differs between " + name_of(a.id) + " and its rewrite " +
                                        name_of(b.id)};
      }
      ++right_index;
    }
  }
  return {};
}

// Fills `target` from `source` and proves that it did. Reads the store without store_mutex: whoever
// exchanges the store waits for partition work first (Archive::try_resume).
Result<void> copy_partition(Core& core, const PartitionInfo& source, PartitionInfo& target) {
  GroupCopy copy(core, target);
  {
    const std::lock_guard lock(core.mutex);
    const EpochState* epoch = core.find_epoch(source.stream, source.epoch);
    const StreamState* stream = core.find_stream(source.stream);
    copy.batch().put(target.container, self_description_key(target.id),
                     encode_self_description(describe_partition(*stream, *epoch, target.id,
                                                                target.codec, source.first)));
  }
  STANDPIPE_TRY(GroupWalk walk, GroupWalk::begin(*core.store, source));
  for (;; walk.next()) {
    STANDPIPE_TRY(const std::optional<GroupView> group, walk.current());
    if (!group) break;
    STANDPIPE_CHECK(copy.add(*group));
  }
  STANDPIPE_CHECK(copy.finish());
  // Joined groups have the clock of the last in them: taken from them, the range would shrink.
  target.clock_first_ms = source.clock_first_ms;
  target.clock_last_ms = source.clock_last_ms;
  core.step("rewrite.copy");
  STANDPIPE_CHECK(flush_container(core, target.container));
  core.step("rewrite.flush");
  STANDPIPE_CHECK(compare_frames(core, source, target));
  if (target.digest != source.digest || target.frames != source.frames) {
    return Error{Errc::corrupt, "the wire bytes of " + name_of(source.id) + " in " +
                                    source.container + " do not give its digest"};
  }
  return {};
}

}  // namespace

Result<PartitionId> rewrite_partition(Core& core, PartitionId id) {
  STANDPIPE_TRY(PartitionInfo source, find_sealed(core, id));
  PartitionInfo target;
  target.stream = source.stream;
  target.epoch = source.epoch;
  target.state = PartitionState::building;
  target.replaces = id;
  {
    const std::lock_guard writing(core.write_mutex);
    STANDPIPE_CHECK(add_partition(core, target));
    core.step("rewrite.intent");
    STANDPIPE_CHECK(ensure_container(core, target));
    core.step("rewrite.family");
  }
  if (const Result<void> copied = copy_partition(core, source, target); !copied) {
    if (copied.error().code == Errc::corrupt) core.fail(copied.error());
    return copied.error();
  }
  source.state = PartitionState::dropping;
  target.state = PartitionState::sealed;
  target.replaces.reset();
  StoreBatch swap;
  swap.put(kMetaContainer, partition_key(source.id), encode_partition_row(source));
  swap.put(kMetaContainer, partition_key(target.id), encode_partition_row(target));
  STANDPIPE_CHECK(write_locked(core, swap));
  core.step("rewrite.swap");
  STANDPIPE_CHECK(flush_container(core, kMetaContainer));
  core.step("rewrite.flush_meta");
  {
    const std::lock_guard lock(core.mutex);
    core.partitions[source.id] = source;
    core.partitions[target.id] = target;
    core.publish(*core.find_epoch(source.stream, source.epoch));
  }
  core.cache.drop_partition(source.id);
  STANDPIPE_CHECK(destroy_contents(core, source));
  core.step("rewrite.family_dropped");
  const std::lock_guard writing(core.write_mutex);
  STANDPIPE_CHECK(forget(core, source.id));
  core.step("rewrite.done");
  return target.id;
}

Result<void> verify_partition(const Store& store, const PartitionInfo& partition) {
  STANDPIPE_TRY(GroupWalk walk, GroupWalk::begin(store, partition));
  std::array<std::byte, 32> digest{};
  std::uint64_t frames = 0;
  Seq last = kSeqNone;
  for (;; walk.next()) {
    STANDPIPE_TRY(const std::optional<GroupView> group, walk.current());
    if (!group) break;
    for (const RunFrame& frame : group->frames) {
      // An open partition may have grown since its row was read.
      if (frame.seq > partition.last && partition.state == PartitionState::open) break;
      const std::string_view wire = wire_in(*group, frame);
      if (frame.seq <= last || wire_hash(wire) != frame.hash) {
        return Error{Errc::corrupt, "seq " + std::to_string(to_int(frame.seq)) + " in " +
                                        partition.container + " is not what was stored"};
      }
      last = frame.seq;
      ++frames;
      digest = chain_digest(digest, frame.seq, wire);
    }
  }
  if (frames != partition.frames || last != partition.last || digest != partition.digest) {
    return Error{Errc::corrupt,
                 name_of(partition.id) + " in " + partition.container + " holds " +
                     std::to_string(frames) + " frames up to seq " + std::to_string(to_int(last)) +
                     ", the directory says " + std::to_string(partition.frames) + " up to " +
                     std::to_string(to_int(partition.last)) + ", or their digest differs"};
  }
  return {};
}

}  // namespace standpipe::storage
