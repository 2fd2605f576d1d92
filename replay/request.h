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
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "schema/frame_filter.h"
#include "schema/seq.h"
#include "storage/types.h"

namespace standpipe::replay {

class StatusBoard;

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
};

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
};
HttpReply reply_of(const Refusal& refusal);

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
using Route = std::variant<SubscribeRequest, PlainRoute, Refusal>;

Route route(const RequestHead& head);

// Whether `token` is one of a comma-separated list, in any case. Spec: RFC 9110 5.6.1.
bool has_token(std::string_view list, std::string_view token);

}  // namespace standpipe::replay
