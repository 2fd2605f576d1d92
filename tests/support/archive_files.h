// The files of an archive that nobody holds, in memory: to damage them, to put them back, and to
// see whether anybody has changed them.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace standpipe::test {

using Files = std::map<std::string, std::string>;  // path below the archive to contents

std::string file_text(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, const std::string& bytes);

// All but what whoever opens it may write: locks, and RocksDB's log of its own doings.
Files read_files(const std::filesystem::path& dir);
// Nothing else is there afterwards.
void write_files(const std::filesystem::path& dir, const Files& files);
// The first difference, in words; files that were added do not count.
std::string overwritten(const Files& before, const std::filesystem::path& dir);

}  // namespace standpipe::test
