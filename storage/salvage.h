// What can still be read of a database, damaged or not, without its being in order: each table by
// itself, each batch of the logs, and the rows of `meta` and `quarantine`. Private to storage/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.h"
#include "storage/raw_table.h"
#include "storage/types.h"

namespace standpipe::storage {

// By key, as they lie in the family.
using RowMap = std::map<std::string, std::string, std::less<>>;

// A place that cannot be read.
struct Damage {
  std::filesystem::path file;
  std::string container;  // its column family; empty if that is not known
  std::string what;
  // Where it is in a frames family, as far as that is known: groups of `partition` whose first seq
  // lies strictly between these.
  std::optional<PartitionId> partition;
  Seq after = kSeqNone;
  Seq before = kSeqNone;  // kSeqNone: up to the end
};

class Salvage {
 public:
  // Reads the rows of `meta` and `quarantine` and all logs, and looks at the ends of each table;
  // holds the logs' groups in memory. Opens nothing for writing. `is_trusted`: the archive opens;
  // else a manifest may have lost its end, and is not believed where tables are newer than it.
  // io: the directory cannot be listed.
  static Result<std::unique_ptr<Salvage>> open(const std::filesystem::path& db_dir,
                                               bool is_trusted);

  // Rows as they were written last. Where `is_exact` is false some cannot be read, or nothing says
  // which of two versions is the newer: then they are a choice by what they mean.
  const RowMap& meta() const { return meta_; }
  const RowMap& quarantine() const { return quarantine_; }
  bool is_exact() const { return is_exact_; }
  bool has_damaged_logs() const { return has_damaged_logs_; }

  // Partitions of which something is there, and the column family that it is in.
  const std::map<PartitionId, std::string>& partitions() const { return partitions_; }
  // The entries of a partition in the order of their keys, its self-description first, from
  // wherever they are. Where two places have one key `is_whole` says which is taken.
  // An error from `take` ends it. Adds what cannot be read to damages().
  using TakeEntry = std::function<Result<void>(std::string_view key, std::string_view value)>;
  using JudgeEntry = std::function<bool(std::string_view value)>;
  Result<void> read_partition(PartitionId id, const std::string& container,
                              const JudgeEntry& is_whole, const TakeEntry& take);

  const std::vector<Damage>& damages() const { return damages_; }
  void add_damage(Damage damage);
  std::uint64_t table_bytes() const { return table_bytes_; }  // of all that are in use
  std::uint64_t log_bytes() const { return log_bytes_; }

 private:
  struct Table {
    std::filesystem::path path;
    std::uint64_t bytes = 0;
    std::string container;
    bool is_open = false;
    std::set<PartitionId> partitions;
  };
  // What the manifest says of a table.
  struct Live {
    std::string name, container, smallest_key, largest_key;
  };

  explicit Salvage(std::filesystem::path db_dir) : db_dir_(std::move(db_dir)) {}
  // What RocksDB says of it where it can open it at all.
  void look_through_database();
  Result<void> list_tables(bool is_trusted);
  void forget_manifest();
  void add_missing_tables();
  void look_into(Table& table, const Live* live);
  Result<void> read_logs();
  void take_rows_from_tables(std::string_view container, RowMap& rows);
  const Live* find_live(std::string_view name) const;

  const std::filesystem::path db_dir_;
  std::vector<Table> tables_;  // by number
  std::vector<Live> live_;
  bool knows_live_ = false;
  std::uint64_t first_live_log_ = 0;
  RowMap meta_, quarantine_, log_groups_;
  bool is_exact_ = false, has_quarantine_ = false;
  bool has_damaged_logs_ = false;
  std::map<PartitionId, std::string> partitions_;
  std::vector<Damage> damages_;
  std::uint64_t table_bytes_ = 0, log_bytes_ = 0;
};

}  // namespace standpipe::storage
