// What examining a damaged archive and writing another have in common. Private to storage/repair*.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/core.h"
#include "storage/lock.h"
#include "storage/repair.h"
#include "storage/repair_directory.h"
#include "storage/salvage.h"
#include "storage/store.h"

namespace standpipe::storage {

// Strictly between these seqs there is no frame.
struct Hole {
  Seq after = kSeqNone, before = kSeqNone;
  bool is_in_group = false;  // else between two that follow each other
};

// A partition as it was found.
struct FoundPartition {
  PartitionInfo row;                      // what can be read: its numbers are of whole groups alone
  std::optional<PartitionInfo> recorded;  // what the directory says of it
  EpochKey epoch;
  SelfDescription text;
  bool is_whole = false;
  std::vector<Hole> holes;      // by seq
  std::vector<Damage> damages;  // of its groups
};

// A partition of which nothing is left but its row.
struct GonePartition {
  EpochKey epoch;
  Seq first = kSeqNone, last = kSeqNone;
};

// The group of a stored value, if each of its frames is what was received.
std::optional<GroupView> whole_group(std::string_view value);

class Repair::Impl {
 public:
  Impl(std::filesystem::path archive, const Clock& now) : dir(std::move(archive)), clock(now) {}

  Result<void> examine(const RepairProgress& progress);
  Result<void> write(const std::filesystem::path& target, std::uint64_t free_bytes_min,
                     const RepairProgress& progress);

  const std::filesystem::path dir;
  const Clock& clock;
  std::optional<DirectoryLock> lock;
  std::unique_ptr<Salvage> salvage;
  std::optional<WitnessState> witness;
  RepairedDirectory directory;  // heads and gaps as they will be
  std::vector<FoundPartition> found;
  std::vector<GonePartition> gone;
  RepairReport report;

 private:
  // repair.cc
  Result<void> find_partitions(const RepairProgress& progress);
  Result<std::optional<FoundPartition>> read(PartitionId id);
  bool explains_skips(PartitionId id, const std::optional<SelfDescription>& text) const;
  bool place(FoundPartition& partition, const std::optional<SelfDescription>& text);
  void judge(FoundPartition& partition) const;
  void keep_newest_of_overlapping();
  Result<std::unique_ptr<Archive>> open_as_it_is();
  void tell_damages();

  // repair_losses.cc
  void find_losses(const EpochKey& epoch);
  void find_losses_between(const EpochKey& epoch, const FoundPartition* left,
                           const FoundPartition* right, Seq low);
  void end_epoch(const EpochKey& epoch, const FoundPartition* last);
  void lose(const EpochKey& epoch, Seq after, Seq before);
  bool misses_groups() const;
  bool misses_frames(const FoundPartition& partition) const;
  bool is_gone_between(const EpochKey& epoch, Seq after, Seq before) const;
  // Rows of the directory may be missing, or be older than what they tell of.
  bool is_directory_doubtful() const {
    return !salvage->is_exact() || salvage->has_damaged_logs() || !directory.unreadable.empty();
  }

  // repair_write.cc
  Result<void> write_partition(Store& store, const FoundPartition& partition,
                               const std::function<void(std::size_t)>& count);
  Result<void> write_rows(Store& store, const std::filesystem::path& partial);
  Result<void> write_into(const std::filesystem::path& partial, const RepairProgress& progress);
};

}  // namespace standpipe::storage
