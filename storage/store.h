// The thin layer over RocksDB: containers (column families), synced batches, scans.
// store.cc and store_options.cc are the only files that know RocksDB, but for what is read without
// its database being in order: storage/raw_table.cc and storage/salvage.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "storage/options.h"

namespace standpipe::storage {

inline constexpr std::string_view kMetaContainer = "meta";
inline constexpr std::string_view kQuarantineContainer = "quarantine";
inline constexpr std::string_view kFramesContainerPrefix = "frames/";
inline constexpr std::string_view kSharedContainer = "frames/shared";  // of quiet streams

// A set of changes that becomes durable together. A plain value.
class StoreBatch {
 public:
  struct Change {
    enum class Kind : std::uint8_t { put, remove, remove_range } kind;
    std::string container;
    std::string key;
    std::string value;  // remove_range: the end of the range, exclusive
  };

  void put(std::string_view container, std::string key, std::string value);
  void remove(std::string_view container, std::string key);
  void remove_range(std::string_view container, std::string from, std::string to);  // [from, to)

  bool empty() const { return changes_.empty(); }
  std::size_t bytes() const { return bytes_; }  // keys and values
  const std::vector<Change>& changes() const { return changes_; }

 private:
  std::vector<Change> changes_;
  std::size_t bytes_ = 0;
};

// A position in one container. Sees the state at its creation. One thread. Survives the dropping of
// its container, and keeps its files on disk until it is gone: hold it for a slice, not for ever.
class StoreScan {
 public:
  virtual ~StoreScan() = default;
  virtual void seek(std::string_view key) = 0;               // first key >= `key`
  virtual void seek_for_previous(std::string_view key) = 0;  // last key <= `key`
  virtual void next() = 0;
  virtual bool valid() const = 0;              // false at the end and after an error: ask status()
  virtual std::string_view key() const = 0;    // until the next move
  virtual std::string_view value() const = 0;  // likewise
  virtual Result<void> status() const = 0;
};

struct StoreTable {
  std::string name;  // "000123.sst"
  std::uint64_t bytes = 0;
  std::string checksum;  // CRC-32C of the file, four bytes, big-endian; empty if there is none
};

struct StoreStats {
  std::uint64_t table_bytes = 0, log_bytes = 0, families = 0;
  std::uint64_t written_log = 0, written_flush = 0, written_compaction = 0;
};

// Thread-safe, except that write() is for one thread at a time per durable order wanted.
class Store {
 public:
  // Write access: creates `dir` if missing and allowed. Read-only: never writes.
  // Errors: not_found, corrupt (with RocksDB's own words, which name the file), io, limit (no
  // space).
  static Result<std::unique_ptr<Store>> open(const std::filesystem::path& dir,
                                             const ArchiveOptions& options);
  virtual ~Store() = default;

  // Synced: durable on return. After any error the store takes no further write (Errc::closed):
  // what the failed one did is known only after the next open. limit: no space left.
  virtual Result<void> write(const StoreBatch& batch) = 0;

  virtual Result<std::optional<std::string>> get(std::string_view container,
                                                 std::string_view key) const = 0;
  // `bulk`: reads ahead and keeps out of the block cache. not_found if there is no such container.
  virtual Result<std::unique_ptr<StoreScan>> scan(std::string_view container, bool bulk) const = 0;

  // For a few entries at a known place: neither reads ahead nor fills the block cache.
  virtual Result<std::unique_ptr<StoreScan>> scan_few(std::string_view container) const = 0;

  virtual std::vector<std::string> containers() const = 0;  // without "default"
  virtual bool has_container(std::string_view name) const = 0;
  virtual Result<void> create_container(std::string_view name) = 0;
  virtual Result<void> drop_container(std::string_view name) = 0;  // not_found if absent
  virtual Result<void> flush(std::string_view container) = 0;      // memtable to a table, waits
  virtual Result<void> flush_all() = 0;
  // Bytes in table files of [from, to), without what is in memory and the log alone. Tables that
  // lie inside count whole; of one at an end, about its share.
  virtual Result<std::uint64_t> table_bytes(std::string_view container, std::string_view from,
                                            std::string_view to) const = 0;
  // Removes [from, to) by a range tombstone, then whole tables inside it, and rewrites those that
  // it covers in part: nothing else would where little is written, and the room would not come
  // back.
  virtual Result<void> drop_range(std::string_view container, std::string_view from,
                                  std::string_view to) = 0;
  // Number of the oldest log that recovery reads. Older ones may still lie about: they are deleted
  // late, and in no order.
  virtual std::uint64_t first_live_log() const = 0;
  // The tables that are in use.
  virtual std::vector<StoreTable> tables() const = 0;
  // The database as it is, in `dir`, which must not exist: tables as hard links (or copies, on
  // another file system), all else as copies, synced. Flushes nothing: what is in the log alone is
  // there by its log. Nobody may write meanwhile. A failure leaves the store as it was.
  virtual Result<void> checkpoint(const std::filesystem::path& dir) const = 0;
  // Every table against the checksum recorded when it was written.
  virtual Result<void> verify_files() const = 0;
  virtual StoreStats stats() const = 0;
};

}  // namespace standpipe::storage
