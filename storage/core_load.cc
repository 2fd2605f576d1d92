// What is looked at before RocksDB may write, and what is then read into memory and checked: on
// opening and on re-opening.
#include <algorithm>
#include <random>
#include <utility>

#include "storage/core.h"
#include "storage/log_check.h"

namespace standpipe::storage {
namespace {

namespace fs = std::filesystem;

UniqueId random_id() {
  std::random_device source;
  UniqueId id{};
  for (std::byte& byte : id) byte = static_cast<std::byte>(source() & 0xFFU);
  return id;
}

Error corrupt(std::string detail) { return Error{Errc::corrupt, std::move(detail)}; }

std::string id_text(PartitionId id) { return "partition " + std::to_string(to_int(id)); }

}  // namespace

// Everything that can tell damage, a newer format or a lost database is looked at before RocksDB
// opens for writing, since that already deletes what the manifest does not name.
Result<void> Core::check_before_writing() {
  STANDPIPE_TRY(witness_, Witness::open(dir / "witness"));
  if (options.access == Access::write) STANDPIPE_CHECK(cut_torn_manifest(dir / "db"));
  STANDPIPE_CHECK(check_manifest(dir / "db"));
  if (!fs::exists(dir / "db" / "CURRENT")) {
    if (witness_->state()) {
      return corrupt("the database of " + dir.string() + " is gone, though " +
                     (dir / "witness").string() + " says that there was one");
    }
    return {};
  }
  STANDPIPE_CHECK(open_to_look());
  STANDPIPE_CHECK(load(/*may_begin=*/false));
  if (options.access == Access::write) store.reset();
  return {};
}

// Opens the store read-only, and tells damaged logs from torn ones.
Result<void> Core::open_to_look() {
  ArchiveOptions read_only = options;
  read_only.access = Access::read_only;
  STANDPIPE_TRY(store, Store::open(dir / "db", read_only));
  return check_logs(dir / "db", store->first_live_log());
}

Result<void> Core::load(bool may_begin) {
  streams.clear();
  partitions.clear();
  notes.clear();
  counters = {};
  quarantine = Quarantine(options);
  std::optional<std::string> row;
  if (store->has_container(kMetaContainer)) {
    STANDPIPE_TRY(row, store->get(kMetaContainer, format_key()));
  }
  if (!row) return begin_archive(may_begin);
  STANDPIPE_TRY(format, parse_format_row(*row));
  if (format.version > kFormatVersion) {
    return Error{Errc::unsupported, dir.string() + " has format " + std::to_string(format.version) +
                                        "; this program knows formats up to " +
                                        std::to_string(kFormatVersion)};
  }
  STANDPIPE_CHECK(load_rows());
  STANDPIPE_CHECK(check_partitions());
  STANDPIPE_CHECK(check_witness());
  return quarantine.load(*store);
}

// There is no format row: a new archive, or one whose making was interrupted, or one that lost it.
Result<void> Core::begin_archive(bool may_begin) {
  for (const std::string& name : store->containers()) {
    STANDPIPE_TRY(const auto scan, store->scan(name, /*bulk=*/false));
    scan->seek({});
    STANDPIPE_CHECK(scan->status());
    if (scan->valid()) {
      return corrupt(dir.string() + " has no format row, but column family " + name +
                     " is not empty");
    }
  }
  if (witness_->state()) {
    return corrupt("the contents of " + dir.string() + " are gone, though " +
                   (dir / "witness").string() + " says that there were some");
  }
  if (options.access != Access::write)
    return Error{Errc::not_found, "no archive in " + dir.string()};
  format = FormatRow{kFormatVersion, random_id(), options.clock->now_ms()};
  if (!may_begin) return {};
  StoreBatch batch;
  batch.put(kMetaContainer, format_key(), encode_format_row(format));
  batch.put(kMetaContainer, counters_key(), encode_counters_row(counters));
  return store->write(batch);
}

Result<void> Core::load_rows() {
  STANDPIPE_TRY(const auto scan, store->scan(kMetaContainer, /*bulk=*/true));
  std::vector<EpochRow> epochs;
  std::vector<std::pair<std::string, HeadRow>> heads;
  std::vector<std::pair<std::string, Gap>> gaps;
  std::vector<std::string> resets;
  for (scan->seek({}); scan->valid(); scan->next()) {
    const std::string_view key = scan->key();
    const std::string_view value = scan->value();
    switch (key.empty() ? '\0' : key.front()) {
      case 'C': {
        STANDPIPE_TRY(counters, parse_counters_row(value));
        break;
      }
      case 'S': {
        STANDPIPE_TRY(StreamRow stream, parse_stream_row(value));
        const StreamId id = stream.id;
        streams[id].row = std::move(stream);
        break;
      }
      case 'E': {
        STANDPIPE_TRY(EpochRow epoch, parse_epoch_row(value));
        epochs.push_back(std::move(epoch));
        break;
      }
      case 'H': {
        STANDPIPE_TRY(HeadRow head, parse_head_row(value));
        heads.emplace_back(key, std::move(head));
        break;
      }
      case 'P': {
        STANDPIPE_TRY(PartitionInfo partition, parse_partition_row(value));
        partitions.emplace(partition.id, std::move(partition));
        break;
      }
      case 'G': {
        STANDPIPE_TRY(Gap gap, parse_gap_row(value));
        gaps.emplace_back(key, std::move(gap));
        break;
      }
      case 'N': {
        STANDPIPE_TRY(const Note note, parse_note_row(value));
        notes.push_back(note.number);
        next_note = note.number + 1;
        break;
      }
      case 'U':
        resets.emplace_back(key);
        break;
      default:
        break;  // the format row, and what later versions of this format keep beside it
    }
  }
  STANDPIPE_CHECK(scan->status());
  // Epochs come in key order: by stream, then by number.
  for (EpochRow& row : epochs) {
    StreamState* stream = find_stream(row.stream);
    if (stream == nullptr) return corrupt("an epoch of a stream that the directory does not know");
    stream->epochs.emplace_back().row = std::move(row);
  }
  for (auto& [id, stream] : streams) {
    if (stream.epochs.empty()) return corrupt("stream " + stream.row.spec.name + " has no epoch");
    for (EpochState& epoch : stream.epochs) {
      const std::string wanted = head_key(id, epoch.row.number);
      const auto head = std::find_if(heads.begin(), heads.end(),
                                     [&](const auto& entry) { return entry.first == wanted; });
      if (head == heads.end()) {
        return corrupt("stream " + stream.row.spec.name + " has an epoch without a head");
      }
      epoch.head = head->second;
      epoch.was_reset =
          std::find(resets.begin(), resets.end(), reset_key(id, epoch.row.number)) != resets.end();
      const std::string prefix = gap_key(id, epoch.row.number, kSeqNone).substr(0, 9);
      std::vector<Gap> own;
      for (const auto& [key, gap] : gaps) {
        if (std::string_view(key).substr(0, prefix.size()) == prefix) own.push_back(gap);
      }
      STANDPIPE_TRY(epoch.gaps, GapSet::from_rows(std::move(own)));
    }
  }
  return {};
}

// The directory is the authority on which partitions exist; the families must agree.
Result<void> Core::check_partitions() {
  std::vector<std::string> named;
  for (const auto& [id, partition] : partitions) {
    named.push_back(partition.container);
    const bool must_exist = partition.state == PartitionState::open ||
                            partition.state == PartitionState::sealing ||
                            partition.state == PartitionState::sealed;
    if (must_exist && !store->has_container(partition.container)) {
      return corrupt("column family " + partition.container + " of " + id_text(id) + ", seqs " +
                     std::to_string(to_int(partition.first)) + " to " +
                     std::to_string(to_int(partition.last)) + ", is gone");
    }
    if (find_epoch(partition.stream, partition.epoch) == nullptr) {
      return corrupt(id_text(id) + " belongs to an epoch that the directory does not know");
    }
  }
  for (const std::string& name : store->containers()) {
    if (!name.starts_with(kFramesContainerPrefix)) continue;
    if (std::find(named.begin(), named.end(), name) != named.end()) continue;
    STANDPIPE_TRY(const auto scan, store->scan(name, /*bulk=*/false));
    scan->seek({});
    STANDPIPE_CHECK(scan->status());
    if (scan->valid() && name != std::string(kFramesContainerPrefix) + "shared") {
      return corrupt("column family " + name + " holds frames, but the directory does not know it");
    }
  }
  for (const auto& [id, stream] : streams) {
    for (const EpochState& epoch : stream.epochs) STANDPIPE_CHECK(check_open_partition(epoch));
  }
  return {};
}

// The head is written in the same batch as the frames that it counts: they must agree.
Result<void> Core::check_open_partition(const EpochState& epoch) {
  const HeadRow& head = epoch.head;
  if (head.open_partition == PartitionId{}) return {};
  const auto found = partitions.find(head.open_partition);
  if (found == partitions.end() || found->second.state != PartitionState::open) {
    return corrupt(id_text(head.open_partition) + " should be open, but the directory differs");
  }
  STANDPIPE_TRY(const auto scan, store->scan(found->second.container, /*bulk=*/false));
  scan->seek_for_previous(group_key(head.open_partition, kSeqMax));
  STANDPIPE_CHECK(scan->status());
  Seq last = kSeqNone;
  if (scan->valid()) {
    STANDPIPE_TRY(const GroupKey key, parse_group_key(scan->key()));
    if (key.partition == head.open_partition && key.first != kSeqNone) {
      STANDPIPE_TRY(const GroupView group, parse_group_header(scan->value()));
      last = group.frames.back().seq;
    }
  }
  if (last != head.open_last) {
    return corrupt(id_text(head.open_partition) + " in " + found->second.container +
                   " ends at seq " + std::to_string(to_int(last)) + ", its head says " +
                   std::to_string(to_int(head.open_last)));
  }
  found->second.first = head.open_first;
  found->second.last = head.open_last;
  found->second.clock_first_ms = head.open_clock_first_ms;
  found->second.clock_last_ms = head.open_clock_last_ms;
  found->second.frames = head.open_frames;
  found->second.raw_bytes = head.open_raw_bytes;
  found->second.groups = head.open_groups;
  found->second.digest = head.open_digest;
  return {};
}

Result<void> Core::check_witness() {
  if (!witness_->state()) return {};
  const WitnessState& seen = *witness_->state();
  const std::string path = (dir / "witness").string();
  if (seen.archive != format.archive) return corrupt(path + " is of another archive");
  for (const WitnessEntry& entry : seen.entries) {
    const EpochState* epoch = find_epoch(entry.stream, entry.epoch);
    const Seq newest = epoch == nullptr ? kSeqNone : epoch->head.newest;
    const Seq floor = epoch == nullptr ? kSeqNone : epoch->head.floor;
    if (newest < entry.newest || floor < entry.floor) {
      const StreamState* stream = find_stream(entry.stream);
      return corrupt("stream " + (stream == nullptr ? "?" : stream->row.spec.name) + ", epoch " +
                     std::to_string(to_int(entry.epoch)) + ", ends at seq " +
                     std::to_string(to_int(newest)) + ", but " + path + " saw seq " +
                     std::to_string(to_int(entry.newest)) +
                     " durable: acknowledged frames are gone, nothing was changed");
    }
  }
  return {};
}

}  // namespace standpipe::storage
