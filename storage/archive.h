// The archive: every frame of every stream, byte for byte, keyed by seq.
//
// A directory holds one archive and one process holds it for writing; any number may read it while
// nobody writes. Inside: streams, each with epochs (seq spaces), each cut into partitions, each
// stored as groups of frames in a RocksDB column family. docs/format.md gives every byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schema/base/result.h"
#include "storage/appender.h"
#include "storage/options.h"
#include "storage/reader.h"
#include "storage/types.h"

namespace standpipe::storage {

// What the archive can do now. Anything but ok and read_only stops appending; reading goes on in
// all states but closed.
enum class Health : std::uint8_t {
  ok,
  read_only,
  disk_full,       // below free_bytes_min, or a write said so; ends by itself when there is room
  storage_failed,  // a write failed: what it did is known only after the next open
  corrupt,         // our own bytes are wrong
  closed,
};
std::string_view to_string(Health health);

struct ArchiveStats {
  Health health = Health::ok;
  std::string health_detail;       // the first error, or how much room is missing
  std::uint64_t stored_bytes = 0;  // tables on disk
  std::uint64_t log_bytes = 0;     // RocksDB's log files on disk
  std::uint64_t free_bytes = 0;    // of the file system
  std::uint64_t quarantine_entries = 0, quarantine_bytes = 0;
  std::uint64_t partitions = 0, families = 0;
  std::uint64_t run_cache_hits = 0, run_cache_misses = 0, run_cache_bytes = 0;
  std::uint64_t bytes_written_log = 0, bytes_written_flush = 0, bytes_written_compaction = 0;
  std::uint64_t reopens = 0;
  // What retention has dropped since the archive was opened; bytes of table files.
  std::uint64_t retention_partitions = 0, retention_frames = 0, retention_bytes = 0;
};

// invalid: no name for a stream, and what is one.
Result<void> check_stream_name(std::string_view name);

class Archive {
 public:
  // busy: another process (or another Archive in this one) holds it, the detail says which and how.
  // unsupported: a newer format, the detail names both versions.
  // corrupt: damage, named by file and place; nothing has been written.
  // not_found: no archive there and create_if_missing is false, or access is read_only.
  static Result<std::unique_ptr<Archive>> open(const std::filesystem::path& dir,
                                               ArchiveOptions options);
  // Closes without flushing, like a crash would, unless close() was called.
  ~Archive();
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  // A clean stop: waits for background work, flushes every family, writes the witness.
  Result<void> close();

  const std::filesystem::path& directory() const;
  UniqueId unique_id() const;
  std::uint32_t format_version() const;

  // -- Streams and epochs. Any thread. ----------------------------------------------------------
  std::vector<StreamInfo> streams() const;
  std::optional<StreamInfo> find_stream(std::string_view name) const;
  // Creates it, or finds it and checks that kind and URL agree (invalid if not; a URL may be
  // changed with `change_upstream`, and an empty one in `spec` asks nothing). A density other than
  // automatic is taken over; it counts for the next Appender.
  Result<StreamInfo> ensure_stream(const StreamSpec& spec, bool change_upstream = false);
  // Ends the newest epoch and begins the next. Its Appender, if one is held, ends with
  // Errc::closed. Durable on return.
  Result<EpochInfo> begin_epoch(StreamId stream, std::string reason);

  // -- Frames -----------------------------------------------------------------------------------
  Result<Appender> appender(StreamId stream);  // busy if one is held already
  Result<Reader> reader(StreamId stream, EpochNumber epoch) const;
  // A number that grows whenever something became durable in the stream; any thread, no lock held.
  Seq newest(StreamId stream, EpochNumber epoch) const;

  // -- What is absent, and what was kept aside. Any thread. -------------------------------------
  // Gaps that touch (after, before), oldest first, at most `max`.
  Result<std::vector<Gap>> gaps(StreamId stream, EpochNumber epoch, Seq after, Seq before,
                                std::size_t max) const;
  Result<std::vector<QuarantineEntry>> quarantine(std::size_t max) const;  // newest first
  Result<std::vector<Note>> notes(std::size_t max) const;                  // newest first

  // -- Partitions. Any thread; one such call at a time, others wait. ----------------------------
  std::vector<PartitionInfo> partitions() const;  // by stream, epoch, first seq
  // Ends the open partition now, as a roll would. Nothing happens if it is empty.
  Result<void> seal(StreamId stream);
  // Retention: drops a whole sealed partition and records the gap. not_found, or invalid if it is
  // not the oldest sealed one of its epoch.
  Result<void> drop_partition(PartitionId id);
  // Drops what exceeds ArchiveOptions::retention, one partition after the other, and logs each; how
  // many. With a background thread this happens by itself: after each seal, every few seconds, and
  // at once where the disk is full. Other work on partitions goes first: then the rest is left to
  // the next time. Never more than the limits say, however full the disk is.
  // invalid: a limit is for a stream that is not there; nothing has been dropped.
  Result<std::size_t> apply_retention();
  // Rewrites a sealed partition into a new family and swaps it in after comparing every frame.
  Result<PartitionId> rewrite_partition(PartitionId id);
  // Re-reads every table file against its recorded checksum, then every group. Slow.
  Result<void> verify_files() const;

  // -- Copies of it. docs/format.md, "Backups". ---------------------------------------------------
  struct TableFile {
    std::string name;  // below DIR/db
    std::uint64_t bytes = 0;
    std::string checksum;  // CRC-32C, four bytes, big-endian; empty if it is not known
  };
  std::vector<TableFile> table_files() const;  // those in use
  // The archive as it is now, whole and durable, in DIR/checkpoint, where it can be opened and
  // copied from like another that nobody writes to: it holds everything that was acknowledged
  // before the call. Tables are hard links and take no room, until they would have been deleted.
  // Writing waits while links are made, not while tables are flushed. One that is there already is
  // replaced. Only with write access.
  Result<std::filesystem::path> make_checkpoint();
  Result<void> remove_checkpoint();  // ok if there is none

  // After disk_full: tries to go on. ok if there was nothing to do. The Appender of each stream
  // must be asked for anew: what it had pending is gone.
  Result<void> try_resume();

  Health health() const;
  ArchiveStats stats() const;

  class Impl;

 private:
  explicit Archive(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::storage
