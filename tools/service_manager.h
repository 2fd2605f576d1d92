// What systemd, or whoever starts us as it does, hands over, and what it wants to be told.
// Spec: sd_listen_fds(3), sd_notify(3). Without it all of this does nothing.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.h"

namespace standpipe::tools {

// Listening sockets that are open already, and stay open while we are restarted: so nobody who
// connects meanwhile is refused. Descriptors; whoever takes the list owns them.
struct InheritedSockets {
  std::vector<int> plain;
  std::vector<int> tls;  // those that LISTEN_FDNAMES calls "tls"
};

// Once, before there are other threads: it also removes what says so from the environment, as
// children are not meant. invalid: one of them is no TCP socket that listens.
Result<InheritedSockets> take_inherited_sockets();

class ServiceManager {
 public:
  ServiceManager();  // from NOTIFY_SOCKET and WATCHDOG_USEC
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=a line". Never blocks; what cannot be told is
  // not told.
  void tell(std::string_view state) const;

  bool is_there() const { return fd_ >= 0; }

  // How often "WATCHDOG=1" is due at least; nullopt: nobody waits for it.
  std::optional<std::chrono::milliseconds> watchdog_interval() const { return watchdog_interval_; }

 private:
  int fd_ = -1;
  std::string address_;
  std::optional<std::chrono::milliseconds> watchdog_interval_;
};

}  // namespace standpipe::tools
