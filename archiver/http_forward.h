// A request of somebody else's, asked of an upstream in their name: the answer as it comes,
// whatever it says.
//
// What is asked, and of whom, is settled here: the host is the stream's own, and the path is that
// of its stream with another endpoint at its end. Redirects are not followed. Free of storage/.
// Spec: protocol.md 7.3.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "archiver/firehose/upstream_url.h"
#include "archiver/firehose/ws_client.h"
#include "schema/base/result.h"

namespace standpipe::archiver {

struct HttpForwardOptions {
  // For the upstream to begin its answer (name, TCP, TLS and asking included), and for it to go on
  // with it after each piece.
  std::chrono::milliseconds step_timeout{10'000};
  std::chrono::milliseconds whole_timeout{600'000};  // for the whole answer, the peer's pauses too
  std::uint64_t body_bytes_max = std::uint64_t{1} << 30;
  std::string user_agent = "standpipe";  // of who does not say; the program adds its version
  std::string tls_ca_file;               // PEM; trusted besides what the system trusts
  firehose::ResolveHost resolve;         // a seam; empty: getaddrinfo
};

using HttpFields = std::vector<std::pair<std::string, std::string>>;

struct HttpForwardRequest {
  bool is_post = false;
  std::string nsid;
  std::string query;  // without the '?'; no spaces, no control characters
  HttpFields fields;  // Accept, User-Agent, Authorization, Via, Content-Type, each once at most
  std::string body;
};

struct HttpForwardHead {
  int status = 0;  // 200 .. 999
  // Content-Type, Content-Encoding, Location and Retry-After, if they came.
  HttpFields fields;
  std::optional<std::uint64_t> body_bytes;  // nullopt: not said
};

// One exchange, over a connection of its own. On the thread of its executor; may go at any time
// when no call is under way.
class HttpForward {
 public:
  ~HttpForward();
  HttpForward(const HttpForward&) = delete;
  HttpForward& operator=(const HttpForward&) = delete;

  // Once. io: no answer, and why; limit: it would be too large; closed: cancel().
  boost::asio::awaitable<Result<HttpForwardHead>> begin();
  // After begin(): the next piece of the body, up to 64 KiB; empty: that was all. Nothing is read
  // ahead of it. Errors as above; io also where the answer ends too soon.
  boost::asio::awaitable<Result<std::string>> more();
  void cancel();  // what is under way ends, and all that would follow

 private:
  friend class HttpForwarder;
  class Impl;
  explicit HttpForward(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What forwards share. Any thread.
class HttpForwarder {
 public:
  // io: the certificates cannot be read.
  static Result<std::shared_ptr<const HttpForwarder>> make(HttpForwardOptions options);
  ~HttpForwarder();
  HttpForwarder(const HttpForwarder&) = delete;
  HttpForwarder& operator=(const HttpForwarder&) = delete;

  // `upstream`: of a stream. `place` is let go of with the last thing that is left of the exchange:
  // a lookup of the host's name may go on for half a minute after the forward has gone.
  static std::unique_ptr<HttpForward> forward(std::shared_ptr<const HttpForwarder> self,
                                              const boost::asio::any_io_executor& executor,
                                              firehose::UpstreamUrl upstream,
                                              HttpForwardRequest request,
                                              std::shared_ptr<void> place);

 private:
  friend class HttpForward;
  struct Shared;
  explicit HttpForwarder(std::unique_ptr<Shared> shared);
  std::unique_ptr<Shared> shared_;
};

}  // namespace standpipe::archiver
