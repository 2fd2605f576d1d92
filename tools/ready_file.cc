#include "tools/ready_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

namespace standpipe::tools {

Result<void> write_ready_file(const std::string& path, const std::vector<std::string>& listen,
                              const std::string& admin) {
  nlohmann::json ready{{"listen", listen}, {"pid", ::getpid()}};
  if (!admin.empty()) ready["admin"] = admin;
  return write_whole_file(path, ready.dump() + "\n");
}

Result<void> write_whole_file(const std::string& path, std::string_view text) {
  const std::string draft = fmt::format("{}.{}", path, ::getpid());
  std::FILE* file = std::fopen(draft.c_str(), "we");
  bool is_written =
      file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file != nullptr) is_written = std::fclose(file) == 0 && is_written;
  is_written = is_written && std::rename(draft.c_str(), path.c_str()) == 0;
  if (is_written) return {};
  const int error = errno;
  std::remove(draft.c_str());
  return Error{Errc::io, fmt::format("cannot write {}: {}", path, std::strerror(error))};
}

Result<std::string> read_whole_file(const std::string& path, std::size_t bytes_max,
                                    std::string_view called) {
  if (called.empty()) called = path;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                             std::fclose);
  std::string text;
  std::array<char, 65'536> piece;  // NOLINT: the file fills it
  bool is_read = file != nullptr;
  while (is_read && text.size() <= bytes_max && std::feof(file.get()) == 0) {
    text.append(piece.data(), std::fread(piece.data(), 1, piece.size(), file.get()));
    is_read = std::ferror(file.get()) == 0;
  }
  if (!is_read) {
    return Error{Errc::io, fmt::format("cannot read {}: {}", called, std::strerror(errno))};
  }
  if (text.size() <= bytes_max) return text;
  return Error{Errc::limit,
               fmt::format("{} is larger than it may be: {} bytes", called, bytes_max)};
}

}  // namespace standpipe::tools
