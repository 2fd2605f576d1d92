// Frame files: zstd of (u32 little-endian length, frame) repeated. The form in which public corpora
// of firehose frames are already kept; no file header, no count, no trailer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "schema/base/bytes.h"
#include "schema/base/result.h"

namespace standpipe::storage {

// One thread at a time. Memory: one frame and the zstd window (at most 128 MiB).
class FrameFileReader {
 public:
  // "-" is standard input. `stop_fd`, if given, ends a wait for input: once it is readable, next()
  // returns closed where it would otherwise wait for a pipe. Not ours to close.
  static Result<FrameFileReader> open(const std::filesystem::path& path, int stop_fd = -1);
  FrameFileReader(FrameFileReader&&) noexcept;
  FrameFileReader& operator=(FrameFileReader&&) noexcept;
  ~FrameFileReader();

  // The next frame, valid until the next call; nullopt at the end.
  // What has arrived is given out at once, also where the input is a pipe that stays open.
  // malformed: not zstd, a frame cut short, a length above kFrameFileFrameMax. Says at which frame.
  Result<std::optional<ByteView>> next();

  std::uint64_t frames_read() const;
  std::uint64_t file_bytes_read() const;   // compressed, for progress
  std::uint64_t file_bytes_total() const;  // 0 if unknown (a pipe)

 private:
  struct Impl;
  explicit FrameFileReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A frame above what the firehose allows may be in a file: the archive quarantines it.
inline constexpr std::uint32_t kFrameFileFrameMax = 64U << 20;

// Writes to `path` + ".partial" and renames on finish(): a file under its own name is complete.
// Without finish() the partial file is removed. "-" is standard output.
class FrameFileWriter {
 public:
  static Result<FrameFileWriter> create(const std::filesystem::path& path, int zstd_level = 3);
  FrameFileWriter(FrameFileWriter&&) noexcept;
  FrameFileWriter& operator=(FrameFileWriter&&) noexcept;
  ~FrameFileWriter();

  Result<void> write(ByteView frame);
  Result<void> finish();  // flushed to disk (fsync) and renamed on return

  std::uint64_t frames_written() const;
  std::uint64_t file_bytes_written() const;

 private:
  struct Impl;
  explicit FrameFileWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::storage
