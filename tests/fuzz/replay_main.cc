// Runs a fuzz target once over the empty input and over every file that it is given (a folder
// stands for its files), so that the targets are compiled and the corpus is checked everywhere,
// not only where libFuzzer is.

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

namespace {

bool replay(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "%s: cannot be opened\n", path.c_str());
    return false;
  }
  const std::vector<char> chars{std::istreambuf_iterator<char>(file), {}};
  const std::vector<std::uint8_t> bytes(chars.begin(), chars.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  LLVMFuzzerTestOneInput(nullptr, 0);
  bool is_ok = true;
  int inputs = 1;
  for (int i = 1; i < argc; ++i) {
    const std::filesystem::path path = argv[i];
    if (!std::filesystem::exists(path)) continue;  // a target without a corpus
    if (!std::filesystem::is_directory(path)) {
      is_ok = replay(path) && is_ok;
      ++inputs;
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      is_ok = replay(entry.path()) && is_ok;
      ++inputs;
    }
  }
  std::printf("%d inputs\n", inputs);
  return is_ok ? 0 : 1;
}
