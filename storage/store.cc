#include "storage/store.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/slice.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/statistics.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <mutex>
#include <utility>

#include "storage/store_options.h"

namespace standpipe::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBulkReadaheadBytes = 512 << 10;

// The only translation of RocksDB's words into ours. Corruption and lack of space keep their own
// codes because they have their own next actions; everything else is the disk's or the system's.
Error to_error(const rocksdb::Status& status, std::string_view doing) {
  Errc code = Errc::io;
  if (status.IsCorruption()) code = Errc::corrupt;
  if (status.IsNoSpace()) code = Errc::limit;
  if (status.IsNotFound()) code = Errc::not_found;
  std::string detail(doing);
  detail += ": ";
  detail += status.ToString();
  return Error{code, std::move(detail)};
}

rocksdb::Slice to_slice(std::string_view text) { return {text.data(), text.size()}; }

// A new database, or a new incarnation of one, is a new manifest and a CURRENT that names it.
// RocksDB makes both names durable together, after the rename; a power cut may then keep the second
// alone.
class SyncsBeforeCurrent final : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;
  static const char* kClassName() { return "SyncsBeforeCurrent"; }
  const char* Name() const override { return kClassName(); }

  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    const fs::path target(to);
    if (target.filename() == "CURRENT") {
      std::unique_ptr<rocksdb::FSDirectory> directory;
      rocksdb::IOStatus status =
          NewDirectory(target.parent_path().string(), options, &directory, debug);
      if (status.ok()) status = directory->Fsync(options, debug);
      if (!status.ok()) return status;
    }
    return FileSystemWrapper::RenameFile(from, to, options, debug);
  }
};

// RocksDB blames the manifest for a table that it cannot open: names the tables that do not verify.
std::string damaged_tables(const fs::path& dir, const rocksdb::Options& options) {
  std::string names;
  std::error_code failed;
  for (fs::directory_iterator entry(dir, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    if (entry->path().extension() != ".sst") continue;
    rocksdb::SstFileReader table(options);
    rocksdb::Status status = table.Open(entry->path().string());
    if (status.ok()) status = table.VerifyChecksum();
    if (!status.ok()) names += "; " + entry->path().string() + ": " + status.ToString();
  }
  return names;
}

// Owns the database; outlives every handle and iterator made from it.
struct Database {
  std::unique_ptr<rocksdb::Env> env;  // goes last
  std::unique_ptr<rocksdb::DB> db;
  std::shared_ptr<rocksdb::Statistics> statistics;
};

struct Family {
  std::shared_ptr<Database> database;
  rocksdb::ColumnFamilyHandle* handle = nullptr;  // ours, returned to the database at the end
  Family(std::shared_ptr<Database> owner, rocksdb::ColumnFamilyHandle* raw)
      : database(std::move(owner)), handle(raw) {}
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;
  ~Family() {
    // Fails only for a null handle, which this never is.
    [[maybe_unused]] const auto status = database->db->DestroyColumnFamilyHandle(handle);
  }
};
using FamilyPtr = std::shared_ptr<Family>;

class RocksScan final : public StoreScan {
 public:
  RocksScan(FamilyPtr family, std::unique_ptr<rocksdb::Iterator> iterator)
      : family_(std::move(family)), iterator_(std::move(iterator)) {}

  void seek(std::string_view key) override { iterator_->Seek(to_slice(key)); }
  void seek_for_previous(std::string_view key) override { iterator_->SeekForPrev(to_slice(key)); }
  void next() override { iterator_->Next(); }
  bool valid() const override { return iterator_->Valid(); }
  std::string_view key() const override { return iterator_->key().ToStringView(); }
  std::string_view value() const override { return iterator_->value().ToStringView(); }
  Result<void> status() const override {
    const rocksdb::Status status = iterator_->status();
    if (!status.ok()) return to_error(status, "reading " + family_->handle->GetName());
    return {};
  }

 private:
  FamilyPtr family_;  // before the iterator: it must go last
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

class RocksStore final : public Store {
 public:
  RocksStore(fs::path dir, const ArchiveOptions& options)
      : dir_(std::move(dir)), options_(options), cache_(rocksdb::NewLRUCache(32 << 20)) {}

  Result<void> open();

  Result<void> write(const StoreBatch& batch) override;
  Result<std::optional<std::string>> get(std::string_view container,
                                         std::string_view key) const override;
  Result<std::unique_ptr<StoreScan>> scan(std::string_view container, bool bulk) const override;
  Result<std::unique_ptr<StoreScan>> scan_few(std::string_view container) const override;
  std::vector<std::string> containers() const override;
  bool has_container(std::string_view name) const override { return find(name) != nullptr; }
  Result<void> create_container(std::string_view name) override;
  Result<void> drop_container(std::string_view name) override;
  Result<void> flush(std::string_view container) override;
  Result<void> flush_all() override;
  Result<std::uint64_t> table_bytes(std::string_view container, std::string_view from,
                                    std::string_view to) const override;
  Result<void> drop_range(std::string_view container, std::string_view from,
                          std::string_view to) override;
  std::uint64_t first_live_log() const override;
  std::vector<StoreTable> tables() const override;
  Result<void> checkpoint(const fs::path& dir) const override;
  Result<void> verify_files() const override;
  StoreStats stats() const override;

 private:
  FamilyPtr find(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    const auto found = families_.find(name);
    return found == families_.end() ? nullptr : found->second;
  }
  Result<std::unique_ptr<StoreScan>> make_scan(std::string_view container, bool fills_cache,
                                               std::size_t readahead_bytes) const;
  // Any failed change closes the store for further ones: what it did is in doubt.
  Result<void> check_change(const rocksdb::Status& status, std::string_view doing) {
    if (status.ok()) return {};
    failed_.store(true);
    return to_error(status, doing);
  }
  Result<void> check_writable() const {
    if (failed_.load()) return Error{Errc::closed, "an earlier write failed: re-open the archive"};
    if (options_.access != Access::write) return Error{Errc::closed, "opened read-only"};
    return {};
  }

  const fs::path dir_;
  const ArchiveOptions options_;
  const std::shared_ptr<rocksdb::Cache> cache_;
  std::shared_ptr<Database> database_;
  std::atomic<bool> failed_ = false;
  mutable std::mutex mutex_;  // guards families_
  std::map<std::string, FamilyPtr, std::less<>> families_;
};

Result<void> RocksStore::open() {
  rocksdb::DBOptions db_options = database_options(options_);
  auto files = std::make_shared<SyncsBeforeCurrent>(db_options.env->GetFileSystem());
  std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(files);
  db_options.env = env.get();
  std::vector<std::string> names;
  const rocksdb::Status listed = rocksdb::DB::ListColumnFamilies(db_options, dir_.string(), &names);
  const bool is_new = !listed.ok() && (listed.IsPathNotFound() || listed.IsNotFound());
  if (!listed.ok() && (!is_new || !db_options.create_if_missing)) {
    return to_error(listed, "opening " + dir_.string());
  }
  if (is_new) names = {rocksdb::kDefaultColumnFamilyName};
  if (options_.access == Access::write) {
    for (const std::string_view needed : {kMetaContainer, kQuarantineContainer}) {
      if (std::find(names.begin(), names.end(), needed) == names.end()) names.emplace_back(needed);
    }
  }
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const std::string& name : names) {
    descriptors.emplace_back(name, family_options(options_, name, cache_));
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status opened =
      options_.access == Access::write
          ? rocksdb::DB::Open(db_options, dir_.string(), descriptors, &handles, &raw)
          : rocksdb::DB::OpenForReadOnly(db_options, dir_.string(), descriptors, &handles, &raw);
  if (!opened.ok()) {
    Error error = to_error(opened, "opening " + dir_.string());
    if (error.code == Errc::corrupt) {
      const rocksdb::Options any(db_options, family_options(options_, kMetaContainer, cache_));
      error.detail += damaged_tables(dir_, any);
    }
    return error;
  }
  database_ = std::make_shared<Database>();
  database_->env = std::move(env);
  database_->db.reset(raw);
  database_->statistics = db_options.statistics;
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    families_.emplace(handle->GetName(), std::make_shared<Family>(database_, handle));
  }
  return {};
}

Result<void> RocksStore::write(const StoreBatch& batch) {
  STANDPIPE_CHECK(check_writable());
  if (batch.empty()) return {};
  rocksdb::WriteBatch changes(batch.bytes() + 64 * batch.changes().size());
  std::vector<FamilyPtr> held;  // a family must not go while the batch names it
  for (const StoreBatch::Change& change : batch.changes()) {
    if (held.empty() || held.back()->handle->GetName() != change.container) {
      FamilyPtr family = find(change.container);
      if (family == nullptr) {
        return Error{Errc::not_found, "no column family " + change.container};
      }
      held.push_back(std::move(family));
    }
    rocksdb::ColumnFamilyHandle* handle = held.back()->handle;
    rocksdb::Status added;
    switch (change.kind) {
      case StoreBatch::Change::Kind::put:
        added = changes.Put(handle, change.key, change.value);
        break;
      case StoreBatch::Change::Kind::remove:
        added = changes.Delete(handle, change.key);
        break;
      case StoreBatch::Change::Kind::remove_range:
        added = changes.DeleteRange(handle, change.key, change.value);
        break;
    }
    if (!added.ok()) return to_error(added, "building a batch");
  }
  rocksdb::WriteOptions synced;
  synced.sync = true;
  return check_change(database_->db->Write(synced, &changes), "writing a batch");
}

Result<std::optional<std::string>> RocksStore::get(std::string_view container,
                                                   std::string_view key) const {
  const FamilyPtr family = find(container);
  if (family == nullptr) {
    return Error{Errc::not_found, "no column family " + std::string(container)};
  }
  rocksdb::ReadOptions read;
  read.verify_checksums = true;
  std::string value;
  const rocksdb::Status status = database_->db->Get(read, family->handle, to_slice(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return to_error(status, "reading " + std::string(container));
  return std::optional<std::string>(std::move(value));
}

Result<std::unique_ptr<StoreScan>> RocksStore::scan(std::string_view container, bool bulk) const {
  // A bulk read would wash out what is small and hot.
  return make_scan(container, /*fills_cache=*/!bulk, bulk ? kBulkReadaheadBytes : 0);
}

// Reading ahead by megabytes for one group would cost several times the group.
Result<std::unique_ptr<StoreScan>> RocksStore::scan_few(std::string_view container) const {
  return make_scan(container, /*fills_cache=*/false, 0);
}

Result<std::unique_ptr<StoreScan>> RocksStore::make_scan(std::string_view container,
                                                         bool fills_cache,
                                                         std::size_t readahead_bytes) const {
  FamilyPtr family = find(container);
  if (family == nullptr) {
    return Error{Errc::not_found, "no column family " + std::string(container)};
  }
  rocksdb::ReadOptions read;
  read.verify_checksums = true;
  read.fill_cache = fills_cache;
  read.readahead_size = readahead_bytes;
  std::unique_ptr<rocksdb::Iterator> iterator(database_->db->NewIterator(read, family->handle));
  return std::unique_ptr<StoreScan>(
      std::make_unique<RocksScan>(std::move(family), std::move(iterator)));
}

std::vector<std::string> RocksStore::containers() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, family] : families_) {
    if (name != rocksdb::kDefaultColumnFamilyName) names.push_back(name);
  }
  return names;
}

Result<void> RocksStore::create_container(std::string_view name) {
  STANDPIPE_CHECK(check_writable());
  rocksdb::ColumnFamilyHandle* handle = nullptr;
  STANDPIPE_CHECK(
      check_change(database_->db->CreateColumnFamily(family_options(options_, name, cache_),
                                                     std::string(name), &handle),
                   "creating column family " + std::string(name)));
  const std::lock_guard lock(mutex_);
  families_.emplace(name, std::make_shared<Family>(database_, handle));
  return {};
}

Result<void> RocksStore::drop_container(std::string_view name) {
  STANDPIPE_CHECK(check_writable());
  const FamilyPtr family = find(name);
  if (family == nullptr) return Error{Errc::not_found, "no column family " + std::string(name)};
  STANDPIPE_CHECK(check_change(database_->db->DropColumnFamily(family->handle),
                               "dropping column family " + std::string(name)));
  const std::lock_guard lock(mutex_);
  families_.erase(std::string(name));
  return {};
}

Result<void> RocksStore::flush(std::string_view container) {
  STANDPIPE_CHECK(check_writable());
  const FamilyPtr family = find(container);
  if (family == nullptr) {
    return Error{Errc::not_found, "no column family " + std::string(container)};
  }
  rocksdb::FlushOptions wait;
  wait.wait = true;
  wait.allow_write_stall = true;  // or it would wait for a quiet moment that need not come
  return check_change(database_->db->Flush(wait, family->handle),
                      "flushing " + std::string(container));
}

Result<void> RocksStore::flush_all() {
  for (const std::string& name : containers()) STANDPIPE_CHECK(flush(name));
  return {};
}

Result<void> RocksStore::drop_range(std::string_view container, std::string_view from,
                                    std::string_view to) {
  STANDPIPE_CHECK(check_writable());
  const FamilyPtr family = find(container);
  if (family == nullptr) {
    return Error{Errc::not_found, "no column family " + std::string(container)};
  }
  const rocksdb::Slice begin = to_slice(from);
  const rocksdb::Slice end = to_slice(to);
  // The tombstone first: who begins to read in between sees all of the range or nothing, not what
  // is left of it.
  StoreBatch all;
  all.remove_range(container, std::string(from), std::string(to));
  STANDPIPE_CHECK(write(all));
  const rocksdb::RangePtr range(&begin, &end);
  STANDPIPE_CHECK(
      check_change(rocksdb::DeleteFilesInRanges(database_->db.get(), family->handle, &range, 1,
                                                /*include_end=*/false),
                   "dropping tables of " + std::string(container)));
  rocksdb::CompactRangeOptions whole;
  whole.exclusive_manual_compaction = false;  // flushes and moves elsewhere go on
  return check_change(database_->db->CompactRange(whole, family->handle, &begin, &end),
                      "clearing tables of " + std::string(container));
}

Result<std::uint64_t> RocksStore::table_bytes(std::string_view container, std::string_view from,
                                              std::string_view to) const {
  const FamilyPtr family = find(container);
  if (family == nullptr) {
    return Error{Errc::not_found, "no column family " + std::string(container)};
  }
  rocksdb::SizeApproximationOptions tables;
  tables.include_memtables = false;
  tables.include_files = true;
  const rocksdb::Range range(to_slice(from), to_slice(to));
  std::uint64_t bytes = 0;
  const rocksdb::Status status =
      database_->db->GetApproximateSizes(tables, family->handle, &range, 1, &bytes);
  if (!status.ok()) return to_error(status, "measuring " + std::string(container));
  return bytes;
}

std::uint64_t RocksStore::first_live_log() const {
  std::uint64_t number = 0;
  const bool is_known =
      database_->db->GetIntProperty(rocksdb::DB::Properties::kMinLogNumberToKeep, &number);
  STANDPIPE_ASSERT(is_known, "RocksDB has this property since 5.0");
  return number;
}

std::vector<StoreTable> RocksStore::tables() const {
  std::vector<rocksdb::LiveFileMetaData> live;
  database_->db->GetLiveFilesMetaData(&live);
  std::vector<StoreTable> tables;
  for (const rocksdb::LiveFileMetaData& file : live) {
    tables.push_back({fs::path(file.name).filename().string(), file.size, file.file_checksum});
  }
  return tables;
}

Result<void> RocksStore::checkpoint(const fs::path& dir) const {
  rocksdb::Checkpoint* raw = nullptr;
  rocksdb::Status status = rocksdb::Checkpoint::Create(database_->db.get(), &raw);
  const std::unique_ptr<rocksdb::Checkpoint> made(raw);
  constexpr std::uint64_t kNeverFlush = std::numeric_limits<std::uint64_t>::max();
  if (status.ok()) status = made->CreateCheckpoint(dir.string(), kNeverFlush);
  if (!status.ok()) return to_error(status, "making the checkpoint " + dir.string());
  return {};
}

Result<void> RocksStore::verify_files() const {
  rocksdb::ReadOptions read;
  read.verify_checksums = true;
  read.fill_cache = false;
  const rocksdb::Status files = database_->db->VerifyFileChecksums(read);
  if (!files.ok()) return to_error(files, "verifying table files");
  const rocksdb::Status blocks = database_->db->VerifyChecksum(read);
  if (!blocks.ok()) return to_error(blocks, "verifying table blocks");
  return {};
}

StoreStats RocksStore::stats() const {
  StoreStats stats;
  database_->db->GetAggregatedIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize,
                                          &stats.table_bytes);
  {
    const std::lock_guard lock(mutex_);
    stats.families = families_.size();
  }
  std::error_code ignored;
  for (fs::directory_iterator entry(dir_, ignored), end; entry != end; entry.increment(ignored)) {
    if (ignored) break;
    if (entry->path().extension() == ".log") stats.log_bytes += entry->file_size(ignored);
  }
  const rocksdb::Statistics& tickers = *database_->statistics;
  stats.written_log = tickers.getTickerCount(rocksdb::WAL_FILE_BYTES);
  stats.written_flush = tickers.getTickerCount(rocksdb::FLUSH_WRITE_BYTES);
  stats.written_compaction = tickers.getTickerCount(rocksdb::COMPACT_WRITE_BYTES);
  return stats;
}

}  // namespace

void StoreBatch::put(std::string_view container, std::string key, std::string value) {
  bytes_ += key.size() + value.size();
  changes_.push_back({Change::Kind::put, std::string(container), std::move(key), std::move(value)});
}

void StoreBatch::remove(std::string_view container, std::string key) {
  bytes_ += key.size();
  changes_.push_back({Change::Kind::remove, std::string(container), std::move(key), {}});
}

void StoreBatch::remove_range(std::string_view container, std::string from, std::string to) {
  bytes_ += from.size() + to.size();
  changes_.push_back(
      {Change::Kind::remove_range, std::string(container), std::move(from), std::move(to)});
}

Result<std::unique_ptr<Store>> Store::open(const fs::path& dir, const ArchiveOptions& options) {
  auto store = std::make_unique<RocksStore>(dir, options);
  STANDPIPE_CHECK(store->open());
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace standpipe::storage
