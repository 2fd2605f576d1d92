#include "tests/support/shared_data.h"

#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>

#include "schema/base/assert.h"

namespace standpipe::test {
namespace {

struct DStreamDelete {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

Bytes decompress(ByteView compressed, const std::filesystem::path& path) {
  const std::unique_ptr<ZSTD_DStream, DStreamDelete> stream(ZSTD_createDStream());
  STANDPIPE_ASSERT(stream != nullptr, "out of memory");
  ZSTD_inBuffer input{compressed.data(), compressed.size(), 0};
  std::vector<std::byte> window(std::size_t{1} << 18);
  Bytes out;
  std::size_t hint = 0;
  do {
    ZSTD_outBuffer output{window.data(), window.size(), 0};
    hint = ZSTD_decompressStream(stream.get(), &output, &input);
    STANDPIPE_ASSERT(ZSTD_isError(hint) == 0, path.string());
    out.insert(out.end(), window.begin(), window.begin() + static_cast<std::ptrdiff_t>(output.pos));
    const bool is_stuck = output.pos == 0 && input.pos == input.size && hint != 0;
    STANDPIPE_ASSERT(!is_stuck, path.string() + " is cut off");
  } while (input.pos < input.size || hint != 0);
  return out;
}

}  // namespace

std::optional<std::filesystem::path> find_shared_dir() {
  const char* named = std::getenv("STANDPIPE_SHARED");
  const std::filesystem::path path =
      named != nullptr && *named != '\0'
          ? std::filesystem::path(named)
          : std::filesystem::path(STANDPIPE_SOURCE_DIR) / ".." / "shared";
  std::error_code error;
  if (!std::filesystem::is_directory(path / "data", error)) return std::nullopt;
  return path;
}

std::filesystem::path shared_dir() {
  const auto path = find_shared_dir();
  STANDPIPE_ASSERT(path.has_value(), "no folder of real data: set STANDPIPE_SHARED");
  return *path;
}

bool is_shared_required() {
  const char* ci = std::getenv("CI");
  return ci != nullptr && std::string_view(ci) == "true";
}

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  STANDPIPE_ASSERT(file.is_open(), "cannot open " + path.string());
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  STANDPIPE_ASSERT(!file.bad(), "cannot read " + path.string());
  if (path.extension() == ".zst") return decompress(as_bytes(text), path);
  return to_bytes(as_bytes(text));
}

std::string read_text_file(const std::filesystem::path& path) {
  const Bytes bytes = read_file(path);
  return std::string(as_text(bytes));
}

std::vector<std::string> read_vector_lines(const std::filesystem::path& path) {
  const std::string text = read_text_file(path);
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    if (!line.empty() && line.front() != '#') lines.push_back(line);
    begin = end + 1;
  }
  STANDPIPE_ASSERT(!lines.empty(), path.string() + " holds no vector");
  return lines;
}

std::vector<Bytes> read_frame_corpus(const std::filesystem::path& path) {
  const Bytes bytes = read_file(path);
  std::vector<Bytes> frames;
  for (std::size_t at = 0; at < bytes.size();) {
    STANDPIPE_ASSERT(bytes.size() - at >= 4, path.string() + " ends within a length");
    const auto length = load_le<std::uint32_t>(bytes.data() + at);
    at += 4;
    STANDPIPE_ASSERT(length <= bytes.size() - at, path.string() + " ends within a frame");
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    frames.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(length));
    at += length;
  }
  return frames;
}

}  // namespace standpipe::test
