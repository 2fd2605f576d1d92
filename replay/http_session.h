// HTTP on the public listener: from an accepted socket to a reply, or to a subscriber.
//
// Beast reads requests and performs the WebSocket handshake; a socket that has become a
// subscriber's leaves for good. http_session.cc and http_reply.cc are the files of this folder that
// include Beast.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "replay/channel.h"
#include "replay/forward.h"
#include "replay/request.h"
#include "replay/trusted_proxies.h"
#include "schema/base/bytes.h"

namespace standpipe::replay {

struct HttpOptions {
  std::string server = "standpipe (atproto-relay)";  // the Server header of all replies
  TrustedProxies trusted_proxies{};
  std::size_t head_bytes_max = 512 << 10;  // request line and fields; more: 431
  std::size_t body_bytes_max = 64 << 10;   // passed on, or read and ignored; more: 413
  std::size_t requests_max = 100;          // on one connection, which is closed then
  // For a whole request to arrive, from accept, from the end of TLS's handshake, or from the end of
  // the reply before: so also how long an idle connection is kept. For that handshake likewise.
  std::chrono::milliseconds request_timeout{10'000};
  std::chrono::milliseconds reply_timeout{10'000};  // for the peer to take a whole reply
  // Held by all connections that have not become subscribers, which bounds what requests that never
  // end can cost. A request that would pass it is answered 503; one of up to 8 KiB never is, so
  // that a few large ones keep nobody out.
  std::size_t request_bytes_total_max = 64 << 20;
};

struct Peer {
  boost::asio::ip::tcp::endpoint endpoint;  // IPv4 as such, also through an IPv6 listener
  // Whom it is for: the endpoint's, or what a proxy that is trusted says.
  boost::asio::ip::address address;
  std::string user_agent;       // as sent, at most 256 bytes; any bytes
  std::shared_ptr<void> place;  // what admit() has taken for it; given back with it
};

// Whom the sessions serve. Called on their thread only, and not after stop(); but a handle() that
// is under way then runs to its end, unless the executor does not. Must not throw.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;

  // Slow work belongs on another thread, awaited.
  virtual boost::asio::awaitable<HttpReply> handle(PlainRoute route) = 0;
  // GET of a target that is none of the routes; nullopt: 404. `target` as it came.
  virtual std::optional<HttpReply> page(std::string_view /*target*/) { return std::nullopt; }
  // The request is passed on to an upstream; this begins it, or says why not.
  virtual ForwardStart forward(ForwardCall call);
  // Before the handshake: no such stream, no room. nullopt lets it pass; on_upgrade follows unless
  // the connection is lost meanwhile, so what is reserved here belongs into `peer.place`, which the
  // connection holds until then.
  virtual std::optional<Refusal> admit(const SubscribeRequest& request, Peer& peer) = 0;
  // The handshake is done and the connection is the handler's.
  // `leftover`: what came behind the handshake, to be read before the channel.
  virtual void on_upgrade(Channel channel, SubscribeRequest request, Bytes leftover, Peer peer) = 0;
};

struct HttpStats {
  std::uint64_t open = 0;           // connections now
  std::uint64_t request_bytes = 0;  // held by them now
  std::uint64_t requests = 0;       // answered, upgrades included
  std::uint64_t upgrades = 0;
  std::uint64_t refused = 0;          // answered with 4xx or 5xx
  std::uint64_t timeouts = 0;         // closed for being slow
  std::uint64_t forwards = 0;         // passed on to an upstream, ever
  std::uint64_t forwards_failed = 0;  // of these: no answer, or not all of it
  std::uint64_t forwarded_bytes = 0;  // of the bodies of the answers
  std::uint64_t tls_failures = 0;     // handshakes of TLS that came to nothing, slow ones apart
};

// The HTTP connections of one network thread. All calls on that thread, which is the one that runs
// the executors of the sockets: no locks. Connections may outlive the object only as far as
// stop(), which its destructor calls, lets them: what is left of them touches no handler.
class HttpSessions {
 public:
  // `handler` must outlive this.
  HttpSessions(HttpHandler& handler, HttpOptions options);
  ~HttpSessions();
  HttpSessions(const HttpSessions&) = delete;
  HttpSessions& operator=(const HttpSessions&) = delete;

  // Takes an accepted connection and serves it until it is closed or has become a subscriber's.
  void serve(Channel channel);
  // Closes every connection and takes no more. Their coroutines end as the executor runs on.
  void stop();

  HttpStats stats() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  // shared with the coroutines of the connections
};

}  // namespace standpipe::replay
