// A directory of a test's own, removed with everything in it when it goes out of scope.
#pragma once

#include <cstdint>
#include <filesystem>

namespace standpipe::test {

// Has a name that no other process uses. Neither copyable nor movable.
class TempDir {
 public:
  // disk: below $TMPDIR, or /tmp. memory: on a file system in memory where there is one (/dev/shm),
  // for tests that sync often and do not depend on what a sync does.
  enum class Where : std::uint8_t { disk, memory };
  explicit TempDir(Where where = Where::disk);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace standpipe::test
