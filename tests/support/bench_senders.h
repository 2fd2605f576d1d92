// Denominators of fan-out: what sends the same frames to as many sockets without being a server.
// Each is a process, pinned and clocked as the server is.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/support/bench_process.h"
#include "tests/support/bench_wire.h"
#include "tests/support/net_stream.h"

namespace standpipe::test {

struct SenderOptions {
  enum class How : std::uint8_t {
    raw,    // send() of slices of the one contiguous wire; edge-triggered epoll for full sockets
    beast,  // a queue for each session and one async_write for each of its messages
  } how = How::raw;
  std::size_t subscribers = 1;
  std::size_t first = 0;                // frame of the wire that they get first
  std::size_t slice_bytes = 256 << 10;  // at most, of raw
};

class BenchSender {
 public:
  // To be made while this process has one thread. Takes that many subscribers, then sends.
  BenchSender(const BenchWire& wire, const SenderOptions& options, const std::vector<int>& cores);
  std::uint16_t port() const { return port_; }
  pid_t id() const { return process_->id(); }
  void release(std::size_t frames);  // all up to so many frames of the wire may be sent

 private:
  std::uint16_t port_ = 0;
  Shared<std::atomic<std::size_t>> released_;  // frames
  FileDescriptor bell_;
  std::unique_ptr<ForkedProcess> process_;
};

}  // namespace standpipe::test
