// Programs of the distribution that some tests need: Prometheus, a browser.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace standpipe::test {

inline bool is_program(const char* path) { return ::access(path, X_OK) == 0; }

// With CI=true what is missing is a failure, and no reason to skip.
inline bool are_programs_required() {
  const char* ci = std::getenv("CI");
  return ci != nullptr && std::string_view(ci) == "true";
}

}  // namespace standpipe::test

// At the start of a test that needs the program at `path`, of Debian's package `package`.
#define STANDPIPE_REQUIRE_PROGRAM(path, package)                                    \
  do {                                                                              \
    if (!::standpipe::test::is_program(path)) {                                     \
      if (::standpipe::test::are_programs_required()) {                             \
        FAIL() << "no " << (path) << ": install " << (package) << " (CI=true)";     \
      }                                                                             \
      GTEST_SKIP() << "no " << (path) << ": install " << (package) << " to run it"; \
    }                                                                               \
  } while (false)
