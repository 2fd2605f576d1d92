// What the server counts. Plain snapshots; each network thread counts for itself.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace standpipe::replay {

// Why a subscriber's connection ended.
enum class EndReason : std::uint8_t {
  client_closed,    // a close frame, or the end of its input
  connection_lost,  // reset, or timed out by the kernel
  until_reached,
  future_cursor,
  too_slow,        // stalled, or retention took what it was to get
  protocol_error,  // it broke RFC 6455
  message_too_big,
  epoch_ended,
  erased,       // the frame in progress is gone
  read_failed,  // our archive could not be read
  shutdown,
};
inline constexpr std::size_t kEndReasons = 11;
std::string_view to_string(EndReason reason);

struct ServerStats {
  std::uint64_t connections = 0;    // open now, subscribers included
  std::uint64_t subscribers = 0;    // now
  std::uint64_t live = 0;           // of these: sent from memory
  std::uint64_t backfill = 0;       // of these: sent from the archive
  std::uint64_t waiting = 0;        // of these: with a cursor that upstream has not reached
  std::uint64_t blocked = 0;        // of these: the peer takes nothing at the moment
  std::uint64_t filtered = 0;       // of these: with a filter
  std::uint64_t reads_pending = 0;  // of the archive: under way, or waiting for a thread

  std::uint64_t accepted = 0;  // connections, ever
  std::uint64_t refused_address = 0, refused_total = 0;
  std::uint64_t subscribed = 0;   // handshakes, ever
  std::uint64_t bytes_sent = 0;   // of frames, WebSocket headers included
  std::uint64_t frames_sent = 0;  // whole
  std::uint64_t sends = 0;        // system calls that sent them
  std::uint64_t cutovers = 0;     // from the archive to memory
  std::uint64_t fallbacks = 0;    // from memory to the archive
  std::uint64_t pongs = 0;
  std::array<std::uint64_t, kEndReasons> ended{};

  // Of requests that did not become, or have not yet become, a subscriber:
  std::uint64_t request_bytes = 0;     // held now
  std::uint64_t requests = 0;          // answered, handshakes included
  std::uint64_t requests_refused = 0;  // answered with 4xx or 5xx
  std::uint64_t request_timeouts = 0;  // closed for being slow

  // Of requests that an upstream answers:
  std::uint64_t forwards_open = 0;     // under way
  std::uint64_t forwards = 0;          // passed on, ever
  std::uint64_t forwards_failed = 0;   // of these: no answer, or not all of it
  std::uint64_t forwards_refused = 0;  // too many at once, of one address or in total
  std::uint64_t forwarded_bytes = 0;   // of the bodies of the answers
};

}  // namespace standpipe::replay
