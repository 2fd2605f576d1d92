// An upstream that a bench steers: the frames it is told to send, as fast as they are taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "schema/base/bytes.h"
#include "tests/support/bench_wire.h"
#include "tests/support/net_stream.h"

namespace standpipe::test {

// Of a wire, or of bytes. One thread. Throws std::runtime_error when the one who follows it does
// not come or goes.
class BenchFeeder {
 public:
  BenchFeeder();
  std::string url() const;
  void accept();             // and upgrade: the one connection that there is
  void send(ByteView wire);  // WebSocket frames; blocks while they are not taken
  // All of `wire`, the same each time, up to so many frames of it, behind those of the call before.
  void feed_up_to(const BenchWire& wire, std::size_t frames);
  std::size_t fed() const { return fed_; }  // frames, by that

 private:
  std::size_t fed_ = 0;
  std::uint16_t port_ = 0;  // before the listener, which tells it
  FileDescriptor listener_, socket_;
};

// So many frames a second, from its construction on.
class Pace {
 public:
  explicit Pace(std::size_t frames_per_second);
  void wait_for(std::size_t frame) const;  // until that one, from 0 on, is due

 private:
  const std::size_t rate_;
  const std::uint64_t begin_ns_;
};

// A listener on a free port of 127.0.0.1, and that port.
FileDescriptor listen_anywhere(std::uint16_t& port);
// Reads a request up to its empty line and answers 101. False: there is none.
bool answer_upgrade(int socket);

}  // namespace standpipe::test
