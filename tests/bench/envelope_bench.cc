// The envelope scan against a memcpy of the frame, with the frames streaming from memory: each lies
// in a buffer far larger than the caches, and is touched once a round.
//
// Usage: envelope_bench [--json]

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <limits>
#include <string_view>
#include <vector>

#include "schema/frame.h"
#include "tests/support/bench_report.h"
#include "tests/support/bulk_frames.h"

namespace standpipe::test {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{256} * 1024 * 1024;
constexpr int kRounds = 9;

struct Buffer {
  Bytes bytes;
  std::vector<ByteView> frames;
};

Buffer fill_buffer(BulkFrames& source) {
  Buffer buffer;
  buffer.bytes.resize(kBufferBytes);  // touched, so that no round pays for page faults
  std::size_t at = 0;
  for (ByteView frame = source.next(); frame.size() <= kBufferBytes - at; frame = source.next()) {
    std::memcpy(buffer.bytes.data() + at, frame.data(), frame.size());
    buffer.frames.push_back(ByteView(buffer.bytes).subspan(at, frame.size()));
    at += frame.size();
  }
  return buffer;
}

std::uint64_t copy_all(const Buffer& buffer) {
  std::array<std::byte, 64 * 1024> target;
  std::uint64_t sum = 0;
  for (const ByteView frame : buffer.frames) {
    std::memcpy(target.data(), frame.data(), std::min(frame.size(), target.size()));
    // Tells the compiler that the copy is read.
    asm volatile("" : : "r"(target.data()) : "memory");
    sum += std::to_integer<std::uint64_t>(target[0]);
  }
  return sum;
}

// What the writer wants of every frame: type, seq, did, time, rev, paths.
std::uint64_t scan_all(const Buffer& buffer) {
  std::array<EnvelopeOp, 8> ops;
  std::uint64_t archivable = 0;
  for (const ByteView frame : buffer.frames) {
    const FrameScan scan = scan_frame(frame, ops);
    asm volatile("" : : "r"(&scan), "r"(ops.data()) : "memory");
    if (scan.why == Unarchivable::archivable) ++archivable;
  }
  return archivable;
}

// Of one round, per frame.
template <typename Work>
double microseconds(std::size_t frames, Work work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  return took.count() / static_cast<double>(frames);
}

int run(bool is_json) {
  BulkFrames source;
  const Buffer buffer = fill_buffer(source);
  const std::size_t frames = buffer.frames.size();
  std::uint64_t archivable = 0;
  double copy_us = std::numeric_limits<double>::max();
  double scan_us = copy_us;
  for (int round = 0; round < kRounds; ++round) {  // in turn, so that both see the same machine
    copy_us = std::min(copy_us, microseconds(frames, [&] { copy_all(buffer); }));
    scan_us = std::min(scan_us, microseconds(frames, [&] { archivable = scan_all(buffer); }));
  }
  if (archivable != frames) {
    fmt::print(stderr, "envelope_bench: {} of {} frames are not archivable\n", frames - archivable,
               frames);
    return 1;
  }
  BenchRow row;
  row.path = "envelope scan";
  row.against = "memcpy of the frame";
  row.figure = scan_us / copy_us;
  row.unit = "x";
  row.at_most = 3;
  row.number = "10";
  row.detail =
      fmt::format("{:.3f} us against {:.3f} us a frame, {} frames {}, from memory", scan_us,
                  copy_us, frames, source.is_from_corpus() ? "after real ones" : "of own making");
  fmt::print("{}", is_json ? format_rows_json("envelope_bench", {row}) : format_rows({row}));
  return 0;
}

}  // namespace
}  // namespace standpipe::test

int main(int argc, char** argv) {
  const bool is_json = argc == 2 && std::string_view(argv[1]) == "--json";
  if (argc > 1 && !is_json) {
    fmt::print(stderr, "usage: envelope_bench [--json]\n");
    return 2;
  }
  return standpipe::test::run(is_json);
}
