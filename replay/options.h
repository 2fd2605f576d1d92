// Every limit and policy of the server, with its unit and default.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "replay/cursor.h"
#include "replay/live_log.h"
#include "replay/tls_context.h"
#include "replay/trusted_proxies.h"

namespace standpipe::replay {

struct ServerOptions {
  // -- Changes behaviour --------------------------------------------------------------------------
  TlsFiles tls_files;              // for listeners with TLS
  TrustedProxies trusted_proxies;  // whose X-Forwarded-For counts
  CursorMode cursor_mode = CursorMode::exclusive;
  // How long a cursor from the future may wait while its stream catches up with upstream, or holds
  // nothing yet.
  std::chrono::milliseconds future_cursor_wait{30'000};
  std::chrono::milliseconds handshake_timeout{10'000};  // from the connection to the whole head
  std::chrono::milliseconds stall_timeout{60'000};      // bytes pending, and none acknowledged
  std::chrono::milliseconds ping_interval{30'000};      // without a write of ours
  std::chrono::milliseconds linger{1'000};              // for a peer to take our last words
  std::chrono::milliseconds drain_timeout{5'000};       // at shutdown: to reach a frame's boundary

  // -- Limits -------------------------------------------------------------------------------------
  std::size_t connections_max = 10'000;  // in total
  std::size_t connections_per_address_max = 1'000;
  std::uint64_t egress_max = 0;                 // bytes per second, all subscribers; 0: none
  std::uint64_t egress_per_subscriber_max = 0;  // likewise, each
  std::size_t request_head_bytes_max = 512 << 10;
  std::size_t forwards_max = 64;  // requests that are passed on to upstreams, at once
  std::size_t forwards_per_address_max = 8;
  LiveLog::Limits live_log;  // of each stream

  // -- Changes speed ------------------------------------------------------------------------------
  std::size_t network_threads = 0;  // 0: one for each core, up to 8
  std::size_t read_threads = 2;     // of archive reads
};

}  // namespace standpipe::replay
