// Programs of the distribution that some tests need: Prometheus, nginx, a browser.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include "tests/support/net_stream.h"

namespace standpipe::test {

inline bool is_program(const char* path) { return ::access(path, X_OK) == 0; }

// With CI=true what is missing is a failure, and no reason to skip.
inline bool are_programs_required() {
  const char* ci = std::getenv("CI");
  return ci != nullptr && std::string_view(ci) == "true";
}

// One of loopback that was free a moment ago, for programs that cannot choose one by themselves.
inline std::uint16_t free_port() {
  const tools::play::FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(socket.get(), any, size) != 0 || ::getsockname(socket.get(), any, &size) != 0) {
    throw std::runtime_error("no port is free");
  }
  return ntohs(address.sin_port);
}

}  // namespace standpipe::test

// At the start of a test that needs the program at `path`, of Debian's package `package`.
#define STANDPIPE_REQUIRE_PROGRAM(path, package)                                    \
  do {                                                                              \
    if (!::standpipe::test::is_program(path)) {                                     \
      if (::standpipe::test::are_programs_required()) {                             \
        FAIL() << "no " << (path) << ": install " << (package) << " (CI=true)";     \
      }                                                                             \
      GTEST_SKIP() << "no " << (path) << ": install " << (package) << " to run it"; \
    }                                                                               \
  } while (false)
