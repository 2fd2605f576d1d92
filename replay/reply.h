// What a request gets: a reply, or the refusal that it is turned down with. Plain values; any
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace standpipe::replay {

class Forward;
class StatusBoard;

// Names a relay, or one that speaks for it, in Server, Via and User-Agent.
inline constexpr std::string_view kRelayToken = "atproto-relay";

// "standpipe/0.1.0 (atproto-relay)". The token keeps relays from crawling us as if we were a PDS.
std::string server_header(std::string_view version);

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// A request that is turned down: the body is {"error": error, "message": message}.
struct Refusal {
  int status = 400;
  HttpHeaders headers;
  std::string error;    // XRPC name: "InvalidRequest"
  std::string message;  // for people
};

struct HttpReply {
  int status = 200;
  std::string content_type = "application/json";
  HttpHeaders headers;  // besides those that every reply has
  std::string body;
  // In place of a body: its events, for as long as the peer takes them and holds `place`.
  std::shared_ptr<const StatusBoard> events = nullptr;
  std::shared_ptr<void> place = nullptr;
  // In place of a body: what the upstream goes on to send, `forward_bytes` in all where it says so.
  std::shared_ptr<Forward> forward = nullptr;
  std::optional<std::uint64_t> forward_bytes = std::nullopt;
};
HttpReply reply_of(const Refusal& refusal);

// What a browser asks before it sends a request from another origin. Spec: Fetch, CORS-preflight.
struct Preflight {
  std::string headers;  // that the request will have; a list of names, or empty
};
HttpReply reply_of(const Preflight& preflight);

}  // namespace standpipe::replay
