// A TCP socket that listens on 127.0.0.1, at a port that was free.
#pragma once

#include <cstdint>

#include "tests/support/net_stream.h"

namespace standpipe::test {

struct LoopbackListener {
  LoopbackListener();

  FileDescriptor socket;  // does not block
  std::uint16_t port = 0;
};

}  // namespace standpipe::test
