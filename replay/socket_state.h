// What the kernel knows of a TCP connection, and what we ask of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace standpipe::replay {

// Set on every subscriber's socket: no delay, little unsent data in the kernel (so that control
// frames do not queue behind megabytes), and an end to peers that are not there any more.
void prepare_subscriber_socket(int fd, std::chrono::milliseconds user_timeout);

// Bytes that the peer has acknowledged so far; nullopt where the kernel does not say.
std::optional<std::uint64_t> acknowledged_bytes(int fd);
// Whether bytes that we wrote wait for the peer.
bool has_unacknowledged(int fd);
// Whether the peer has ended its direction, or the connection is gone: nobody waits any more for
// what we would send. (A peer may go on to read; those that ask us by HTTP do not.)
bool has_peer_left(int fd);

}  // namespace standpipe::replay
