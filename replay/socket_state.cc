#include "replay/socket_state.h"

// The kernel's header, not netinet/tcp.h, whose tcp_info ends before tcpi_bytes_acked.
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstddef>

namespace standpipe::replay {
namespace {

// Of a subscriber who has stalled the kernel holds this and as much again: under 256 KB.
constexpr int kUnsentBytes = 96 << 10;

void set_option(int fd, int option, int value) {
  // An option that a kernel does not have costs memory or time, not correctness.
  [[maybe_unused]] const int result = ::setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
}

}  // namespace

void prepare_subscriber_socket(int fd, std::chrono::milliseconds user_timeout) {
  set_option(fd, TCP_NODELAY, 1);
  set_option(fd, TCP_NOTSENT_LOWAT, kUnsentBytes);
  set_option(fd, TCP_USER_TIMEOUT, static_cast<int>(user_timeout.count()));
}

std::optional<std::uint64_t> acknowledged_bytes(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  if (size < offsetof(tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked) {
    return std::nullopt;
  }
  return info.tcpi_bytes_acked;
}

bool has_unacknowledged(int fd) {
  int bytes = 0;
  return ::ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

bool has_peer_left(int fd) {
  constexpr int kEstablished = 1;  // TCP_ESTABLISHED, which only the other header has
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return true;
  return info.tcpi_state != kEstablished;
}

}  // namespace standpipe::replay
