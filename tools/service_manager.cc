#include "tools/service_manager.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace standpipe::tools {
namespace {

constexpr int kFirstInherited = 3;      // SD_LISTEN_FDS_START
constexpr std::uint64_t kSockets = 64;  // far above what a unit has

std::optional<std::uint64_t> number_in(const char* variable) {
  const char* const text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  std::uint64_t number = 0;
  const char* const end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, number);
  if (error != std::errc() || at != end) return std::nullopt;
  return number;
}

// "http:tls": the names of the sockets, in their order.
std::string name_of(std::string_view names, std::uint64_t number) {
  for (; number > 0; --number) {
    const std::size_t colon = names.find(':');
    if (colon == std::string_view::npos) return "";
    names.remove_prefix(colon + 1);
  }
  return std::string(names.substr(0, names.find(':')));
}

bool is_listening_tcp(int fd) {
  int type = 0, listens = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) return false;
  size = sizeof listens;
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) {
    return false;
  }
  sockaddr_storage address{};
  size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
  return address.ss_family == AF_INET || address.ss_family == AF_INET6;
}

}  // namespace

Result<InheritedSockets> take_inherited_sockets() {
  InheritedSockets sockets;
  const auto meant = number_in("LISTEN_PID");
  const std::uint64_t count = number_in("LISTEN_FDS").value_or(0);
  const char* const names_given = std::getenv("LISTEN_FDNAMES");
  const std::string names = names_given == nullptr ? "" : names_given;
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(variable);
  if (!meant || *meant != static_cast<std::uint64_t>(::getpid()) || count == 0) return sockets;
  if (count > kSockets) {
    return Error{Errc::invalid, fmt::format("LISTEN_FDS: {} sockets were passed on, at most {} are "
                                            "taken",
                                            count, kSockets)};
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    const int fd = kFirstInherited + static_cast<int>(i);
    if (!is_listening_tcp(fd)) {
      return Error{Errc::invalid, fmt::format("LISTEN_FDS: descriptor {} is not a TCP socket that "
                                              "listens; wanted ListenStream= with an address and a "
                                              "port",
                                              fd)};
    }
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    (name_of(names, i) == "tls" ? sockets.tls : sockets.plain).push_back(fd);
  }
  return sockets;
}

ServiceManager::ServiceManager() {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  // A path, or a name in the abstract space, which is written with an at sign.
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  const std::size_t length = std::strlen(path);
  if (length >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  address_.assign(reinterpret_cast<const char*>(&address),
                  offsetof(sockaddr_un, sun_path) + length);
  fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto watchdog_us = number_in("WATCHDOG_USEC");
  const auto meant = number_in("WATCHDOG_PID");
  const bool is_ours = !meant || *meant == static_cast<std::uint64_t>(::getpid());
  if (watchdog_us && *watchdog_us > 0 && is_ours) {
    // Thrice in the time given: one that comes late is not yet the end.
    watchdog_interval_ =
        std::chrono::milliseconds(std::clamp<std::uint64_t>(*watchdog_us / 3000, 1, 3'600'000));
  }
}

ServiceManager::~ServiceManager() {
  if (fd_ >= 0) ::close(fd_);
}

void ServiceManager::tell(std::string_view state) const {
  if (fd_ < 0) return;
  [[maybe_unused]] const ssize_t sent = ::sendto(fd_, state.data(), state.size(), MSG_NOSIGNAL,
                                                 reinterpret_cast<const sockaddr*>(address_.data()),
                                                 static_cast<socklen_t>(address_.size()));
}

}  // namespace standpipe::tools
