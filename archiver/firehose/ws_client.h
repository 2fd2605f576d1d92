// One WebSocket connection to an upstream: dial, handshake, read until it ends.
//
// Free of storage/: part of the client library. `ws_connection.h` is the same on an executor of the
// caller's. Beast does HTTP and TLS; the frames are read by `server_frames.h`, in large pieces.
// Spec: RFC 6455.
// permessage-deflate is never offered: frames are hashes and signatures, there is nothing to gain.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archiver/firehose/upstream_url.h"
#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/frame.h"
#include "schema/seq.h"

namespace standpipe::firehose {

// Numeric addresses of a host; blocks for as long as it likes. Called on a thread of its own.
using ResolveHost = std::function<Result<std::vector<std::string>>(const std::string& host)>;

struct WsOptions {
  std::chrono::milliseconds connect_deadline{10'000};  // names, addresses, TLS, handshake and
                                                       // redirects, all together
  std::chrono::milliseconds idle_timeout{60'000};  // nothing received: at half of it we ping, at
                                                   // the end of it the connection is dead; 0: never
  std::chrono::milliseconds close_timeout{2'000};  // for the peer to finish after its close frame
  std::size_t message_bytes_max = kFrameBytesMax;  // inclusive; a larger one is read and discarded
  std::size_t head_bytes = 64 << 10;               // all but this much of it
  int redirects_max = 5;
  std::string user_agent = "standpipe";  // the program adds its version
  std::string tls_ca_file;               // PEM; trusted besides what the system trusts
  ResolveHost resolve;                   // a seam; empty: getaddrinfo
};

struct WsMessage {
  ByteView bytes;                 // valid during the call; the head alone where it is too large
  std::uint64_t bytes_total = 0;  // on the wire
  bool is_text = false;
  bool is_whole() const { return bytes.size() == bytes_total; }
};

struct WsOpened {
  UpstreamUrl url;      // where redirects led
  std::string address;  // of the peer, with its port
  int redirects = 0;
};

enum class Flow : std::uint8_t {
  go_on,
  wait,  // read no further until resume(); nothing counts as idle meanwhile
  end,   // the connection
};

// Called on the thread that runs the connection.
class WsHandler {
 public:
  virtual ~WsHandler() = default;
  virtual Flow on_open(const WsOpened& opened) = 0;
  // May block: the socket is not read meanwhile, which is the back-pressure.
  virtual Flow on_message(const WsMessage& message) = 0;
};

enum class WsEndKind : std::uint8_t {
  resolve,      // the host has no address, or nobody could say
  connect,      // none of its addresses took the connection
  tls,          // the certificate, or the TLS handshake
  http_status,  // an answer, but no WebSocket: http_status says which
  redirect,     // a redirect that is not followed: without a place, or from wss to ws
  redirect_loop,
  timeout,   // connect_deadline
  idle,      // idle_timeout
  closed,    // the peer sent a close frame: close_code
  lost,      // the TCP connection ended or broke without one
  protocol,  // bytes that are no HTTP or no WebSocket
  handler,   // on_open() or on_message() returned Flow::end
  stopped,   // stop()
};
std::string_view to_string(WsEndKind kind);

struct WsEnd {
  WsEndKind kind = WsEndKind::stopped;
  std::string detail;  // for people, one line
  int http_status = 0;
  std::optional<std::chrono::milliseconds> retry_after;  // of any status but a redirect
  std::uint16_t close_code = 0;                          // 1005: a close frame without a code
  std::string close_reason;
  bool was_open = false;
  std::chrono::milliseconds up_for{0};  // since the handshake
};

// `Retry-After` in seconds, or as a date (RFC 9110, 10.2.3) against `now_ms`; nullopt if neither.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value,
                                                           std::int64_t now_ms);

// Dials and reads on the calling thread.
class WsClient {
 public:
  explicit WsClient(WsOptions options);
  ~WsClient();
  WsClient(const WsClient&) = delete;
  WsClient& operator=(const WsClient&) = delete;

  // Dials `url` and reads until the connection ends. Blocks; once per object.
  // All addresses of the host are tried, each for its share of the time that is left.
  WsEnd run(const UpstreamUrl& url, std::optional<Seq> cursor, WsHandler& handler);

  // Any thread, also before run():
  void stop();    // ends run(), whatever it waits for, but not a handler that blocks
  void resume();  // after Flow::wait

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::firehose
