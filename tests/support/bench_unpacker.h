// The denominator of replay: what sends the frames of an archive that is nothing but compressed
// groups in memory. Decompression and sending, one after the other, and nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/bench_process.h"
#include "tests/support/bench_wire.h"

namespace standpipe::test {

struct PackedWire {
  std::vector<std::string> groups;  // zstd of so many frames each, in wire form
  std::size_t group_bytes_max = 0;  // decompressed
};
// Groups as the archive makes them: at most `frames` of them and `bytes`, at zstd's level 1.
PackedWire pack_wire(const BenchWire& wire, std::size_t frames, std::size_t bytes);

class BenchUnpacker {
 public:
  // To be made while this process has one thread. Sends all of it to each who comes, one at a time,
  // in slices of up to 256 KiB.
  BenchUnpacker(const PackedWire& packed, const std::vector<int>& cores);
  std::uint16_t port() const { return port_; }
  pid_t id() const { return process_->id(); }

 private:
  std::uint16_t port_ = 0;
  std::unique_ptr<ForkedProcess> process_;
};

}  // namespace standpipe::test
