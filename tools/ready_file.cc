#include "tools/ready_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

namespace standpipe::tools {

Result<void> write_ready_file(const std::string& path, const std::vector<std::string>& listen) {
  return write_whole_file(path,
                          nlohmann::json{{"listen", listen}, {"pid", ::getpid()}}.dump() + "\n");
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

}  // namespace standpipe::tools
