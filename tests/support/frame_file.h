// Frame files of a test's own making, not by the code under test.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "schema/base/bytes.h"

namespace standpipe::test {

// (u32 little-endian length, frame) repeated: what --raw writes of frames.
std::string raw_frames(const std::vector<Bytes>& frames);
// zstd of it.
std::string frame_file_bytes(const std::vector<Bytes>& frames);
void write_frame_file(const std::filesystem::path& path, const std::vector<Bytes>& frames);

}  // namespace standpipe::test
