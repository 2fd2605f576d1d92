// One writer per archive, by flock on DIR/archive.lock. RocksDB's own lock does not cover readers.
#pragma once

#include <filesystem>

#include "schema/base/result.h"
#include "storage/options.h"

namespace standpipe::storage {

// Held until destroyed. Also excludes a second holder inside the same process.
class DirectoryLock {
 public:
  // Exclusive for Access::write, shared for read_only. Creates the file, not the directory.
  // busy: who holds it (process id, how) and what to do.
  static Result<DirectoryLock> acquire(const std::filesystem::path& dir, Access access);
  DirectoryLock(DirectoryLock&&) noexcept;
  DirectoryLock& operator=(DirectoryLock&&) noexcept;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_ = -1;  // ours
};

}  // namespace standpipe::storage
