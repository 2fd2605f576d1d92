// Real data for tests: captured frames, repositories and interop vectors, in a folder beside this
// repository. STANDPIPE_SHARED names it; the default is ../shared.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"

namespace standpipe::test {

// nullopt if there is no such folder.
std::optional<std::filesystem::path> find_shared_dir();

// The folder; ends the process if there is none. Ask STANDPIPE_REQUIRE_SHARED first.
std::filesystem::path shared_dir();

// Whether a missing folder is a failure and not a reason to skip: CI=true says so.
bool is_shared_required();

// Whole files; ".zst" is decompressed. A file that cannot be read ends the process with its name,
// since the folder is there but is not what it should be.
Bytes read_file(const std::filesystem::path& path);
std::string read_text_file(const std::filesystem::path& path);

// The lines of a file of interop vectors: comments (#) and empty lines left out, the rest
// untouched.
std::vector<std::string> read_vector_lines(const std::filesystem::path& path);

// The frames of a frame file (u32 little-endian length, frame, repeated; zstd around it). Written
// apart from storage/frame_file, which it is used to check.
std::vector<Bytes> read_frame_corpus(const std::filesystem::path& path);

}  // namespace standpipe::test

// At the start of a test that needs the folder: skips it where the folder is missing, except that
// with CI=true the test fails.
#define STANDPIPE_REQUIRE_SHARED()                                                                \
  do {                                                                                            \
    if (!::standpipe::test::find_shared_dir().has_value()) {                                      \
      if (::standpipe::test::is_shared_required()) {                                              \
        FAIL() << "no folder of real data: set STANDPIPE_SHARED (CI=true, so this is a failure)"; \
      }                                                                                           \
      GTEST_SKIP() << "no folder of real data: set STANDPIPE_SHARED to run this test";            \
    }                                                                                             \
  } while (false)
