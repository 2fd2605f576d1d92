// What a request asks for: from its head to a route, or to the refusal that answers it.
//
// Pure: no sockets, no archive. Whether a stream exists is judged by who serves it.
// Spec: RFC 9112, RFC 6455 4.2, atproto XRPC. All functions may be called from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "replay/reply.h"
#include "schema/frame_filter.h"
#include "schema/seq.h"
#include "storage/types.h"

namespace standpipe::replay {

inline constexpr std::size_t kGapsMax = 1000;  // gaps in one reply
inline constexpr std::chrono::seconds kProgressMax{3600};

// The parts of a request's head that matter. Fields that came more than once are joined with ", ".
struct RequestHead {
  std::string_view method;
  std::string_view target;  // as it came: "/xrpc/...?cursor=5"; absolute form is read as well
  bool is_http_1_1 = true;  // or above
  std::size_t hosts = 1;    // how many Host fields came
  std::string_view connection;
  std::string_view upgrade;
  std::string_view websocket_version;
  std::string_view websocket_key;
  std::string_view accept;
  std::string_view user_agent;
  std::string_view via;
  std::string_view preflight_method;   // Access-Control-Request-Method
  std::string_view preflight_headers;  // Access-Control-Request-Headers
};

// Parameters are percent-decoded; a `+` stands for itself. A parameter of one value that comes
// twice is refused; one whose value is empty is as if it had not come.
struct SubscribeRequest {
  std::string stream;  // empty: the first of its kind
  storage::StreamKind kind = storage::StreamKind::repos;
  std::optional<storage::EpochNumber> epoch;  // nullopt: the newest
  std::optional<std::int64_t> cursor;         // 0 .. 2^53-1, as sent: judge_cursor gives a position
  std::optional<std::int64_t> time_ms;        // never together with `cursor`
  std::optional<Seq> until;                   // inclusive, 0 .. 2^53-1; only with one of the two
  std::shared_ptr<const FrameFilter> filter;  // null: passes all
  std::optional<std::chrono::milliseconds> progress;  // only with a filter
};

struct GapsRequest {
  std::string stream;                         // never empty
  std::optional<storage::EpochNumber> epoch;  // nullopt: the newest
  Seq after = kSeqNone;                       // exclusive
  Seq before = next(kSeqMax);                 // exclusive, above `after`
  std::size_t limit = kGapsMax;               // 1 .. kGapsMax
};

struct HealthRequest {
  std::optional<double> max_lag_s;  // not negative
};

struct BannerRequest {
  bool wants_page = false;  // it is a browser that asks
};

using PlainRoute = std::variant<GapsRequest, HealthRequest, BannerRequest>;

// An endpoint of a host whose answer the upstream of a stream has, not the archive.
struct ForwardRequest {
  std::string stream;    // empty: the first of its kind, which is repos
  std::string nsid;      // one of forwarded_endpoints()
  std::string query;     // as it came, without the '?'; printable, without spaces
  bool is_post = false;  // a procedure
};

struct ForwardedEndpoint {
  std::string_view nsid;
  bool is_procedure = false;  // POST, else GET
};
// Spec: protocol.md 7.3: what rainbow proxies to its relay.
std::span<const ForwardedEndpoint> forwarded_endpoints();

using Route = std::variant<SubscribeRequest, PlainRoute, ForwardRequest, Preflight, Refusal>;

Route route(const RequestHead& head);

// Whether `token` is one of a comma-separated list, in any case. Spec: RFC 9110 5.6.1.
bool has_token(std::string_view list, std::string_view token);

}  // namespace standpipe::replay
