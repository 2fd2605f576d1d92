#include "storage/frame_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "schema/base/assert.h"

namespace standpipe::storage {
namespace {

constexpr int kWindowLogMax = 27;  // 128 MiB, what `zstd --ultra -22` and public corpora use
constexpr std::size_t kLengthBytes = 4;

struct DecoderDelete {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
struct EncoderDelete {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

// A file descriptor, closed when it goes unless it is the process's own (standard input, output).
class Descriptor {
 public:
  Descriptor(int fd, bool is_ours) : fd_(fd), is_ours_(is_ours) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (is_ours_ && fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  // 0, or errno. An error of close() is one of writing, told late.
  int close() {
    const int fd = std::exchange(fd_, -1);
    return is_ours_ && ::close(fd) != 0 ? errno : 0;
  }

 private:
  int fd_;
  bool is_ours_;
};

Error system_error(std::string_view doing, const std::string& name, int number) {
  const Errc code = number == ENOENT ? Errc::not_found : Errc::io;
  return Error{code, std::string(doing) + " " + name + ": " + std::strerror(number)};
}

bool is_standard(const std::filesystem::path& path) { return path == "-"; }

Result<void> sync_directory_of(const std::filesystem::path& path) {
  const std::filesystem::path dir = path.has_parent_path() ? path.parent_path() : ".";
  const Descriptor directory(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), true);
  if (directory.get() < 0 || ::fsync(directory.get()) != 0) {
    return system_error("cannot sync directory", dir.string(), errno);
  }
  return {};
}

}  // namespace

// -- Reading --------------------------------------------------------------------------------------

struct FrameFileReader::Impl {
  Impl(int fd, bool is_ours, std::string file_name)
      : descriptor(fd, is_ours), name(std::move(file_name)), decoder(ZSTD_createDCtx()) {}

  Error malformed(const std::string& why) const {
    return Error{Errc::malformed, name + ": frame " + std::to_string(frames) + ", byte " +
                                      std::to_string(frame_at) +
                                      " of the decompressed file: " + why};
  }
  // Reads more of the file into `input`. False at its end.
  Result<bool> fill_input();
  // Returns when the input can be read; closed if it has to be waited for and stop_fd is readable.
  Result<void> wait_for_input() const;
  // Appends decompressed bytes to `output` until it holds `wanted` from `position`, or the end.
  Result<void> fill_output(std::size_t wanted);
  std::size_t ready() const { return output.size() - position; }

  Descriptor descriptor;
  std::string name;
  int stop_fd = -1;  // not ours
  std::unique_ptr<ZSTD_DCtx, DecoderDelete> decoder;
  std::string input_buffer = std::string(ZSTD_DStreamInSize(), '\0');
  ZSTD_inBuffer input{nullptr, 0, 0};
  bool is_inside_stream = false;  // a zstd frame has begun and not ended
  bool may_hold_output = false;   // zstd stopped for want of room, not of input
  std::string output;
  std::size_t position = 0;  // in output: what comes next
  std::uint64_t frames = 0;
  std::uint64_t frame_at = 0;  // where the frame that comes next begins, decompressed
  std::uint64_t file_bytes = 0;
  std::uint64_t file_bytes_total = 0;
};

Result<void> FrameFileReader::Impl::wait_for_input() const {
  if (stop_fd < 0) return {};
  // A regular file is always readable.
  pollfd waits[2] = {{descriptor.get(), POLLIN, 0}, {stop_fd, POLLIN, 0}};
  while (::poll(waits, 2, -1) < 0) {
    if (errno != EINTR) return system_error("cannot wait for", name, errno);
  }
  if (waits[0].revents == 0) return Error{Errc::closed, name + ": told to stop"};
  return {};
}

Result<bool> FrameFileReader::Impl::fill_input() {
  STANDPIPE_CHECK(wait_for_input());
  ssize_t count = 0;
  do {
    count = ::read(descriptor.get(), input_buffer.data(), input_buffer.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) return system_error("cannot read", name, errno);
  input = {input_buffer.data(), static_cast<std::size_t>(count), 0};
  file_bytes += static_cast<std::uint64_t>(count);
  return count != 0;
}

Result<void> FrameFileReader::Impl::fill_output(std::size_t wanted) {
  if (position != 0) {
    output.erase(0, position);
    position = 0;
  }
  const std::size_t step = ZSTD_DStreamOutSize();
  while (output.size() < wanted) {
    if (input.pos == input.size && !may_hold_output) {
      STANDPIPE_TRY(const bool has_more, fill_input());
      if (!has_more) {
        if (is_inside_stream) return malformed("the zstd stream is cut short");
        if (file_bytes == 0) return malformed("the file is empty, without even a zstd header");
        return {};
      }
    }
    const std::size_t before = output.size();
    output.resize(before + step);
    ZSTD_outBuffer out{output.data() + before, step, 0};
    const std::size_t left = ZSTD_decompressStream(decoder.get(), &out, &input);
    output.resize(before + out.pos);
    if (ZSTD_isError(left) != 0) {
      const std::string why = ZSTD_getErrorName(left);
      return malformed("not a zstd stream that can be read (" + why +
                       "); a frame file is zstd of u32 little-endian length and frame, repeated");
    }
    is_inside_stream = left != 0;  // 0: ended, and another may follow
    may_hold_output = is_inside_stream && out.pos == step;
  }
  return {};
}

FrameFileReader::FrameFileReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FrameFileReader::FrameFileReader(FrameFileReader&&) noexcept = default;
FrameFileReader& FrameFileReader::operator=(FrameFileReader&&) noexcept = default;
FrameFileReader::~FrameFileReader() = default;

Result<FrameFileReader> FrameFileReader::open(const std::filesystem::path& path, int stop_fd) {
  const bool is_stdin = is_standard(path);
  // To open a pipe is to wait for its writer, unless one says O_NONBLOCK; and that wait must end
  // where the others do.
  const int flags = O_RDONLY | O_CLOEXEC | (stop_fd < 0 ? 0 : O_NONBLOCK);
  const int fd = is_stdin ? STDIN_FILENO : ::open(path.c_str(), flags);
  if (fd < 0) return system_error("cannot open", path.string(), errno);
  if (!is_stdin) ::fcntl(fd, F_SETFL, 0);  // from here on poll() says when to read
  auto impl = std::make_unique<Impl>(fd, !is_stdin, is_stdin ? "standard input" : path.string());
  impl->stop_fd = stop_fd;
  struct stat status {};
  if (::fstat(fd, &status) != 0) return system_error("cannot open", impl->name, errno);
  if (S_ISDIR(status.st_mode)) return system_error("cannot read", impl->name, EISDIR);
  if (S_ISREG(status.st_mode)) impl->file_bytes_total = static_cast<std::uint64_t>(status.st_size);
  STANDPIPE_ASSERT(impl->decoder != nullptr, "no memory for a zstd decoder");
  const std::size_t set =
      ZSTD_DCtx_setParameter(impl->decoder.get(), ZSTD_d_windowLogMax, kWindowLogMax);
  STANDPIPE_ASSERT(ZSTD_isError(set) == 0, ZSTD_getErrorName(set));
  return FrameFileReader(std::move(impl));
}

Result<std::optional<ByteView>> FrameFileReader::next() {
  Impl& in = *impl_;
  if (in.ready() < kLengthBytes) STANDPIPE_CHECK(in.fill_output(kLengthBytes));
  if (in.ready() == 0) return std::optional<ByteView>();
  if (in.ready() < kLengthBytes) {
    return in.malformed("ends in the length of a frame, after " + std::to_string(in.ready()) +
                        " of 4 bytes");
  }
  const std::size_t length = load_le<std::uint32_t>(as_bytes(in.output).data() + in.position);
  if (length > kFrameFileFrameMax) {
    return in.malformed("a length of " + std::to_string(length) + " bytes, at most " +
                        std::to_string(kFrameFileFrameMax) + " are allowed");
  }
  const std::size_t whole = kLengthBytes + length;
  if (in.ready() < whole) STANDPIPE_CHECK(in.fill_output(whole));
  if (in.ready() < whole) {
    return in.malformed("ends in a frame, after " + std::to_string(in.ready() - kLengthBytes) +
                        " of " + std::to_string(length) + " bytes");
  }
  const ByteView frame = as_bytes(in.output).subspan(in.position + kLengthBytes, length);
  in.position += whole;
  in.frame_at += whole;
  ++in.frames;
  return std::optional<ByteView>(frame);
}

std::uint64_t FrameFileReader::frames_read() const { return impl_->frames; }
std::uint64_t FrameFileReader::file_bytes_read() const { return impl_->file_bytes; }
std::uint64_t FrameFileReader::file_bytes_total() const { return impl_->file_bytes_total; }

// -- Writing --------------------------------------------------------------------------------------

struct FrameFileWriter::Impl {
  Impl(int fd, bool is_ours, std::filesystem::path file, std::filesystem::path partial_file)
      : descriptor(fd, is_ours),
        path(std::move(file)),
        partial(std::move(partial_file)),
        encoder(ZSTD_createCCtx()) {}
  ~Impl() {
    if (!is_finished && !partial.empty()) ::unlink(partial.c_str());
  }

  Result<void> compress(ByteView bytes, ZSTD_EndDirective how);
  Result<void> write_out(std::string_view bytes);
  std::string name() const { return partial.empty() ? "standard output" : partial.string(); }

  Descriptor descriptor;
  std::filesystem::path path;
  std::filesystem::path partial;  // empty: standard output
  std::unique_ptr<ZSTD_CCtx, EncoderDelete> encoder;
  std::string buffer = std::string(ZSTD_CStreamOutSize(), '\0');
  bool is_finished = false;
  std::uint64_t frames = 0;
  std::uint64_t file_bytes = 0;
};

Result<void> FrameFileWriter::Impl::write_out(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor.get(), bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      return system_error("cannot write", name(), errno);
    }
    bytes.remove_prefix(static_cast<std::size_t>(count));
    file_bytes += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<void> FrameFileWriter::Impl::compress(ByteView bytes, ZSTD_EndDirective how) {
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  for (;;) {
    ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
    const std::size_t left = ZSTD_compressStream2(encoder.get(), &out, &in, how);
    STANDPIPE_ASSERT(ZSTD_isError(left) == 0, ZSTD_getErrorName(left));
    STANDPIPE_CHECK(write_out(std::string_view(buffer).substr(0, out.pos)));
    if (how == ZSTD_e_end ? left == 0 : in.pos == in.size) return {};
  }
}

FrameFileWriter::FrameFileWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FrameFileWriter::FrameFileWriter(FrameFileWriter&&) noexcept = default;
FrameFileWriter& FrameFileWriter::operator=(FrameFileWriter&&) noexcept = default;
FrameFileWriter::~FrameFileWriter() = default;

Result<FrameFileWriter> FrameFileWriter::create(const std::filesystem::path& path, int zstd_level) {
  if (zstd_level < ZSTD_minCLevel() || zstd_level > ZSTD_maxCLevel()) {
    return Error{Errc::invalid, "zstd level " + std::to_string(zstd_level) + ": " +
                                    std::to_string(ZSTD_minCLevel()) + " to " +
                                    std::to_string(ZSTD_maxCLevel()) + " are allowed"};
  }
  std::unique_ptr<Impl> impl;
  if (is_standard(path)) {
    impl = std::make_unique<Impl>(STDOUT_FILENO, false, path, std::filesystem::path());
  } else {
    std::filesystem::path partial = path;
    partial += ".partial";
    const int fd = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return system_error("cannot create", partial.string(), errno);
    impl = std::make_unique<Impl>(fd, true, path, std::move(partial));
  }
  STANDPIPE_ASSERT(impl->encoder != nullptr, "no memory for a zstd encoder");
  ZSTD_CCtx* const encoder = impl->encoder.get();
  // With a checksum, so that damage is found where the file is read.
  for (const auto& [parameter, value] :
       {std::pair(ZSTD_c_compressionLevel, zstd_level), std::pair(ZSTD_c_checksumFlag, 1)}) {
    const std::size_t set = ZSTD_CCtx_setParameter(encoder, parameter, value);
    STANDPIPE_ASSERT(ZSTD_isError(set) == 0, ZSTD_getErrorName(set));
  }
  return FrameFileWriter(std::move(impl));
}

Result<void> FrameFileWriter::write(ByteView frame) {
  Impl& out = *impl_;
  STANDPIPE_ASSERT(!out.is_finished, "the frame file is finished");
  if (frame.size() > kFrameFileFrameMax) {
    return Error{Errc::limit, "frame of " + std::to_string(frame.size()) +
                                  " bytes: a frame file takes up to " +
                                  std::to_string(kFrameFileFrameMax)};
  }
  std::byte length[kLengthBytes];
  store_le(length, static_cast<std::uint32_t>(frame.size()));
  STANDPIPE_CHECK(out.compress(length, ZSTD_e_continue));
  STANDPIPE_CHECK(out.compress(frame, ZSTD_e_continue));
  ++out.frames;
  return {};
}

Result<void> FrameFileWriter::finish() {
  Impl& out = *impl_;
  STANDPIPE_ASSERT(!out.is_finished, "the frame file is finished");
  STANDPIPE_CHECK(out.compress({}, ZSTD_e_end));
  if (out.partial.empty()) {
    out.is_finished = true;
    return {};
  }
  if (::fsync(out.descriptor.get()) != 0) return system_error("cannot sync", out.name(), errno);
  if (const int failed = out.descriptor.close(); failed != 0) {
    return system_error("cannot close", out.name(), failed);
  }
  if (::rename(out.partial.c_str(), out.path.c_str()) != 0) {
    return system_error("cannot rename to", out.path.string(), errno);
  }
  out.is_finished = true;
  return sync_directory_of(out.path);
}

std::uint64_t FrameFileWriter::frames_written() const { return impl_->frames; }
std::uint64_t FrameFileWriter::file_bytes_written() const { return impl_->file_bytes; }

}  // namespace standpipe::storage
