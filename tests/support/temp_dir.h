// A directory of a test's own, removed with everything in it when it goes out of scope.
#pragma once

#include <filesystem>

namespace standpipe::test {

// Below $TMPDIR, with a name that no other process uses. Neither copyable nor movable.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace standpipe::test
