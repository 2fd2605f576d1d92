// Another archive, made of what was found whole. It has no name until it has been read again.
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "storage/archive.h"
#include "storage/group.h"
#include "storage/repair_impl.h"

namespace standpipe::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBatchBytes = 4 << 20;
// What the new archive takes beside its groups: its log, which holds what is not yet in tables, and
// tables that compress a little worse.
constexpr std::uint64_t kLogBytes = 64 << 20;

ArchiveOptions target_options(Access access) {
  ArchiveOptions options;
  options.access = access;
  options.create_if_missing = access == Access::write;
  options.log_bytes_max = kLogBytes;
  return options;
}

Error failed_to(std::string_view doing, const fs::path& path, const std::error_code& error) {
  return Error{error == std::errc::no_space_on_device ? Errc::limit : Errc::io,
               "cannot " + std::string(doing) + " " + path.string() + ": " + error.message()};
}

Result<void> remove_tree(const fs::path& path) {
  std::error_code failed;
  fs::remove_all(path, failed);
  if (failed) return failed_to("remove", path, failed);
  return {};
}

// Nothing that is there is ever replaced.
Result<void> check_target(const fs::path& target) {
  std::error_code failed;
  if (!fs::exists(target, failed)) return {};
  if (fs::is_directory(target, failed) && fs::is_empty(target, failed)) return {};
  return Error{Errc::invalid, target.string() + " is there already: name another directory"};
}

Result<void> check_room(const fs::path& parent, std::uint64_t bytes, std::uint64_t free_bytes_min) {
  struct statvfs room {};
  if (::statvfs(parent.c_str(), &room) != 0) {
    return failed_to("look at the room of", parent, {errno, std::generic_category()});
  }
  const std::uint64_t free = static_cast<std::uint64_t>(room.f_bavail) * room.f_frsize;
  const std::uint64_t wanted = bytes + bytes / 16 + 2 * kLogBytes;
  if (free >= wanted && free - wanted >= free_bytes_min) return {};
  return Error{Errc::limit, "the repaired archive may take " + std::to_string(wanted) +
                                " bytes, and " + std::to_string(free_bytes_min) +
                                " are to remain free; " + std::to_string(free) +
                                " bytes are free on the file system of " + parent.string() +
                                ": make room there, or name a directory on another disk"};
}

}  // namespace

Result<void> Repair::Impl::write(const fs::path& target, std::uint64_t free_bytes_min,
                                 const RepairProgress& progress) {
  const fs::path whole = fs::absolute(target).lexically_normal();
  // "DIR/" is DIR: the unfinished one lies beside it, not in it.
  const fs::path name = whole.has_filename() ? whole : whole.parent_path();
  STANDPIPE_CHECK(check_target(name));
  STANDPIPE_CHECK(check_room(name.parent_path(), report.bytes, free_bytes_min));
  const fs::path partial = name.string() + ".partial";
  std::error_code failed;
  fs::create_directory(partial, failed);
  if (failed) return failed_to("create", partial, failed);
  Result<void> written = write_into(partial, progress);
  if (written) {
    // Over an empty directory, or over nothing.
    if (::rename(partial.c_str(), name.c_str()) == 0) return sync_directory(name.parent_path());
    written = failed_to("rename", partial, {errno, std::generic_category()});
  }
  if (written.error().code == Errc::busy) return written;  // it is somebody else's
  // The first error is the cause; what could not be removed is removed by the next run.
  [[maybe_unused]] const Result<void> removed = remove_tree(partial);
  return written;
}

Result<void> Repair::Impl::write_into(const fs::path& partial, const RepairProgress& progress) {
  {
    STANDPIPE_TRY(const DirectoryLock held, DirectoryLock::acquire(partial, Access::write));
    STANDPIPE_CHECK(remove_tree(partial / "db"));
    STANDPIPE_CHECK(remove_tree(partial / "witness"));
    std::error_code failed;
    fs::create_directory(partial / "db", failed);
    if (failed) return failed_to("create", partial / "db", failed);
    STANDPIPE_TRY(const std::unique_ptr<Store> store,
                  Store::open(partial / "db", target_options(Access::write)));
    std::uint64_t total = 0;
    std::uint64_t done = 0;
    for (const FoundPartition& partition : found) total += partition.row.raw_bytes;
    const auto count = [&](std::size_t bytes) {
      done += bytes;
      if (progress) progress(std::min(done, total), total);
    };
    for (const FoundPartition& partition : found) {
      STANDPIPE_CHECK(write_partition(*store, partition, count));
    }
    STANDPIPE_CHECK(write_rows(*store, partial));
    STANDPIPE_CHECK(store->flush_all());
  }
  {
    STANDPIPE_TRY(const auto archive, Archive::open(partial, target_options(Access::read_only)));
    STANDPIPE_CHECK(archive->verify_files());
  }
  STANDPIPE_CHECK(sync_directory(partial / "db"));
  return sync_directory(partial);
}

// Group by group as it was stored; what was not whole when the numbers of the row were taken is
// not whole now.
Result<void> Repair::Impl::write_partition(Store& store, const FoundPartition& partition,
                                           const std::function<void(std::size_t)>& count) {
  const std::string& container = partition.row.container;
  if (!store.has_container(container)) STANDPIPE_CHECK(store.create_container(container));
  StoreBatch batch;
  batch.put(container, self_description_key(partition.row.id),
            encode_self_description(partition.text));
  std::uint64_t groups = 0;
  Seq last = kSeqNone;
  const auto take = [&](std::string_view key, std::string_view value) -> Result<void> {
    STANDPIPE_TRY(const GroupKey at, parse_group_key(key));
    if (at.first == kSeqNone) return {};
    const std::optional<GroupView> group = whole_group(value);
    if (!group || group->frames.front().seq != at.first || at.first <= last) return {};
    last = group->frames.back().seq;
    ++groups;
    count(value.size());
    batch.put(container, std::string(key), std::string(value));
    if (batch.bytes() < kBatchBytes) return {};
    STANDPIPE_CHECK(store.write(batch));
    batch = StoreBatch();
    return {};
  };
  STANDPIPE_CHECK(salvage->read_partition(
      partition.row.id, container,
      [](std::string_view value) { return whole_group(value).has_value(); }, take));
  STANDPIPE_CHECK(store.write(batch));
  if (groups != partition.row.groups || last != partition.row.last) {
    return Error{Errc::io, container +
                               " reads otherwise than a moment ago: the disk goes on "
                               "failing; copy the archive to another one first"};
  }
  return store.flush(container);
}

Result<void> Repair::Impl::write_rows(Store& store, const fs::path& partial) {
  StoreBatch batch;
  const auto put = [&batch](std::string key, std::string value) {
    batch.put(kMetaContainer, std::move(key), std::move(value));
  };
  put(format_key(), encode_format_row(directory.format));
  put(counters_key(), encode_counters_row(directory.counters));
  for (const auto& [id, row] : directory.streams) put(stream_key(id), encode_stream_row(row));
  WitnessState seen;
  seen.archive = directory.format.archive;
  for (const auto& [epoch, row] : directory.epochs) {
    const HeadRow& head = directory.heads[epoch];
    put(epoch_key(epoch.first, epoch.second), encode_epoch_row(row));
    put(head_key(epoch.first, epoch.second), encode_head_row(head));
    for (const Gap& gap : directory.gaps[epoch].rows()) {
      put(gap_key(epoch.first, epoch.second, gap.after), encode_gap_row(gap));
    }
    // Of each stream the newest epoch, which comes last.
    if (!seen.entries.empty() && seen.entries.back().stream == epoch.first) seen.entries.pop_back();
    if (seen.entries.size() < kWitnessEntriesMax) {
      seen.entries.push_back({epoch.first, epoch.second, head.newest, head.floor});
    }
  }
  for (const FoundPartition& partition : found) {
    put(partition_key(partition.row.id), encode_partition_row(partition.row));
  }
  for (const auto& [key, value] : directory.others) put(key, value);
  const Note note{directory.next_note, StreamId{}, clock.now_ms(), "repair",
                  "made of a damaged archive: " + std::to_string(report.frames) +
                      " frames are whole, ranges lost: " + std::to_string(report.losses.size())};
  put(note_key(note.number), encode_note_row(note));
  for (const auto& [key, value] : salvage->quarantine()) {
    if (parse_quarantine_row(value)) batch.put(kQuarantineContainer, key, value);
  }
  STANDPIPE_CHECK(store.write(batch));
  STANDPIPE_TRY(Witness witness_file, Witness::open(partial / "witness"));
  return witness_file.write(std::move(seen));
}

}  // namespace standpipe::storage
