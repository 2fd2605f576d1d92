#include "tests/support/archive_files.h"

#include <fstream>
#include <iterator>

namespace standpipe::test {

namespace fs = std::filesystem;

namespace {

// Not the archive's contents: whoever opens it may write them.
bool is_scratch(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with("LOG") || name == "LOCK" || name == "archive.lock";
}

}  // namespace

std::string file_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

Files read_files(const fs::path& dir) {
  Files out;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(dir)) {
    if (!entry.is_regular_file() || is_scratch(entry.path())) continue;
    out[entry.path().lexically_relative(dir).string()] = file_text(entry.path());
  }
  return out;
}

void write_files(const fs::path& dir, const Files& files) {
  fs::remove_all(dir);
  for (const auto& [name, bytes] : files) {
    fs::create_directories((dir / name).parent_path());
    write_file(dir / name, bytes);
  }
}

std::string overwritten(const Files& before, const fs::path& dir) {
  const Files after = read_files(dir);
  for (const auto& [name, bytes] : before) {
    const auto at = after.find(name);
    if (at == after.end()) return name + " was removed";
    if (at->second != bytes) return name + " was changed";
  }
  return {};
}

}  // namespace standpipe::test
