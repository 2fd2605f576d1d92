// Which seqs are lost, by the frames on both sides that are whole.
#include <algorithm>
#include <optional>

#include "storage/repair_impl.h"

namespace standpipe::storage {
namespace {

// Whether the place may have held seqs strictly between `after` and `before`.
bool is_in(const Damage& damage, Seq after, Seq before) {
  const bool ends_below = damage.before != kSeqNone && damage.before <= after;
  return damage.after < before && !ends_below;
}

}  // namespace

// Whether groups may be gone of which no place is known: in a log, or in a table of no known
// family.
bool Repair::Impl::misses_groups() const {
  const auto& places = salvage->damages();
  return salvage->has_damaged_logs() ||
         std::any_of(places.begin(), places.end(), [](const Damage& damage) {
           return damage.file.extension() == ".sst" && damage.container.empty() &&
                  !damage.partition.has_value();
         });
}

bool Repair::Impl::misses_frames(const FoundPartition& partition) const {
  if (partition.is_whole) return false;
  if (partition.recorded) return partition.recorded->frames > partition.row.frames;
  return misses_groups();
}

void Repair::Impl::find_losses(const EpochKey& epoch) {
  std::vector<const FoundPartition*> own;  // by seq
  for (const FoundPartition& partition : found) {
    if (partition.epoch == epoch) own.push_back(&partition);
  }
  HeadRow& head = directory.heads[epoch];
  // What came before the first frame was outside the window, or belongs to a partition that is
  // gone; without a head, nothing else is known of it.
  Seq low = std::max(head.origin, head.window_floor);
  if (!head.has_origin) {
    std::optional<Seq> first;
    if (!own.empty()) first = own.front()->row.first;
    for (const GonePartition& partition : gone) {
      if (partition.epoch == epoch) first = std::min(first.value_or(kSeqMax), partition.first);
    }
    head.has_origin = first.has_value();
    low = first ? previous(*first) : kSeqNone;
    head.origin = head.window_floor = low;
  }
  const FoundPartition* left = nullptr;
  for (const FoundPartition* right : own) {
    find_losses_between(epoch, left, right, low);
    for (const Hole& hole : right->holes) {
      // A row of the ledger may be gone that said why they are absent.
      const bool is_unexplained = directory.is_dense(epoch) && is_directory_doubtful();
      // Upstream skipped them, and where that is recorded, it still is.
      const bool is_skipped = right->is_whole || hole.is_in_group;
      if (is_skipped && !is_unexplained) continue;
      // A stream that skips says nothing of it: then losses are where it cannot be read, or, if
      // that explains not all that is missing, wherever it may be.
      const bool is_at_place = std::any_of(
          right->damages.begin(), right->damages.end(),
          [&hole](const Damage& damage) { return is_in(damage, hole.after, hole.before); });
      const bool may_be_here = misses_frames(*right) && (right->damages.empty() || misses_groups());
      const bool is_lost = directory.is_dense(epoch) || is_at_place || may_be_here;
      if (is_lost) lose(epoch, hole.after, hole.before);
    }
    left = right;
  }
  end_epoch(epoch, left);
}

bool Repair::Impl::is_gone_between(const EpochKey& epoch, Seq after, Seq before) const {
  return std::any_of(gone.begin(), gone.end(), [&](const GonePartition& partition) {
    return partition.epoch == epoch && partition.first < before && partition.last > after;
  });
}

// Between the last frame of one partition (or `low`) and the first of the next.
void Repair::Impl::find_losses_between(const EpochKey& epoch, const FoundPartition* left,
                                       const FoundPartition* right, Seq low) {
  const Seq after = left != nullptr ? left->row.last : low;
  const Seq before = right->row.first;
  if (before <= next(after)) return;
  const auto misses = [&](const FoundPartition* partition) {
    if (partition == nullptr || partition->is_whole) return false;
    // Its ends are there if its own row says so.
    const auto& recorded = partition->recorded;
    if (!recorded) return !partition->damages.empty() || misses_groups();
    return partition == left ? recorded->last > partition->row.last
                             : recorded->first < partition->row.first;
  };
  const bool is_gone = is_gone_between(epoch, after, before);
  const bool is_doubtful = is_directory_doubtful() && directory.is_dense(epoch);
  if (is_gone || is_doubtful || misses(left) || misses(right)) lose(epoch, after, before);
}

// What was stored above the last frame that is whole.
void Repair::Impl::end_epoch(const EpochKey& epoch, const FoundPartition* last) {
  HeadRow& head = directory.heads[epoch];
  clear_open_partition(head);
  const Seq end = last != nullptr ? last->row.last : std::max(head.origin, head.window_floor);
  if (last != nullptr) head.clock_ms = std::max(head.clock_ms, last->row.clock_last_ms);
  Seq newest = head.newest;
  for (const GonePartition& partition : gone) {
    if (partition.epoch == epoch) newest = std::max(newest, partition.last);
  }
  head.floor = std::max(head.floor, end);
  head.newest = std::max(end, kSeqNone);
  if (salvage->has_damaged_logs()) {
    report.remarks.push_back(
        "whether more was stored in stream " + directory.streams.at(epoch.first).spec.name +
        ", epoch " + std::to_string(to_int(epoch.second)) + ", above seq " +
        std::to_string(to_int(std::max(end, newest))) + ", logs that are damaged would say");
  }
  if (newest <= end) return;
  const bool is_newest =
      std::none_of(directory.epochs.begin(), directory.epochs.end(), [&](const auto& entry) {
        return entry.first.first == epoch.first && entry.first.second > epoch.second;
      });
  const StreamRow& stream = directory.streams.at(epoch.first);
  const bool was_reset = directory.others.contains(reset_key(epoch.first, epoch.second));
  if (!is_newest || stream.spec.url.empty() || was_reset) {
    lose(epoch, end, next(newest));
    head.floor = std::max(head.floor, newest);
    return;
  }
  // Upstream is asked again from here on: what it no longer has, the mirror records as `outage`.
  head.floor = end;
  GapSet below;
  for (const Gap& gap : directory.gaps[epoch].rows()) {
    if (gap.after < end) below.add(gap);
  }
  directory.gaps[epoch] = std::move(below);
  report.losses.push_back({stream.spec.name, epoch.second, end, next(newest), true});
}

void Repair::Impl::lose(const EpochKey& epoch, Seq after, Seq before) {
  const GapChanges changes =
      directory.gaps[epoch].add({after, before, GapReason::lost, clock.now_ms(), {}});
  if (changes.empty()) return;  // another reason explains all of them
  report.losses.push_back(
      {directory.streams.at(epoch.first).spec.name, epoch.second, after, before, false});
}

}  // namespace standpipe::storage
