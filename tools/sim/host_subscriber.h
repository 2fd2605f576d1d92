// One subscriber of a simulated host: its network, its socket, and a thread between them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>

#include "schema/base/bytes.h"
#include "storage/types.h"
#include "tools/sim/host_state.h"

namespace standpipe::tools::sim {

struct HostSubscription {
  storage::StreamKind kind = storage::StreamKind::repos;
  std::optional<std::int64_t> cursor;
};

// Sends what is due as fast as the peer takes it, at most some 256 KiB ahead of it; answers pings;
// ends when the peer does.
class HostSubscriber {
 public:
  // `fd`: the socket, whose handshake is done; ours once this is made. `leftover`: what came behind
  // the handshake. `state` must outlive this. `place`: given back with it. Throws std::system_error
  // if there can be no thread.
  HostSubscriber(int fd, Bytes leftover, HostSubscription subscription, HostState& state,
                 std::shared_ptr<void> place);
  ~HostSubscriber();  // stop(), and waits for the thread
  HostSubscriber(const HostSubscriber&) = delete;
  HostSubscriber& operator=(const HostSubscriber&) = delete;

  void stop();  // does not wait
  bool has_ended() const { return has_ended_.load(); }

 private:
  void run(Bytes leftover);

  const int fd_;  // closed after the thread's end alone
  const HostSubscription subscription_;
  HostState& state_;
  const std::shared_ptr<void> place_;
  std::atomic<bool> is_stopped_ = false;
  std::atomic<bool> has_ended_ = false;
  std::thread thread_;
};

}  // namespace standpipe::tools::sim
