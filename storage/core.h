// What Archive, Appender, Reader and the partition protocols share: the open store, the state that
// was loaded from it, and the one order in which it changes. Private to storage/.
//
// Locks, in the order in which they are taken:
//   partition_work  one seal, drop, rewrite or re-open at a time. The archive's own thread only
//                   tries for it: whoever holds it may wait for that thread
//   write_mutex   held by whoever is about to change the store: one durable order of changes
//   store_mutex   shared while the store is used, exclusive while it is exchanged (try_resume)
//   mutex         guards the state in memory; never held across I/O
// In-memory state is changed only after the change is durable, by the holder of write_mutex.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "storage/archive.h"
#include "storage/gap_set.h"
#include "storage/group.h"
#include "storage/group_clock.h"
#include "storage/lock.h"
#include "storage/options.h"
#include "storage/quarantine.h"
#include "storage/retention.h"
#include "storage/rows.h"
#include "storage/run_cache.h"
#include "storage/store.h"
#include "storage/types.h"
#include "storage/witness.h"

namespace standpipe::storage {

// What a reader sees of an epoch: an immutable snapshot, exchanged as a whole.
struct EpochView {
  std::vector<PartitionInfo> partitions;  // open, sealing and sealed ones that hold frames, by seq
  Seq window_floor = kSeqNone;
};

// Shared by an epoch's state and its readers; outlives neither the other's problems.
class EpochChannel {
 public:
  Seq newest() const { return Seq{newest_.load(std::memory_order_acquire)}; }
  std::shared_ptr<const EpochView> view() const {
    const std::lock_guard lock(mutex_);
    return view_;
  }
  // A reader loads newest() first: the view it then gets knows newest's partition.
  void publish(std::shared_ptr<const EpochView> view, Seq newest) {
    {
      const std::lock_guard lock(mutex_);
      view_ = std::move(view);
    }
    publish_newest(newest);
  }
  void publish_newest(Seq newest) { newest_.store(to_int(newest), std::memory_order_release); }

 private:
  std::atomic<std::int64_t> newest_{0};
  mutable std::mutex mutex_;  // guards view_
  std::shared_ptr<const EpochView> view_ = std::make_shared<EpochView>();
};

struct EpochState {
  EpochRow row;
  HeadRow head;
  GapSet gaps;
  bool was_reset = false;  // upstream began anew: nothing is taken until the next epoch
  std::shared_ptr<EpochChannel> channel = std::make_shared<EpochChannel>();
};

struct StreamState {
  StreamRow row;
  std::vector<EpochState> epochs;  // oldest first
  bool has_appender = false;
  std::optional<PartitionId> spare;  // created ahead of need, empty
  bool is_making_spare = false;
};

class Core {
 public:
  static Result<std::unique_ptr<Core>> open(const std::filesystem::path& dir,
                                            ArchiveOptions options);
  ~Core();

  // -- Changing the store. The caller holds write_mutex. ------------------------------------------
  // Synced. Any error closes the writer (fail()).
  Result<void> write(const StoreBatch& batch);
  // Runs `change` on the store; any error closes the writer.
  Result<void> change(const std::function<Result<void>(Store&)>& change);
  Result<void> check_writable() const;
  // At least free_bytes_min of room; else the archive is disk_full.
  Result<void> check_room();
  void fail(const Error& error);
  std::uint64_t free_bytes() const;  // of the file system that holds the archive
  bool quarantine_admits(std::size_t bytes, std::int64_t now_ms);
  void step(std::string_view name) const {
    if (options.on_step) options.on_step(name);
  }

  // -- State. The caller holds mutex.
  // --------------------------------------------------------------
  StreamState* find_stream(StreamId id);
  EpochState* find_epoch(StreamId id, EpochNumber number);
  // Makes a new view of the epoch from `partitions` and its head, and publishes it.
  void publish(EpochState& epoch);
  EpochInfo describe(const EpochState& epoch) const;
  WitnessState witness_state(bool is_clean) const;
  // Of the newest group of a partition; takes mutex itself.
  std::int64_t clock_of(PartitionId id) const;
  // Numbers the note and removes the oldest ones beyond notes_max.
  void add_note(StoreBatch& batch, Note note);

  // -- Background work
  // ------------------------------------------------------------------------------ Runs `work` on
  // the archive's thread, or at once where there is none (options.background). It is called without
  // any lock.
  void in_background(std::function<Result<void>()> work);
  void wait_for_background();
  void write_witness_if_due();                // at most once a second; caller holds write_mutex
  Result<void> write_witness(bool is_clean);  // likewise

  // try_resume: exchanges the store and finishes what the failure interrupted. The caller holds no
  // lock of ours; nothing can be written meanwhile. After a failure the archive can still be read,
  // if that is possible at all; where only room was missing it may be tried again.
  Result<void> load_again();
  void stop_thread();
  std::atomic<bool> is_stopping = false;  // long work ends at the next step
  // Any thread: a partition was sealed.
  void note_sealed();
  void release();  // the end: closes the store and gives the directory up

  const std::filesystem::path dir;
  const ArchiveOptions options;

  std::mutex partition_work;
  std::mutex write_mutex;
  mutable std::shared_mutex store_mutex;
  std::unique_ptr<Store> store;

  mutable std::mutex mutex;  // guards all below, up to the blank line
  FormatRow format;
  CountersRow counters;
  std::map<StreamId, StreamState> streams;
  std::map<PartitionId, PartitionInfo> partitions;  // every row of the directory
  std::deque<std::uint64_t> notes;                  // numbers kept, oldest first
  std::uint64_t next_note = 1;
  Health health = Health::ok;
  std::string health_detail;
  bool writer_failed = false;    // a change of the store failed: only load_again() may go on
  bool is_reopening = false;     // load_again() is not done
  std::uint64_t generation = 1;  // grows with each exchange of the store
  std::uint64_t reopens = 0;
  struct {
    std::uint64_t partitions = 0, frames = 0, stored_bytes = 0;
  } dropped;  // by retention, since the opening

  Quarantine quarantine;

  RunCache cache;  // thread-safe

 private:
  Core(std::filesystem::path directory, ArchiveOptions archive_options, DirectoryLock lock);

  Result<void> check_before_writing();
  Result<void> open_to_look();
  Result<void> note_witness_warning();
  Result<void> load(bool may_begin);
  Result<void> load_rows();
  Result<void> check_partitions();
  Result<void> check_open_partition(const EpochState& epoch);
  Result<void> check_witness();
  Result<void> begin_archive(bool may_begin);
  void publish_all();  // the caller holds mutex
  Result<void> exchange_store();
  Result<void> load_store(Access access);
  void run_thread(const std::stop_token& stop);
  bool retention_is_due() const;

  std::optional<DirectoryLock> lock_;
  std::optional<Witness> witness_;  // guarded by write_mutex
  std::int64_t witnessed_ms_ = 0;   // likewise

  std::mutex work_mutex_;  // guards work_, is_working_ and was_sealed_
  std::condition_variable_any work_changed_;
  std::deque<std::function<Result<void>()>> work_;
  bool is_working_ = false;
  bool was_sealed_ = true;             // since retention last looked; what lies there counts
  std::int64_t retention_ran_ms_ = 0;  // steady clock; the archive's thread alone
  std::jthread thread_;                // last: it uses everything above
};

// -- The partition protocols (storage/partition.cc): intent first, nothing destroyed before its
// successor is durable outside the log. docs/architecture.md, "Partitions". -----------------------

// fsync of a directory: its entries are durable on return.
Result<void> sync_directory(const std::filesystem::path& dir);

std::string partition_container(const StreamRow& stream, PartitionId id);
// All keys of a partition, its self-description and its groups: [begin, end).
std::string partition_begin(PartitionId id);
std::string partition_end(PartitionId id);

SelfDescription describe_partition(const StreamState& stream, const EpochState& epoch,
                                   PartitionId id, std::uint8_t codec, Seq first);
void add_gap_changes(StoreBatch& batch, StreamId stream, EpochNumber epoch,
                     const GapChanges& changes);

// These two are steps of a commit: the caller holds write_mutex.
// Durable and empty, in state `creating`; the batch of the first group opens it.
Result<PartitionId> create_partition(Core& core, StreamId stream, EpochNumber epoch);
// Ends the open partition of the epoch, if there is one, and returns it: its state is `sealing`
// until finish_sealing().
Result<std::optional<PartitionId>> seal_open(Core& core, StreamId stream, EpochNumber epoch);

// Adds to `batch` that `partition` opens with a group of first seq `first`, and its
// self-description; `partition` becomes the row.
void add_opening(StoreBatch& batch, const StreamState& stream, const EpochState& epoch,
                 PartitionInfo& partition, Seq first, std::int64_t clock_ms);
// What a partition's row says once nothing more is appended to it; state `sealing`.
PartitionInfo sealing_row(PartitionInfo open, const HeadRow& head);
void clear_open_partition(HeadRow& head);

// These take write_mutex themselves, for each of their writes. One at a time: Archive sees to that.
Result<void> finish_sealing(Core& core, PartitionId id);
Result<void> drop_partition(Core& core, PartitionId id);
Result<PartitionId> rewrite_partition(Core& core, PartitionId id);
// DIR/checkpoint, with what an interrupted one left; ok if there is none.
Result<void> remove_checkpoint(const std::filesystem::path& dir);
// A copy of the whole there (storage/checkpoint.cc). The caller holds partition_work and
// write_mutex, and has removed the one before.
Result<std::filesystem::path> make_checkpoint(Core& core);
// Retention (storage/retention_pass.cc). Takes partition_work, drop by drop, where it is free.
Result<std::size_t> drop_expired(Core& core);
// Re-reads every group against its checksums and the partition's row and digest.
Result<void> verify_partition(const Store& store, const PartitionInfo& partition);
// Finishes or undoes what a crash interrupted; before anything else uses the archive.
Result<void> recover_partitions(Core& core);

}  // namespace standpipe::storage
