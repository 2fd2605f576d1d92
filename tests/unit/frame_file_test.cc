#include "storage/frame_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace standpipe::storage {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}
void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// zstd's own one-shot functions, to hold the streams against.
std::string compress(const std::string& plain) {
  std::string out(ZSTD_compressBound(plain.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3));
  return out;
}
std::string decompress(const std::string& bytes, std::size_t size_max) {
  std::string out(size_max, '\0');
  out.resize(ZSTD_decompress(out.data(), out.size(), bytes.data(), bytes.size()));
  return out;
}

std::string entry(const std::string& frame) {
  std::byte length[4];
  store_le(length, static_cast<std::uint32_t>(frame.size()));
  return std::string(as_text(length)) + frame;
}

// Frames of a file up to the end or the first error, whose words end in `error`.
struct ReadAll {
  std::vector<std::string> frames;
  std::string error;
};
ReadAll read_all(const fs::path& path) {
  ReadAll all;
  auto reader = FrameFileReader::open(path);
  if (!reader) {
    all.error = to_string(reader.error());
    return all;
  }
  for (;;) {
    const auto frame = reader->next();
    if (!frame) {
      all.error = to_string(frame.error());
      return all;
    }
    if (!*frame) return all;
    all.frames.emplace_back(as_text(**frame));
    EXPECT_EQ(reader->frames_read(), all.frames.size());
  }
}

class FrameFile : public ::testing::Test {
 protected:
  ReadAll read_plain(const std::string& plain) { return read_bytes(compress(plain)); }
  ReadAll read_bytes(const std::string& bytes) {
    write_file(dir / "f.zst", bytes);
    return read_all(dir / "f.zst");
  }
  std::string path() const { return (dir / "f.zst").string(); }
  test::TempDir dir;
};

std::string random_text(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

TEST_F(FrameFile, FramesComeBackAsTheyWereWritten) {
  std::vector<std::string> frames = {"a", "", random_text(300'000, 1), "bc",
                                     std::string(5'000'000, 'z')};
  for (unsigned i = 0; i < 200; ++i) frames.push_back(random_text(i * 17, i));
  auto writer = FrameFileWriter::create(dir / "f.zst").value();
  for (const std::string& frame : frames) {
    ASSERT_TRUE(writer.write(as_bytes(frame)).has_value());
  }
  ASSERT_TRUE(writer.finish().has_value());
  EXPECT_EQ(writer.frames_written(), frames.size());
  EXPECT_EQ(writer.file_bytes_written(), fs::file_size(dir / "f.zst"));

  const ReadAll all = read_all(dir / "f.zst");
  EXPECT_EQ(all.error, "");
  EXPECT_EQ(all.frames, frames);
}

TEST_F(FrameFile, TheFormIsZstdOfLengthAndFrame) {
  auto writer = FrameFileWriter::create(dir / "f.zst").value();
  ASSERT_TRUE(writer.write(as_bytes("abc")).has_value());
  ASSERT_TRUE(writer.write(as_bytes("")).has_value());
  ASSERT_TRUE(writer.finish().has_value());
  EXPECT_EQ(decompress(read_file(dir / "f.zst"), 100), std::string("\x03\x00\x00\x00"
                                                                   "abc"
                                                                   "\x00\x00\x00\x00",
                                                                   11));
}

TEST_F(FrameFile, AFileStandsUnderItsNameOnlyWhenItIsComplete) {
  {
    auto writer = FrameFileWriter::create(dir / "f.zst").value();
    ASSERT_TRUE(writer.write(as_bytes("abc")).has_value());
    EXPECT_FALSE(fs::exists(dir / "f.zst"));
    EXPECT_TRUE(fs::exists(dir / "f.zst.partial"));
  }
  EXPECT_FALSE(fs::exists(dir / "f.zst"));  // given up
  EXPECT_FALSE(fs::exists(dir / "f.zst.partial"));
  write_file(dir / "f.zst", "the one before");
  auto writer = FrameFileWriter::create(dir / "f.zst").value();
  EXPECT_EQ(read_file(dir / "f.zst"), "the one before");
  ASSERT_TRUE(writer.finish().has_value());
  EXPECT_FALSE(fs::exists(dir / "f.zst.partial"));
  const ReadAll all = read_all(dir / "f.zst");  // no frame, and no error
  EXPECT_EQ(all.error, "");
  EXPECT_EQ(all.frames.size(), 0U);
}

TEST_F(FrameFile, WhatCannotBeOpenedSaysWhy) {
  EXPECT_EQ(read_all(dir / "none").error,
            "not found: cannot open " + (dir / "none").string() + ": No such file or directory");
  EXPECT_EQ(read_all(dir.path()).error,
            "i/o error: cannot read " + dir.path().string() + ": Is a directory");
  EXPECT_EQ(FrameFileWriter::create(dir / "no" / "f").error().code, Errc::not_found);
  EXPECT_EQ(FrameFileWriter::create(dir / "f", 99).error().code, Errc::invalid);
}

TEST_F(FrameFile, ConcatenatedZstdFramesAreOneFile) {
  const std::string one = compress(entry("abc") + entry("defgh"));
  const std::string two = compress(entry("ij"));
  EXPECT_EQ(read_bytes(one + two + one).frames,
            (std::vector<std::string>{"abc", "defgh", "ij", "abc", "defgh"}));
  // A frame may lie across two of them.
  const std::string plain = entry("abcdefghij");
  EXPECT_EQ(read_bytes(compress(plain.substr(0, 2)) + compress(plain.substr(2, 5)) +
                       compress(plain.substr(7)))
                .frames,
            (std::vector<std::string>{"abcdefghij"}));
}

TEST_F(FrameFile, WhatIsNotZstdIsMalformed) {
  const ReadAll plain = read_bytes(entry("abc"));
  EXPECT_EQ(plain.error, "malformed: " + path() +
                             ": frame 0, byte 0 of the decompressed file: not a zstd stream that "
                             "can be read (Unknown frame descriptor); a frame file is zstd of u32 "
                             "little-endian length and frame, repeated");
  EXPECT_EQ(read_bytes("").error, "malformed: " + path() +
                                      ": frame 0, byte 0 of the decompressed file: the file is "
                                      "empty, without even a zstd header");
  const ReadAll behind = read_bytes(compress(entry("abc")) + "junk");
  EXPECT_EQ(behind.frames, (std::vector<std::string>{"abc"}));
  EXPECT_NE(behind.error.find("frame 1, byte 7"), std::string::npos) << behind.error;
}

TEST_F(FrameFile, AFrameThatIsCutShortIsMalformedWithItsNumberAndPlace) {
  const ReadAll in_length = read_plain(entry("abc") + std::string("\x05\x00", 2));
  EXPECT_EQ(in_length.frames, (std::vector<std::string>{"abc"}));
  EXPECT_EQ(in_length.error, "malformed: " + path() +
                                 ": frame 1, byte 7 of the decompressed file: ends in the length "
                                 "of a frame, after 2 of 4 bytes");
  const ReadAll in_frame = read_plain(entry("abc") + entry("defgh").substr(0, 7));
  EXPECT_EQ(in_frame.error, "malformed: " + path() +
                                ": frame 1, byte 7 of the decompressed file: ends in a frame, "
                                "after 3 of 5 bytes");
}

TEST_F(FrameFile, ALengthAboveTheLimitIsMalformedAndNothingIsAllocatedForIt) {
  EXPECT_EQ(read_plain(std::string("\x01\x00\x00\x04", 4)).error,
            "malformed: " + path() +
                ": frame 0, byte 0 of the decompressed file: a length of 67108865 bytes, at most "
                "67108864 are allowed");
  EXPECT_NE(read_plain("\xff\xff\xff\xff").error, "");
  auto writer = FrameFileWriter::create(dir / "f.zst").value();
  const std::string big(kFrameFileFrameMax + 1, 'x');
  EXPECT_EQ(writer.write(as_bytes(big)).error().code, Errc::limit);
}

TEST_F(FrameFile, EveryTruncationOfTheFileIsMalformedAndGivesNoWrongFrame) {
  const std::vector<std::string> frames = {"abc", random_text(40, 3), "", random_text(60, 4)};
  auto writer = FrameFileWriter::create(dir / "whole.zst").value();
  for (const std::string& frame : frames) ASSERT_TRUE(writer.write(as_bytes(frame)).has_value());
  ASSERT_TRUE(writer.finish().has_value());
  const std::string whole = read_file(dir / "whole.zst");
  for (std::size_t size = 0; size < whole.size(); size += 3) {
    const ReadAll all = read_bytes(whole.substr(0, size));
    ASSERT_NE(all.error, "") << size;
    ASSERT_LE(all.frames.size(), frames.size());
    for (std::size_t i = 0; i < all.frames.size(); ++i) ASSERT_EQ(all.frames[i], frames[i]);
  }
  // The checksum that the writer adds finds a flipped byte, but for those that change nothing (the
  // size of the window is one).
  std::size_t unharmed = 0;
  for (std::size_t at = 0; at < whole.size(); at += 3) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    const ReadAll all = read_bytes(damaged);
    if (!all.error.empty()) continue;
    ASSERT_EQ(all.frames, frames) << at;
    ++unharmed;
  }
  EXPECT_LE(unharmed, 2U);
}

TEST_F(FrameFile, AWindowAboveTheLimitIsRefused) {
  // A header that asks for a window of 2^28 bytes, and an empty last block.
  const std::string header("\x28\xb5\x2f\xfd\x00\x90\x01\x00\x00", 9);
  EXPECT_NE(read_bytes(header).error.find("requires too much memory"), std::string::npos);
  const std::string allowed("\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00", 9);
  EXPECT_EQ(read_bytes(allowed).error, "");
}

TEST_F(FrameFile, ProgressIsInBytesOfTheFile) {
  auto writer = FrameFileWriter::create(dir / "f.zst").value();
  for (unsigned i = 0; i < 20; ++i) {
    ASSERT_TRUE(writer.write(as_bytes(random_text(100'000, i))).has_value());
  }
  ASSERT_TRUE(writer.finish().has_value());
  auto reader = FrameFileReader::open(dir / "f.zst").value();
  EXPECT_EQ(reader.file_bytes_total(), fs::file_size(dir / "f.zst"));
  EXPECT_EQ(reader.file_bytes_read(), 0U);
  ASSERT_TRUE(reader.next().value().has_value());
  EXPECT_GT(reader.file_bytes_read(), 0U);
  EXPECT_LT(reader.file_bytes_read(), 500'000U);
  while (reader.next().value()) {
  }
  EXPECT_EQ(reader.file_bytes_read(), reader.file_bytes_total());
}

TEST_F(FrameFile, APipeGivesWhatHasArrivedAndCanBeLeft) {
  int pipe_fds[2], stop_fds[2];
  ASSERT_EQ(::pipe(pipe_fds), 0);
  ASSERT_EQ(::pipe(stop_fds), 0);
  const std::string by_name = "/dev/fd/" + std::to_string(pipe_fds[0]);
  auto reader = FrameFileReader::open(by_name, stop_fds[0]).value();
  EXPECT_EQ(reader.file_bytes_total(), 0U);
  const std::string sent = compress(entry("abc") + entry("de"));
  ASSERT_EQ(::write(pipe_fds[1], sent.data(), sent.size()), static_cast<ssize_t>(sent.size()));
  EXPECT_EQ(as_text(*reader.next().value()), "abc");  // though the pipe stays open
  EXPECT_EQ(as_text(*reader.next().value()), "de");
  ASSERT_EQ(::write(stop_fds[1], "x", 1), 1);
  EXPECT_EQ(reader.next().error().code, Errc::closed);
  for (const int fd : {pipe_fds[0], pipe_fds[1], stop_fds[0], stop_fds[1]}) ::close(fd);
}

TEST_F(FrameFile, ADashIsStandardOutputAndInput) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const int fd = ::open(path().c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    ::dup2(fd, STDOUT_FILENO);
    auto writer = FrameFileWriter::create("-");
    const bool done = writer && writer->write(as_bytes("abc")) && writer->finish();
    const int in = ::open(path().c_str(), O_RDONLY);
    ::dup2(in, STDIN_FILENO);
    auto reader = FrameFileReader::open("-");
    const auto frame = reader ? reader->next() : Error{Errc::io, ""};
    ::_exit(done && frame && *frame && as_text(**frame) == "abc" ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(fs::exists(path() + ".partial"));
}

TEST_F(FrameFile, AWriteThatFailsIsAnIoError) {
  const int full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(full, STDOUT_FILENO);
    auto out = FrameFileWriter::create("-");
    const bool written = out && out->write(as_bytes("abc"));
    const auto finished = out->finish();
    ::_exit(written && !finished && finished.error().code == Errc::io ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ::close(full);
}

}  // namespace
}  // namespace standpipe::storage
