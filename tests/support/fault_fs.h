// A disk under RocksDB that can lose power, fail, and be full.
//
// A rocksdb::FileSystemWrapper over the real file system counts every operation that changes
// something below `root`. Each of them can be the one at which the power goes (cut_at), or the one
// that fails (fail_at). After a cut nothing has any effect any more; once whatever used the disk
// has been destroyed, materialize() leaves on the real disk what the cut may have left
// (tests/support/disk_model.h says what that is), to be opened again with or without this layer.
//
// Nothing is really synced: the model knows what would have been. Thread-safe; one lock is held
// over each operation, so that their numbers are the order of their effects.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rocksdb {
class Env;
}

namespace standpipe::test {

enum class DiskOperation : std::uint8_t {
  create,
  append,
  truncate,
  sync_file,
  close,
  rename,
  link,
  remove,
  make_directory,
  remove_directory,
  sync_directory,
};

struct DiskStep {
  DiskOperation operation{};
  std::string path;         // below root
  std::uint64_t bytes = 0;  // append: how many; truncate: to how many
};
std::string to_string(const DiskStep& step);  // "append 000004.log 812"

struct Fault {
  enum class Kind : std::uint8_t { io, no_space };
  // What the operation did although it failed. part: an append wrote its first half; any other
  // operation did nothing. A sync that fails with `none` loses what it should have made durable:
  // no later sync brings it back.
  enum class Effect : std::uint8_t { none, part, whole };
  Kind kind = Kind::io;
  Effect effect = Effect::none;
};

class FaultFs {
 public:
  // `root` must exist; what is in it is durable.
  explicit FaultFs(const std::filesystem::path& root);
  ~FaultFs();

  // For ArchiveOptions::env. Ours; must outlive its users.
  rocksdb::Env* env();

  // -- What has been done -----------------------------------------------------------------------
  std::uint64_t steps() const;  // operations counted so far; the first is number 1
  std::vector<DiskStep> trace() const;
  std::string step_text(std::uint64_t number) const;  // "17 append 000004.log 812"

  // -- Power ------------------------------------------------------------------------------------
  // Operation `step` and all after it fail without effect. 0: never.
  void cut_at(std::uint64_t step);
  // The same from the next operation of this kind on a file whose name ends so.
  void cut_at_next(DiskOperation operation, std::string name_end);
  bool is_cut() const;
  // Requires that nothing below root is open. Power is back after it, faults and trace are cleared.
  void materialize(std::uint64_t seed);

  // -- Failures ---------------------------------------------------------------------------------
  // Operation `step` fails, the ones after it do not. 0: none.
  void fail_at(std::uint64_t step, Fault fault);
  // The next operation of this kind on a file whose name ends so fails, whatever RocksDB's own
  // threads do meanwhile.
  void fail_next(DiskOperation operation, std::string name_end, Fault fault);

  // -- Space ------------------------------------------------------------------------------------
  // Bytes that all files together may have. An append that passes it writes what fits and fails.
  void set_capacity(std::optional<std::uint64_t> bytes);
  std::uint64_t used_bytes() const;
  std::uint64_t free_bytes() const;  // 2^40 without a capacity

 private:
  class Disk;
  class Files;
  class File;
  class Directory;
  std::shared_ptr<Disk> disk_;
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace standpipe::test
