#include "tests/support/frame_file.h"

#include <zstd.h>

#include <array>
#include <fstream>

namespace standpipe::test {

std::string raw_frames(const std::vector<Bytes>& frames) {
  std::string raw;
  for (const Bytes& frame : frames) {
    std::array<std::byte, 4> length{};
    store_le(length.data(), static_cast<std::uint32_t>(frame.size()));
    raw.append(as_text(length));
    raw.append(as_text(frame));
  }
  return raw;
}

std::string frame_file_bytes(const std::vector<Bytes>& frames) {
  const std::string raw = raw_frames(frames);
  std::string compressed(ZSTD_compressBound(raw.size()), '\0');
  compressed.resize(ZSTD_compress(compressed.data(), compressed.size(), raw.data(), raw.size(), 1));
  return compressed;
}

void write_frame_file(const std::filesystem::path& path, const std::vector<Bytes>& frames) {
  std::ofstream(path, std::ios::binary) << frame_file_bytes(frames);
}

}  // namespace standpipe::test
