#include "storage/store_options.h"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/statistics.h>
#include <rocksdb/table.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdarg>

#include "storage/store.h"

namespace standpipe::storage {
namespace {

// A quarter of what the process may open, so that sockets keep their share; never unlimited, or the
// table cache would grow with the archive.
int open_files_max() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
  return static_cast<int>(std::clamp<rlim_t>(limit.rlim_cur / 4, 64, 4096));
}

// RocksDB's own log file would be written even by those who only read; and where the disk is full,
// the second line that it cannot write ends the process (an assertion of WritableFileWriter's,
// which Debian's build has switched on). What goes wrong comes back as a status all the same.
class NoInfoLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};
// RocksDB would resume by itself once there is room, flush what it has, and go on: past a log whose
// tail is in doubt, and perhaps while we re-open. Only a re-open can tell what a failed write did.
class NoRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

}  // namespace

rocksdb::DBOptions database_options(const ArchiveOptions& options) {
  rocksdb::DBOptions db;
  if (options.env != nullptr) db.env = options.env;
  db.create_if_missing = options.access == Access::write && options.create_if_missing;
  db.create_missing_column_families = options.access == Access::write;
  db.paranoid_checks = true;

  // The log: one sync per batch, nothing recycled, so that what follows a damaged record proves
  // that the record had been acknowledged (storage/log_check.h).
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  db.track_and_verify_wals_in_manifest = true;
  db.recycle_log_file_num = 0;
  db.manual_wal_flush = false;
  // What is recovered from a log becomes tables, synced anew, before anybody can read it: the end
  // of that log may be there for now only, since after a failed sync no later one says anything.
  // Nor is a log with a torn end then ever replayed below newer ones.
  db.avoid_flush_during_recovery = false;
  db.avoid_flush_during_shutdown = true;
  db.wal_compression = rocksdb::kNoCompression;  // doubles the CPU of ingest for 0.36 of a write
  db.enable_pipelined_write = false;             // at most one batch may be unsynced
  db.unordered_write = false;
  db.listeners.push_back(std::make_shared<NoRecovery>());
  db.max_bgerror_resume_count = 0;  // a failed write is in doubt: only a re-open may go on

  // Quiet families must not pin the log for ever, nor may many families fill the memory.
  db.max_total_wal_size = options.log_bytes_max;
  db.db_write_buffer_size = 4 * options.write_buffer_bytes;
  db.max_open_files = open_files_max();
  db.max_background_jobs = 2;
  // A reader must not pay for deleting an old table. Read-only there is nothing to delete, and
  // RocksDB 7.8 aborts on the thought of it (SchedulePurge in VerifyFileChecksums).
  db.avoid_unnecessary_blocking_io = options.access == Access::write;
  db.bytes_per_sync = 1 << 20;  // tables reach the disk as they are written
  db.max_manifest_file_size = 64 << 20;
  db.info_log = std::make_shared<NoInfoLog>();
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  db.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  db.statistics = rocksdb::CreateDBStatistics();
  db.statistics->set_stats_level(rocksdb::StatsLevel::kExceptHistogramOrTimers);
  return db;
}

// Keys only rise, so levels are filled by trivial moves: level compaction costs no rewriting here.
rocksdb::ColumnFamilyOptions family_options(const ArchiveOptions& options, std::string_view name,
                                            const std::shared_ptr<rocksdb::Cache>& cache) {
  const bool holds_frames = name.starts_with(kFramesContainerPrefix);
  rocksdb::ColumnFamilyOptions family;
  family.compaction_style = rocksdb::kCompactionStyleLevel;
  family.level_compaction_dynamic_level_bytes = true;
  // A look-up has to look into every file of level 0 and one of each other level. So there is one
  // other level, and a table is moved there as soon as it is flushed: keys only rise, so nothing is
  // rewritten. Partitions that share a family interleave; they wait for company.
  if (holds_frames && name != kSharedContainer) {
    family.level0_file_num_compaction_trigger = 1;
    family.num_levels = 2;
  }
  family.target_file_size_base = 256 << 20;
  family.write_buffer_size = holds_frames ? options.write_buffer_bytes : 4 << 20;
  family.max_write_buffer_number = 3;
  // Level 1: 3 would take 2.5 times the CPU for one point of space.
  family.compression = rocksdb::kZSTD;
  family.compression_opts.level = 1;
  family.bottommost_compression = rocksdb::kDisableCompressionOption;  // the same as above

  rocksdb::BlockBasedTableOptions table;
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;
  table.filter_policy = nullptr;  // every look-up is a seek in an order that we know
  table.block_cache = cache;
  // Small live groups share a block, else they would compress one by one; a full group exceeds it.
  table.block_size = holds_frames ? 128 << 10 : 16 << 10;
  table.cache_index_and_filter_blocks = false;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return family;
}

}  // namespace standpipe::storage
