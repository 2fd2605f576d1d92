// Frame files of a test's own making, not by the code under test.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "schema/base/bytes.h"

namespace standpipe::test {

// zstd of (u32 little-endian length, frame) repeated.
std::string frame_file_bytes(const std::vector<Bytes>& frames);
void write_frame_file(const std::filesystem::path& path, const std::vector<Bytes>& frames);

}  // namespace standpipe::test
