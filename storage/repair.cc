// Examining: which partitions there are, what of each is whole, and where each belongs.
#include "storage/repair.h"

#include <algorithm>
#include <utility>

#include "storage/archive.h"
#include "storage/group.h"
#include "storage/repair_impl.h"

namespace standpipe::storage {
namespace {

namespace fs = std::filesystem;

std::string_view wire_in(const GroupView& group, const RunFrame& frame) {
  return group.payload.substr(frame.offset, frame.length);
}

// Adds a group to the numbers of a partition.
void count_group(PartitionInfo& row, const GroupView& group) {
  if (row.groups == 0) {
    row.first = group.frames.front().seq;
    row.clock_first_ms = group.times.clock_ms;
  }
  row.last = group.frames.back().seq;
  row.clock_last_ms = group.times.clock_ms;
  row.frames += group.frames.size();
  row.raw_bytes += group.payload.size();
  ++row.groups;
  for (const RunFrame& frame : group.frames) {
    row.digest = chain_digest(row.digest, frame.seq, wire_in(group, frame));
  }
}

// The seqs that a group passes over.
void add_holes(std::vector<Hole>& holes, const GroupView& group) {
  for (std::size_t i = 1; i < group.frames.size(); ++i) {
    const Seq before = group.frames[i].seq;
    const Seq after = group.frames[i - 1].seq;
    if (before > next(after)) holes.push_back({after, before, true});
  }
}

bool is_readable(PartitionState state) {
  return state != PartitionState::dropping && state != PartitionState::building;
}

bool has_any_file(const fs::path& db) {
  std::error_code failed;
  return fs::directory_iterator(db, failed) != fs::directory_iterator() && !failed;
}

}  // namespace

std::optional<GroupView> whole_group(std::string_view value) {
  Result<GroupView> group = parse_group(value);
  if (!group) return std::nullopt;
  for (const RunFrame& frame : group->frames) {
    const std::string_view wire = wire_in(*group, frame);
    if (!wire.empty() && wire_hash(wire) != frame.hash) return std::nullopt;
  }
  return std::move(group).value();
}

Repair::Repair(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Repair::~Repair() = default;
const RepairReport& Repair::report() const { return impl_->report; }

Result<std::unique_ptr<Repair>> Repair::examine(const fs::path& dir, const Clock& clock,
                                                const RepairProgress& progress) {
  if (!has_any_file(dir / "db")) return Error{Errc::not_found, "no archive in " + dir.string()};
  auto impl = std::make_unique<Impl>(dir, clock);
  auto lock = DirectoryLock::acquire(dir, Access::read_only);
  if (lock) {
    impl->lock.emplace(std::move(lock).value());
  } else if (lock.error().code != Errc::not_found) {
    return lock.error();  // where the file is gone nobody can hold it
  }
  STANDPIPE_CHECK(impl->examine(progress));
  return std::unique_ptr<Repair>(new Repair(std::move(impl)));
}

Result<void> Repair::write(const fs::path& target, std::uint64_t free_bytes_min,
                           const RepairProgress& progress) {
  return impl_->write(target, free_bytes_min, progress);
}

Result<void> Repair::Impl::examine(const RepairProgress& progress) {
  auto seen = Witness::open(dir / "witness");
  if (seen) {
    witness = seen->state();
  } else {
    if (seen.error().code == Errc::unsupported) return seen.error();
    report.damages.push_back({(dir / "witness").string(), {}, seen.error().detail});
  }
  STANDPIPE_TRY(const std::unique_ptr<Archive> archive, open_as_it_is());
  STANDPIPE_TRY(salvage, Salvage::open(dir / "db", archive != nullptr));
  report.bytes = salvage->table_bytes() + salvage->log_bytes();
  STANDPIPE_TRY(directory, RepairedDirectory::from_rows(salvage->meta()));
  STANDPIPE_CHECK(find_partitions(progress));
  directory.complete(witness, clock.now_ms());
  keep_newest_of_overlapping();
  for (const auto& [epoch, row] : directory.epochs) find_losses(epoch);
  for (const FoundPartition& partition : found) report.frames += partition.row.frames;
  tell_damages();
  report.remarks.insert(report.remarks.begin(), directory.remarks.begin(), directory.remarks.end());
  // What no partition misses may still be wrong: of a table, what is not of its groups.
  if (archive != nullptr && report.is_whole()) {
    if (const Result<void> verified = archive->verify_files(); !verified) {
      report.damages.push_back({dir.string(), {}, verified.error().detail});
    }
  }
  return {};
}

Result<void> Repair::Impl::find_partitions(const RepairProgress& progress) {
  std::map<PartitionId, std::string> ids = salvage->partitions();
  for (const auto& [id, row] : directory.partitions) {
    if (!row.container.empty()) ids[id] = row.container;
  }
  std::size_t done = 0;
  for (const auto& [id, container] : ids) {
    if (progress) progress(report.bytes * done++ / ids.size(), report.bytes);
    const auto row = directory.partitions.find(id);
    if (row != directory.partitions.end() && !is_readable(row->second.state)) continue;
    STANDPIPE_TRY(std::optional<FoundPartition> partition, read(id));
    if (partition) found.push_back(std::move(*partition));
  }
  if (progress) progress(report.bytes, report.bytes);
  return {};
}

// Nothing if it holds no group that is whole.
Result<std::optional<FoundPartition>> Repair::Impl::read(PartitionId id) {
  FoundPartition partition;
  const auto row = directory.partitions.find(id);
  if (row != directory.partitions.end()) {
    partition.recorded = row->second;
    partition.row.container = row->second.container;
  } else {
    partition.row.container = salvage->partitions().at(id);
  }
  partition.row.id = id;
  std::optional<SelfDescription> text;
  std::vector<Damage> bad;
  const auto take = [&](std::string_view key, std::string_view value) -> Result<void> {
    STANDPIPE_TRY(const GroupKey at, parse_group_key(key));
    if (at.first == kSeqNone) {
      auto parsed = parse_self_description(value);
      if (parsed) text = std::move(parsed).value();
      return {};
    }
    const std::optional<GroupView> group = whole_group(value);
    const bool is_in_order =
        group && group->frames.front().seq == at.first && at.first > partition.row.last;
    if (!is_in_order) {
      const auto parsed = parse_group(value);
      if (!parsed && parsed.error().code == Errc::unsupported) return parsed.error();
      bad.push_back({dir / "db", partition.row.container,
                     "the group of seq " + std::to_string(to_int(at.first)) + ": " +
                         (parsed ? "its frames are not what was stored" : parsed.error().detail),
                     id, previous(at.first), next(at.first)});
      return {};
    }
    if (partition.row.groups > 0 && at.first > next(partition.row.last)) {
      partition.holes.push_back({partition.row.last, at.first, false});
    }
    if (explains_skips(id, text)) add_holes(partition.holes, *group);
    count_group(partition.row, *group);
    return {};
  };
  STANDPIPE_CHECK(salvage->read_partition(
      id, partition.row.container,
      [](std::string_view value) { return parse_group(value).has_value(); }, take));
  for (Damage& damage : bad) salvage->add_damage(std::move(damage));
  for (const Damage& damage : salvage->damages()) {
    if (damage.partition == id) partition.damages.push_back(damage);
  }
  if (partition.row.frames == 0) {
    if (!partition.recorded || partition.recorded->first == kSeqNone) return {std::nullopt};
    PartitionInfo was = *partition.recorded;
    const auto head = directory.heads.find({was.stream, was.epoch});
    if (head != directory.heads.end() && head->second.open_partition == id) {
      was.last = head->second.open_last;
    }
    gone.push_back({{was.stream, was.epoch}, was.first, was.last});
    return {std::nullopt};
  }
  if (!place(partition, text)) {
    salvage->add_damage({dir / "db",
                         partition.row.container,
                         "nothing says of which epoch partition " + std::to_string(to_int(id)) +
                             " is: its " + std::to_string(partition.row.frames) +
                             " frames cannot be kept",
                         {},
                         kSeqNone,
                         kSeqNone});
    return {std::nullopt};
  }
  judge(partition);
  return std::optional<FoundPartition>(std::move(partition));
}

// Whether the ledger has to explain what is skipped within groups, and may have lost the row that
// does. Of a stream that skips nearly every seq they are not even remembered.
bool Repair::Impl::explains_skips(PartitionId id,
                                  const std::optional<SelfDescription>& text) const {
  if (!is_directory_doubtful()) return false;
  if (text && text->kind == StreamKind::labels) return false;
  const auto row = directory.partitions.find(id);
  if (row == directory.partitions.end()) return true;
  const EpochKey epoch{row->second.stream, row->second.epoch};
  return !directory.streams.contains(epoch.first) || directory.is_dense(epoch);
}

bool Repair::Impl::place(FoundPartition& partition, const std::optional<SelfDescription>& text) {
  const PartitionInfo* recorded = partition.recorded ? &*partition.recorded : nullptr;
  const EpochKey by_row =
      recorded != nullptr ? EpochKey{recorded->stream, recorded->epoch} : EpochKey{};
  if (recorded != nullptr && directory.epochs.contains(by_row) &&
      directory.streams.contains(by_row.first)) {
    partition.epoch = by_row;
  } else if (text) {
    partition.epoch = directory.place(*text, recorded, clock.now_ms());
  } else if (const auto named = directory.place_by_name(partition.row.container)) {
    partition.epoch = *named;
  } else {
    return false;
  }
  partition.row.stream = partition.epoch.first;
  partition.row.epoch = partition.epoch.second;
  partition.row.state = PartitionState::sealed;
  const StreamRow& stream = directory.streams.at(partition.epoch.first);
  const EpochRow& epoch = directory.epochs.at(partition.epoch);
  if (partition.row.container.empty()) {
    partition.row.container = partition_container(stream, partition.row.id);
  }
  partition.text.stream = stream.unique_id;
  partition.text.stream_name = stream.spec.name;
  partition.text.kind = stream.spec.kind;
  partition.text.epoch = epoch.id;
  partition.text.epoch_number = epoch.number;
  partition.text.partition = partition.row.id;
  partition.text.codec = partition.row.codec;
  partition.text.first = partition.row.first;
  return true;
}

// Whether all is there that the directory counted.
void Repair::Impl::judge(FoundPartition& partition) const {
  partition.is_whole = partition.recorded.has_value();
  if (!partition.is_whole) return;
  PartitionInfo& recorded = *partition.recorded;
  const auto head = directory.heads.find(partition.epoch);
  if (recorded.state == PartitionState::open || recorded.state == PartitionState::creating) {
    if (head == directory.heads.end() || head->second.open_partition != recorded.id) {
      partition.is_whole = false;
      partition.recorded.reset();  // how much it held, nobody knows
      return;
    }
    recorded.first = head->second.open_first;
    recorded.last = head->second.open_last;
    recorded.frames = head->second.open_frames;
    recorded.digest = head->second.open_digest;
  }
  partition.is_whole =
      recorded.frames == partition.row.frames && recorded.digest == partition.row.digest;
}

// Where rows that are gone would have said which of two is current, one that was rewritten and what
// was to replace it may both be there: the one that holds more counts, of equals the newer.
void Repair::Impl::keep_newest_of_overlapping() {
  std::sort(found.begin(), found.end(), [](const FoundPartition& a, const FoundPartition& b) {
    return std::tuple(a.epoch, a.row.first, a.row.id) < std::tuple(b.epoch, b.row.first, b.row.id);
  });
  std::vector<FoundPartition> kept;
  for (FoundPartition& partition : found) {
    const auto& gaps = directory.gaps[partition.epoch];
    const auto head = directory.heads.find(partition.epoch);
    const bool is_past =
        head != directory.heads.end() && partition.row.last <= head->second.window_floor;
    if (!partition.recorded && (is_past || gaps.covers(partition.row.first))) continue;
    const bool overlaps = !kept.empty() && kept.back().epoch == partition.epoch &&
                          partition.row.first <= kept.back().row.last;
    if (!overlaps) {
      kept.push_back(std::move(partition));
      continue;
    }
    const bool is_better = std::tuple(partition.row.frames, partition.row.id) >
                           std::tuple(kept.back().row.frames, kept.back().row.id);
    if (is_better) kept.back() = std::move(partition);
  }
  found = std::move(kept);
}

// As a start would, and with its words where it would refuse: then null.
Result<std::unique_ptr<Archive>> Repair::Impl::open_as_it_is() {
  ArchiveOptions options;
  options.access = Access::read_only;
  options.create_if_missing = false;
  auto archive = Archive::open(dir, options);
  if (archive || archive.error().code == Errc::unsupported) return archive;
  report.damages.push_back({dir.string(), {}, archive.error().detail});
  return std::unique_ptr<Archive>();
}

void Repair::Impl::tell_damages() {
  for (const Damage& damage : salvage->damages()) {
    RepairDamage told{damage.file.string(), damage.container, damage.what};
    // One place may be met by several partitions.
    const auto is_it = [&told](const RepairDamage& other) {
      return other.file == told.file && other.what == told.what;
    };
    if (std::none_of(report.damages.begin(), report.damages.end(), is_it)) {
      report.damages.push_back(std::move(told));
    }
  }
  for (const std::string& row : directory.unreadable) {
    report.damages.push_back({(dir / "db").string(), std::string(kMetaContainer), row});
  }
  for (const FoundPartition& partition : found) {
    RepairPartition told;
    told.id = partition.row.id;
    told.stream = directory.streams.at(partition.epoch.first).spec.name;
    told.epoch = partition.epoch.second;
    told.container = partition.row.container;
    told.first = partition.row.first;
    told.last = partition.row.last;
    told.frames = partition.row.frames;
    if (partition.recorded) told.frames_recorded = partition.recorded->frames;
    told.is_whole = partition.is_whole;
    report.partitions.push_back(std::move(told));
  }
}

}  // namespace standpipe::storage
