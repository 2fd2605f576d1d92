#include "storage/salvage.h"

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <memory>
#include <system_error>
#include <tuple>
#include <utility>

#include "storage/log_check.h"
#include "storage/rows.h"
#include "storage/store.h"
#include "storage/store_options.h"

namespace standpipe::storage {
namespace {

namespace fs = std::filesystem;

// How far a partition has come in its life: a row never goes back.
int rank_of(PartitionState state) {
  switch (state) {
    case PartitionState::creating:
    case PartitionState::building:
      return 0;
    case PartitionState::open:
      return 1;
    case PartitionState::sealing:
      return 2;
    case PartitionState::sealed:
      return 3;
    case PartitionState::dropping:
      return 4;
  }
  return 0;
}

// Whether `fresh`, which was met later, replaces `old`: rows that only move one way say it
// themselves, others go by the order in which they are met.
bool replaces(std::string_view key, std::string_view old, std::string_view fresh) {
  if (key.starts_with('H')) {
    const auto was = parse_head_row(old);
    const auto is = parse_head_row(fresh);
    if (!was || !is) return is.has_value();
    const auto moved = [](const HeadRow& row) {
      return std::tuple(row.newest, row.floor, row.window_floor);
    };
    return moved(*is) >= moved(*was);
  }
  if (key.starts_with('P')) {
    const auto was = parse_partition_row(old);
    const auto is = parse_partition_row(fresh);
    if (!was || !is) return is.has_value();
    return rank_of(is->state) >= rank_of(was->state);
  }
  return true;
}

void choose_row(RowMap& rows, std::string_view key, std::string_view value) {
  const auto found = rows.find(key);
  if (found == rows.end()) {
    rows.emplace(key, value);
  } else if (replaces(key, found->second, value)) {
    found->second = value;
  }
}

enum class KeyKind : std::uint8_t { meta, quarantine, group };

// The keys of our three kinds of families differ in their lengths.
KeyKind kind_of(std::string_view key) {
  if (key.size() == 16) return KeyKind::group;
  return key.size() == 8 ? KeyKind::quarantine : KeyKind::meta;
}

// What the batches of the logs leave behind, whatever the numbers of their families mean.
class Replay final : public rocksdb::WriteBatch::Handler {
 public:
  Replay(RowMap& meta, RowMap& quarantine, RowMap& groups)
      : meta_(meta), quarantine_(quarantine), groups_(groups) {}

  rocksdb::Status PutCF(std::uint32_t /*family*/, const rocksdb::Slice& key,
                        const rocksdb::Slice& value) override {
    RowMap& rows = rows_of(key.ToStringView());
    if (&rows == &meta_) {
      choose_row(rows, key.ToStringView(), value.ToStringView());
    } else {
      rows.insert_or_assign(key.ToString(), value.ToString());
    }
    return {};
  }
  rocksdb::Status DeleteCF(std::uint32_t /*family*/, const rocksdb::Slice& key) override {
    RowMap& rows = rows_of(key.ToStringView());
    const auto found = rows.find(key.ToStringView());
    if (found != rows.end()) rows.erase(found);
    return {};
  }
  rocksdb::Status DeleteRangeCF(std::uint32_t /*family*/, const rocksdb::Slice& from,
                                const rocksdb::Slice& to) override {
    RowMap& rows = rows_of(from.ToStringView());
    rows.erase(rows.lower_bound(from.ToStringView()), rows.lower_bound(to.ToStringView()));
    return {};
  }
  rocksdb::Status MarkNoop(bool /*empty_batch*/) override { return {}; }

 private:
  RowMap& rows_of(std::string_view key) {
    switch (kind_of(key)) {
      case KeyKind::group:
        return groups_;
      case KeyKind::quarantine:
        return quarantine_;
      case KeyKind::meta:
        break;
    }
    return meta_;
  }

  RowMap& meta_;
  RowMap& quarantine_;
  RowMap& groups_;
};

// All rows of a family as RocksDB gives them; false where it cannot read all of them.
bool read_family(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, RowMap& rows) {
  rocksdb::ReadOptions read;
  read.verify_checksums = true;
  read.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> at(db.NewIterator(read, family));
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    rows.emplace(at->key().ToString(), at->value().ToString());
  }
  if (at->status().ok()) return true;
  rows.clear();
  return false;
}

// The groups between two keys of a table, as far as they can be of `partition`.
Damage damage_between(const RawTable::Unreadable& told, PartitionId partition) {
  Damage damage;
  damage.what = told.error.detail;
  damage.partition = partition;
  if (const auto key = parse_group_key(told.after); key && key->partition == partition) {
    damage.after = key->first;
  }
  if (const auto key = parse_group_key(told.before); key && key->partition == partition) {
    damage.before = key->first;
  }
  return damage;
}

}  // namespace

Result<std::unique_ptr<Salvage>> Salvage::open(const fs::path& db_dir, bool is_trusted) {
  std::unique_ptr<Salvage> salvage(new Salvage(db_dir));
  salvage->look_through_database();
  STANDPIPE_CHECK(salvage->list_tables(is_trusted));
  if (!salvage->is_exact_) salvage->take_rows_from_tables(kMetaContainer, salvage->meta_);
  if (!salvage->has_quarantine_) {
    salvage->take_rows_from_tables(kQuarantineContainer, salvage->quarantine_);
  }
  STANDPIPE_CHECK(salvage->read_logs());
  return salvage;
}

// RocksDB is asked to forgive what it can: which tables are in use and what is newest it alone
// knows. A manifest that is damaged is not asked, since it would be believed up to the damage.
void Salvage::look_through_database() {
  if (const Result<void> manifest = check_manifest(db_dir_); !manifest) {
    add_damage({db_dir_, {}, manifest.error().detail, {}, kSeqNone, kSeqNone});
    return;
  }
  ArchiveOptions read_only;
  read_only.access = Access::read_only;
  rocksdb::DBOptions options = database_options(read_only);
  options.paranoid_checks = false;
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
  std::vector<std::string> names;
  rocksdb::Status status = rocksdb::DB::ListColumnFamilies(options, db_dir_.string(), &names);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string& name : names) {
    families.emplace_back(name, family_options(read_only, name, nullptr));
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* raw = nullptr;
  if (status.ok()) {
    status = rocksdb::DB::OpenForReadOnly(options, db_dir_.string(), families, &handles, &raw);
  }
  if (!status.ok()) {
    add_damage({db_dir_, {}, status.ToString(), {}, kSeqNone, kSeqNone});
    return;
  }
  const std::unique_ptr<rocksdb::DB> db(raw);
  knows_live_ = true;
  std::vector<rocksdb::LiveFileMetaData> tables;
  db->GetLiveFilesMetaData(&tables);
  for (const rocksdb::LiveFileMetaData& table : tables) {
    live_.push_back({fs::path(table.name).filename().string(), table.column_family_name,
                     table.smallestkey, table.largestkey});
  }
  db->GetIntProperty(rocksdb::DB::Properties::kMinLogNumberToKeep, &first_live_log_);
  for (rocksdb::ColumnFamilyHandle* family : handles) {
    if (family->GetName() == kMetaContainer) is_exact_ = read_family(*db, family, meta_);
    if (family->GetName() == kQuarantineContainer) {
      has_quarantine_ = read_family(*db, family, quarantine_);
    }
  }
  for (rocksdb::ColumnFamilyHandle* family : handles) {
    [[maybe_unused]] const auto ended = db->DestroyColumnFamilyHandle(family);  // never null
  }
}

const Salvage::Live* Salvage::find_live(std::string_view name) const {
  for (const Live& live : live_) {
    if (live.name == name) return &live;
  }
  return nullptr;
}

Result<void> Salvage::list_tables(bool is_trusted) {
  std::error_code failed;
  for (fs::directory_iterator entry(db_dir_, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    if (entry->path().extension() != ".sst") continue;
    Table table;
    table.path = entry->path();
    std::error_code unknown;
    table.bytes = entry->file_size(unknown);
    if (unknown) table.bytes = 0;
    tables_.push_back(std::move(table));
  }
  if (failed) {
    return Error{Errc::io, "cannot list " + db_dir_.string() + ": " + failed.message()};
  }
  // Their names are numbers of one width.
  std::sort(tables_.begin(), tables_.end(),
            [](const Table& a, const Table& b) { return a.path < b.path; });
  std::string newest_live;
  for (const Live& live : live_) newest_live = std::max(newest_live, live.name);
  const bool is_behind = knows_live_ && !is_trusted && !tables_.empty() &&
                         tables_.back().path.filename().string() > newest_live;
  if (is_behind) forget_manifest();
  if (knows_live_) {
    std::erase_if(tables_, [this](const Table& table) {  // they wait to be deleted
      return find_live(table.path.filename().string()) == nullptr;
    });
  }
  for (Table& table : tables_) {
    table_bytes_ += table.bytes;
    look_into(table, find_live(table.path.filename().string()));
  }
  add_missing_tables();
  return {};
}

// There are tables that it does not know of yet: it has lost its end, and rows that are read with
// it are of an earlier day.
void Salvage::forget_manifest() {
  add_damage({db_dir_, {}, "the manifest has lost its end", {}, kSeqNone, kSeqNone});
  knows_live_ = is_exact_ = has_quarantine_ = false;
  live_.clear();
  meta_.clear();
  quarantine_.clear();
  first_live_log_ = 0;
}

void Salvage::add_missing_tables() {
  for (const Live& live : live_) {
    const auto is_it = [&live](const Table& table) {
      return table.path.filename().string() == live.name;
    };
    if (std::any_of(tables_.begin(), tables_.end(), is_it)) continue;
    Table missing;
    missing.path = db_dir_ / live.name;
    look_into(missing, &live);
  }
}

// Which partitions have entries there; for a table that cannot be opened, as the manifest has it.
void Salvage::look_into(Table& table, const Live* live) {
  if (live != nullptr) table.container = live->container;
  auto raw = RawTable::open(table.path);
  if (raw) {
    table.is_open = true;
    if (!(*raw)->complaint().empty()) {
      add_damage({table.path, table.container, (*raw)->complaint(), {}, kSeqNone, kSeqNone});
    }
    if (table.container.empty()) table.container = (*raw)->container();
    for ((*raw)->seek({}); (*raw)->valid();) {
      const auto key = parse_group_key((*raw)->key());
      if (!key) break;  // of `meta` or `quarantine`
      table.partitions.insert(key->partition);
      partitions_.emplace(key->partition, table.container);
      (*raw)->seek(self_description_key(PartitionId{to_int(key->partition) + 1}));
    }
    return;
  }
  Damage damage{table.path, table.container, raw.error().detail, {}, kSeqNone, kSeqNone};
  if (live != nullptr) {
    const auto first = parse_group_key(live->smallest_key);
    const auto last = parse_group_key(live->largest_key);
    if (first && last) {
      for (auto id = to_int(first->partition); id <= to_int(last->partition); ++id) {
        damage.partition = PartitionId{id};
        const bool is_first = id == to_int(first->partition) && first->first != kSeqNone;
        damage.after = is_first ? previous(first->first) : kSeqNone;
        damage.before = id == to_int(last->partition) ? next(last->first) : kSeqNone;
        add_damage(damage);
      }
      return;
    }
  }
  add_damage(std::move(damage));
}

void Salvage::take_rows_from_tables(std::string_view container, RowMap& rows) {
  for (const Table& table : tables_) {
    const bool may_hold = table.container.empty() || table.container == container;
    if (!table.is_open || !may_hold) continue;
    const auto raw = RawTable::open(table.path);
    if (!raw) continue;
    (*raw)->on_unreadable([&](const RawTable::Unreadable& told) {
      add_damage({table.path, table.container, told.error.detail, {}, kSeqNone, kSeqNone});
    });
    const KeyKind wanted = container == kMetaContainer ? KeyKind::meta : KeyKind::quarantine;
    for ((*raw)->seek({}); (*raw)->valid(); (*raw)->next()) {
      if (kind_of((*raw)->key()) == wanted) choose_row(rows, (*raw)->key(), (*raw)->value());
    }
  }
}

Result<void> Salvage::read_logs() {
  if (const Result<void> logs = check_logs(db_dir_, first_live_log_); !logs) {
    has_damaged_logs_ = true;
    add_damage({db_dir_, {}, logs.error().detail, {}, kSeqNone, kSeqNone});
  }
  STANDPIPE_TRY(const std::vector<fs::path> logs, live_logs(db_dir_, first_live_log_));
  RowMap meta, quarantine;
  Replay replay(is_exact_ ? meta : meta_, has_quarantine_ ? quarantine : quarantine_, log_groups_);
  for (const fs::path& log : logs) {
    std::error_code unknown;
    const std::uintmax_t bytes = fs::file_size(log, unknown);
    if (!unknown) log_bytes_ += bytes;
    auto batches = read_batches(log);
    if (!batches) {
      has_damaged_logs_ = true;
      add_damage({log, {}, batches.error().detail, {}, kSeqNone, kSeqNone});
      continue;
    }
    for (std::string& bytes_of_batch : *batches) {
      const rocksdb::WriteBatch batch(std::move(bytes_of_batch));
      const rocksdb::Status replayed = batch.Iterate(&replay);
      if (replayed.ok()) continue;
      has_damaged_logs_ = true;
      add_damage({log, {}, replayed.ToString(), {}, kSeqNone, kSeqNone});
    }
  }
  for (const auto& [key, value] : log_groups_) {
    if (const auto group = parse_group_key(key)) partitions_.emplace(group->partition, "");
  }
  return {};
}

Result<void> Salvage::read_partition(PartitionId id, const std::string& container,
                                     const JudgeEntry& is_whole, const TakeEntry& take) {
  const std::string begin = group_key(id, kSeqNone);
  const std::string end = group_key(PartitionId{to_int(id) + 1}, kSeqNone);
  std::vector<std::unique_ptr<RawTable>> sources;
  for (const Table& table : tables_) {
    // A table whose ends cannot be read may hold more than was seen.
    const bool may_hold = table.is_open && (table.partitions.contains(id) ||
                                            (!container.empty() && table.container == container));
    if (!may_hold) continue;
    auto raw = RawTable::open(table.path);
    if (!raw) {
      add_damage({table.path, table.container, raw.error().detail, id, kSeqNone, kSeqNone});
      continue;
    }
    (*raw)->on_unreadable([this, id, &table](const RawTable::Unreadable& told) {
      Damage damage = damage_between(told, id);
      damage.file = table.path;
      damage.container = table.container;
      add_damage(std::move(damage));
    });
    (*raw)->seek(begin);
    sources.push_back(std::move(*raw));
  }
  auto log = log_groups_.lower_bound(begin);
  for (;;) {
    std::string key = end;
    for (const auto& source : sources) {
      if (source->valid() && source->key() < key) key = source->key();
    }
    if (log != log_groups_.end() && log->first < key) key = log->first;
    if (key == end) return {};
    std::string value;
    const auto offer = [&](std::string_view offered) {
      if (value.empty() || (!is_whole(value) && is_whole(offered))) value = offered;
    };
    for (const auto& source : sources) {
      if (!source->valid() || source->key() != key) continue;
      offer(source->value());
      source->next();
    }
    if (log != log_groups_.end() && log->first == key) {
      offer(log->second);
      ++log;
    }
    STANDPIPE_CHECK(take(key, value));
  }
}

void Salvage::add_damage(Damage damage) {
  const auto is_known = [&damage](const Damage& other) {
    return other.file == damage.file && other.what == damage.what &&
           other.partition == damage.partition && other.after == damage.after &&
           other.before == damage.before;
  };
  if (std::none_of(damages_.begin(), damages_.end(), is_known)) {
    damages_.push_back(std::move(damage));
  }
}

}  // namespace standpipe::storage
