#include "tools/did_docs_file.h"

#include <fmt/format.h>
#include <zstd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "schema/did_document.h"
#include "tools/values.h"

namespace standpipe::tools {
namespace {

constexpr std::string_view kZstdMagic = "\x28\xB5\x2F\xFD";
constexpr int kWindowLogMax = 27;  // as frame files

struct FileClose {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
struct DecoderDelete {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

Error failed(const std::filesystem::path& path, Errc code, std::string_view why) {
  return Error{code, fmt::format("cannot read the DID documents of {}: {}", path.string(), why)};
}

Error too_large(const std::filesystem::path& path) {
  return failed(path, Errc::limit,
                fmt::format("they are more than {}", format_size(kDidDocsBytesMax)));
}

Result<std::string> read_whole(const std::filesystem::path& path) {
  std::error_code ec;
  if (std::filesystem::is_directory(path, ec)) {
    return failed(path, Errc::not_found, std::strerror(EISDIR));
  }
  const std::unique_ptr<std::FILE, FileClose> file(std::fopen(path.c_str(), "rbe"));
  if (!file) return failed(path, Errc::not_found, std::strerror(errno));
  std::string text;
  std::array<char, 65'536> buffer;
  for (;;) {
    const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), file.get());
    text.append(buffer.data(), size);
    if (text.size() > kDidDocsBytesMax) return too_large(path);
    if (size < buffer.size()) break;
  }
  if (std::ferror(file.get()) != 0) return failed(path, Errc::io, "reading it failed");
  return text;
}

Result<std::string> decompress(const std::filesystem::path& path, std::string_view compressed) {
  const std::unique_ptr<ZSTD_DCtx, DecoderDelete> decoder(ZSTD_createDCtx());
  if (!decoder) return failed(path, Errc::limit, "no memory for a zstd decoder");
  ZSTD_DCtx_setParameter(decoder.get(), ZSTD_d_windowLogMax, kWindowLogMax);
  std::string text;
  std::string buffer(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
  std::size_t left = 0;
  bool was_full = false;
  while (in.pos < in.size || was_full) {
    ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
    left = ZSTD_decompressStream(decoder.get(), &out, &in);
    if (ZSTD_isError(left) != 0) return failed(path, Errc::malformed, ZSTD_getErrorName(left));
    text.append(buffer.data(), out.pos);
    was_full = out.pos == out.size && left != 0;  // else it ends with the buffer
    if (text.size() > kDidDocsBytesMax) return too_large(path);
  }
  if (left != 0) return failed(path, Errc::malformed, "the zstd stream is cut short");
  return text;
}

}  // namespace

Result<std::size_t> load_did_docs(const std::filesystem::path& path, DidKeys& keys) {
  STANDPIPE_TRY(std::string text, read_whole(path));
  if (text.starts_with(kZstdMagic)) {
    STANDPIPE_TRY(text, decompress(path, text));
  }
  const auto counts =
      parse_did_documents(text, [&](const DidDocument& document) { keys.add(document); });
  if (!counts) return failed(path, counts.error().code, one_line(counts.error().detail));
  return counts->refused;
}

}  // namespace standpipe::tools
