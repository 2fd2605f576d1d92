#include "tools/sim/did_docs.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

namespace standpipe::tools::sim {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

Error write_error(const std::string& path) {
  return {Errc::io, "cannot write " + path + ": " + std::strerror(errno)};
}

bool put(const std::string& text, std::FILE* file) {
  return std::fwrite(text.data(), 1, text.size(), file) == text.size();
}

bool write_all(const Network& network, const Labeler* labeler, std::FILE* file) {
  if (!put("{", file)) return false;
  const std::uint64_t count = network.accounts();
  for (std::uint64_t account = 0; account < count; ++account) {
    const std::string head = account == 0 ? "\n\"" : ",\n\"";
    if (!put(head + network.did(account) + "\": " + network.did_document(account), file)) {
      return false;
    }
  }
  if (labeler != nullptr) {
    const std::string head = count == 0 ? "\n\"" : ",\n\"";
    if (!put(head + labeler->did() + "\": " + labeler->did_document(), file)) return false;
  }
  return put("\n}\n", file) && std::fflush(file) == 0;
}

}  // namespace

Result<std::uint64_t> write_did_docs(const Network& network, const Labeler* labeler,
                                     const std::string& path) {
  const std::uint64_t documents = network.accounts() + (labeler == nullptr ? 0 : 1);
  if (path == "-") {
    if (!write_all(network, labeler, stdout)) return write_error("standard output");
    return documents;
  }
  const std::string partial = path + ".partial";
  {
    const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(partial.c_str(), "wb"));
    if (!file) return write_error(partial);
    if (!write_all(network, labeler, file.get())) {
      Error error = write_error(partial);
      std::error_code ignored;
      std::filesystem::remove(partial, ignored);
      return error;
    }
  }
  std::error_code ec;
  std::filesystem::rename(partial, path, ec);
  if (ec) return Error{Errc::io, "cannot rename to " + path + ": " + ec.message()};
  return documents;
}

}  // namespace standpipe::tools::sim
