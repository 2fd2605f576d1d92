#include "tests/support/temp_dir.h"

#include <unistd.h>

#include <cstdlib>
#include <string>
#include <system_error>

#include "schema/base/assert.h"

namespace standpipe::test {

TempDir::TempDir(Where where) {
  const bool in_memory = where == Where::memory && ::access("/dev/shm", W_OK) == 0;
  const std::filesystem::path parent =
      in_memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path();
  std::string name = (parent / "standpipe-XXXXXX").string();
  STANDPIPE_ASSERT(::mkdtemp(name.data()) != nullptr, "no temporary directory could be made");
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;  // a directory left behind must not hide why a test failed
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace standpipe::test
