#include "replay/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <map>
#include <span>
#include <system_error>
#include <type_traits>

#include "schema/ascii.h"
#include "schema/base/result.h"
#include "schema/datetime.h"
#include "schema/ids.h"

namespace standpipe::replay {
namespace {

constexpr std::string_view kSubscribeRepos = "com.atproto.sync.subscribeRepos";
constexpr std::string_view kSubscribeLabels = "com.atproto.label.subscribeLabels";
constexpr std::size_t kSegmentsMax = 8;  // of a path; the longest that we know has six
constexpr std::size_t kStreamNameBytesMax = 64;
constexpr std::size_t kForwardedQueryBytesMax = 8 << 10;
constexpr std::size_t kPreflightHeadersBytesMax = 4 << 10;
constexpr std::int64_t kMaxLagSecondsMax = 1'000'000'000;

Error invalid(std::string text) { return Error{Errc::invalid, std::move(text)}; }

Refusal refusal(int status, std::string error, std::string message, HttpHeaders headers = {}) {
  return Refusal{status, std::move(headers), std::move(error), std::move(message)};
}
Refusal bad_request(std::string message) {
  return refusal(400, "InvalidRequest", std::move(message));
}
Refusal not_found(std::string message) { return refusal(404, "NotFound", std::move(message)); }

bool equal_in_any_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return to_ascii_lower(x) == to_ascii_lower(y); });
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Takes what comes before the next `separator` off the front of `rest`, and the separator with it.
std::string_view take_until(std::string_view& rest, char separator) {
  const std::size_t size = std::min(rest.find(separator), rest.size());
  const std::string_view taken = rest.substr(0, size);
  rest.remove_prefix(std::min(size + 1, rest.size()));
  return taken;
}

// -- Targets --------------------------------------------------------------------------------------

int hex_digit(char c) {
  if (is_ascii_digit(c)) return c - '0';
  const char lower = to_ascii_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// nullopt where a % is not followed by two hex digits. A `+` is a `+`: nothing that can be asked
// for holds a space, but a datetime may hold a `+`.
std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return decoded;
}

struct Target {
  std::vector<std::string> path;  // decoded segments; one empty one for "/"
  std::string_view query;
};

// Spec: RFC 9112 3.2: origin form, or absolute form, whose authority says nothing to us.
Result<Target> parse_target(std::string_view text) {
  const std::string_view whole = text;
  if (const std::size_t scheme = text.find("://");
      scheme != std::string_view::npos && !text.starts_with('/') && scheme < text.find('?')) {
    text.remove_prefix(scheme + 3);
    text.remove_prefix(std::min(text.find_first_of("/?"), text.size()));
    if (text.empty() || text.front() == '?') {
      Target root{{""}, text};
      if (!root.query.empty()) root.query.remove_prefix(1);
      return root;
    }
  }
  if (!text.starts_with('/')) {
    return invalid(fmt::format("not a path: {}", quoted_for_error(whole)));
  }
  text.remove_prefix(1);
  Target target;
  std::string_view path = take_until(text, '?');
  target.query = text;
  do {
    const bool is_last = path.find('/') == std::string_view::npos;
    auto segment = percent_decode(take_until(path, '/'));
    if (!segment) {
      return invalid("the path holds a % that two hexadecimal digits do not follow");
    }
    target.path.push_back(std::move(*segment));
    if (is_last) return target;
  } while (target.path.size() < kSegmentsMax);
  return target;  // cut off: no path that we know has as many
}

// Whether a list of media types has this one. Weights are not looked at: who names it takes it.
bool has_media_type(std::string_view accept, std::string_view type) {
  while (!accept.empty()) {
    std::string_view one = take_until(accept, ',');
    one = take_until(one, ';');
    while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
    while (!one.empty() && one.back() == ' ') one.remove_suffix(1);
    if (std::equal(one.begin(), one.end(), type.begin(), type.end(),
                   [](char a, char b) { return to_ascii_lower(a) == b; })) {
      return true;
    }
  }
  return false;
}

// -- Parameters -----------------------------------------------------------------------------------

// The parameters that a route knows, decoded; all others are passed over.
class Query {
 public:
  // `lists`: those that may come any number of times.
  static Result<Query> parse(std::string_view text, std::initializer_list<std::string_view> singles,
                             std::initializer_list<std::string_view> lists = {}) {
    Query query;
    for (const std::string_view name : singles) query.values_[std::string(name)];
    for (const std::string_view name : lists) query.values_[std::string(name)];
    while (!text.empty()) {
      std::string_view value = take_until(text, '&');
      const std::optional<std::string> name = percent_decode(take_until(value, '='));
      const auto known = name ? query.values_.find(*name) : query.values_.end();
      if (known == query.values_.end()) continue;
      auto decoded = percent_decode(value);
      if (!decoded) {
        return invalid(
            fmt::format("{} holds a % that two hexadecimal digits do not follow", *name));
      }
      known->second.push_back(std::move(*decoded));
      const bool is_single = std::find(singles.begin(), singles.end(), *name) != singles.end();
      if (is_single && known->second.size() > 1) {
        return invalid(fmt::format("{} may come once only", *name));
      }
    }
    return query;
  }

  // nullptr where it has not come or is empty.
  const std::string* find(std::string_view name) const {
    const std::vector<std::string>& values = list(name);
    return values.empty() || values.front().empty() ? nullptr : &values.front();
  }
  const std::vector<std::string>& list(std::string_view name) const {
    return values_.find(name)->second;
  }

  // A whole number from `min` to `max`, both inclusive.
  Result<std::optional<std::int64_t>> number(std::string_view name, std::int64_t min,
                                             std::int64_t max) const {
    const std::string* text = find(name);
    if (text == nullptr) return std::optional<std::int64_t>();
    std::int64_t value = 0;
    const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), value);
    const bool is_number = is_ascii_digit(text->front()) && end == text->data() + text->size();
    if (!is_number || ec != std::errc() || value < min || value > max) {
      return invalid(fmt::format("{} must be a whole number from {} to {}, not {}", name, min, max,
                                 quoted_for_error(*text)));
    }
    return std::optional<std::int64_t>(value);
  }

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

Result<std::optional<std::int64_t>> parse_time(const Query& query) {
  const std::string* text = query.find("time");
  if (text == nullptr) return std::optional<std::int64_t>();
  std::string datetime = *text;
  // Who encodes as HTML forms do writes the + of a zone as a space, and the space as %20.
  if (datetime.size() > 6 && datetime[datetime.size() - 6] == ' ') {
    datetime[datetime.size() - 6] = '+';
  }
  const std::optional<std::int64_t> ms = parse_datetime_ms(datetime);
  if (!ms) {
    return invalid(
        fmt::format("time must be a datetime as in 2026-01-02T03:04:05Z (RFC 3339), "
                    "not {}",
                    quoted_for_error(*text)));
  }
  return ms;
}

Result<std::shared_ptr<const FrameFilter>> parse_filter(const Query& query) {
  FrameFilter::Wanted wanted{query.list("wantedDids"), query.list("wantedCollections")};
  if (wanted.dids.empty() && wanted.collections.empty()) {
    return std::shared_ptr<const FrameFilter>();
  }
  auto filter = FrameFilter::compile(wanted);
  if (!filter) {
    return invalid(fmt::format("wantedDids, wantedCollections: {}", filter.error().detail));
  }
  return std::shared_ptr<const FrameFilter>(
      std::make_shared<const FrameFilter>(std::move(*filter)));
}

Result<SubscribeRequest> parse_subscribe(SubscribeRequest request, std::string_view text) {
  STANDPIPE_TRY(const Query query, Query::parse(text, {"cursor", "time", "until", "progress"},
                                                {"wantedDids", "wantedCollections"}));
  STANDPIPE_TRY(request.cursor, query.number("cursor", 0, to_int(kSeqMax)));
  STANDPIPE_TRY(request.time_ms, parse_time(query));
  if (request.cursor && request.time_ms) {
    return invalid("cursor and time exclude one another: give the one to start from");
  }
  STANDPIPE_TRY(const std::optional<std::int64_t> until, query.number("until", 0, to_int(kSeqMax)));
  if (until) {
    if (!request.cursor && !request.time_ms) return invalid("until needs cursor or time");
    request.until = Seq{*until};
  }
  STANDPIPE_TRY(request.filter, parse_filter(query));
  STANDPIPE_TRY(const std::optional<std::int64_t> progress,
                query.number("progress", 1, kProgressMax.count()));
  if (progress) {
    if (request.filter == nullptr) {
      return invalid(
          "progress needs wantedDids or wantedCollections: without a filter, every "
          "frame moves the cursor");
    }
    request.progress = std::chrono::seconds(*progress);
  }
  return request;
}

Result<GapsRequest> parse_gaps(GapsRequest request, std::string_view text) {
  STANDPIPE_TRY(const Query query, Query::parse(text, {"after", "before", "limit"}));
  STANDPIPE_TRY(const auto after, query.number("after", 0, to_int(kSeqMax)));
  STANDPIPE_TRY(const auto before, query.number("before", 1, to_int(kSeqMax)));
  STANDPIPE_TRY(const auto limit, query.number("limit", 1, static_cast<std::int64_t>(kGapsMax)));
  if (after) request.after = Seq{*after};
  if (before) request.before = Seq{*before};
  if (limit) request.limit = static_cast<std::size_t>(*limit);
  if (request.after >= request.before) return invalid("after must be below before");
  return request;
}

Result<HealthRequest> parse_health(std::string_view text) {
  STANDPIPE_TRY(const Query query, Query::parse(text, {"max_lag"}));
  HealthRequest request;
  if (const std::string* seconds = query.find("max_lag")) {
    double value = 0;
    const char* const end = seconds->data() + seconds->size();
    const auto [stop, ec] = std::from_chars(seconds->data(), end, value, std::chars_format::fixed);
    if (ec != std::errc() || stop != end || !is_ascii_digit(seconds->front()) ||
        value > static_cast<double>(kMaxLagSecondsMax)) {
      return invalid(fmt::format("max_lag must be a number of seconds from 0 to {}, not {}",
                                 kMaxLagSecondsMax, quoted_for_error(*seconds)));
    }
    request.max_lag_s = value;
  }
  return request;
}

// -- Routes ---------------------------------------------------------------------------------------

// As storage names streams; another name names none.
bool is_stream_name(std::string_view name) {
  return !name.empty() && name.size() <= kStreamNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return is_ascii_lower(c) || is_ascii_digit(c) || c == '.' || c == '_' || c == '-';
         });
}

std::optional<storage::EpochNumber> parse_epoch(std::string_view text) {
  std::uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, ec] = std::from_chars(text.data(), end, number);
  if (ec != std::errc() || stop != end || number == 0) return std::nullopt;
  return storage::EpochNumber{number};
}

bool is_websocket_key(std::string_view key) {
  return key.size() == 24 && key.ends_with("==") &&
         std::all_of(key.begin(), key.end() - 2,
                     [](char c) { return is_ascii_alphanumeric(c) || c == '+' || c == '/'; });
}

std::optional<Refusal> judge_handshake(const RequestHead& head) {
  HttpHeaders headers{{"Upgrade", "websocket"}, {"Connection", "Upgrade"}};
  if (!head.is_http_1_1 || !has_token(head.connection, "upgrade") ||
      !has_token(head.upgrade, "websocket")) {
    return refusal(426, "UpgradeRequired",
                   "this is a stream: open it as a WebSocket, with Upgrade: websocket",
                   std::move(headers));
  }
  if (trim(head.websocket_version) != "13") {
    headers.emplace_back("Sec-WebSocket-Version", "13");
    return refusal(426, "UpgradeRequired", "Sec-WebSocket-Version must be 13", std::move(headers));
  }
  if (!is_websocket_key(trim(head.websocket_key))) {
    return bad_request("Sec-WebSocket-Key must be the base64 of 16 bytes");
  }
  return std::nullopt;
}

template <typename T>
Route route_of(Result<T> request) {
  if (!request) return bad_request(request.error().detail);
  if constexpr (std::is_same_v<T, SubscribeRequest>) {
    return std::move(*request);
  } else {
    return PlainRoute(std::move(*request));
  }
}

Route route_subscribe(const RequestHead& head, std::string_view nsid, SubscribeRequest request,
                      std::string_view query) {
  if (nsid == kSubscribeRepos) {
    request.kind = storage::StreamKind::repos;
  } else if (nsid == kSubscribeLabels) {
    request.kind = storage::StreamKind::labels;
  } else {
    return not_found(fmt::format("{} is not served here; {} and {} are", quoted_for_error(nsid),
                                 kSubscribeRepos, kSubscribeLabels));
  }
  if (auto refused = judge_handshake(head)) return std::move(*refused);
  return route_of(parse_subscribe(std::move(request), query));
}

Refusal only(std::string_view method) {
  return refusal(405, "MethodNotAllowed", fmt::format("only {} is served here", method),
                 {{"Allow", std::string(method)}});
}

// -- What is passed on ----------------------------------------------------------------------------

constexpr ForwardedEndpoint kForwarded[] = {
    {"com.atproto.sync.getRepo"},
    {"com.atproto.sync.getRepoStatus"},
    {"com.atproto.sync.getLatestCommit"},
    {"com.atproto.sync.listRepos"},
    {"com.atproto.sync.listHosts"},
    {"com.atproto.sync.getHostStatus"},
    {"com.atproto.sync.requestCrawl", /*is_procedure=*/true}};

const ForwardedEndpoint* find_forwarded(std::string_view nsid) {
  const auto* const found =
      std::find_if(std::begin(kForwarded), std::end(kForwarded),
                   [&](const ForwardedEndpoint& endpoint) { return endpoint.nsid == nsid; });
  return found == std::end(kForwarded) ? nullptr : found;
}

Route route_forward(const RequestHead& head, const ForwardedEndpoint& endpoint, std::string stream,
                    std::string_view query) {
  const std::string_view method = endpoint.is_procedure ? "POST" : "GET";
  if (head.method != method) return only(method);
  // Who names a relay has been passed on already, or is one: it might be the very upstream that we
  // would ask.
  if (head.via.find(kRelayToken) != std::string_view::npos ||
      head.user_agent.find(kRelayToken) != std::string_view::npos) {
    return refusal(508, "LoopDetected",
                   fmt::format("{} is not passed on for a relay (Via or User-Agent says {}): ask "
                               "the upstream itself",
                               endpoint.nsid, kRelayToken));
  }
  if (query.size() > kForwardedQueryBytesMax) {
    return refusal(
        414, "URITooLong",
        fmt::format("a query of at most {} bytes is passed on", kForwardedQueryBytesMax));
  }
  const bool is_printable = std::all_of(query.begin(), query.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > ' ' && byte < 0x7F;
  });
  if (!is_printable) return bad_request("the query must be percent-encoded");
  ForwardRequest request;
  request.stream = std::move(stream);
  request.nsid = endpoint.nsid;
  request.query = query;
  request.is_post = endpoint.is_procedure;
  return request;
}

// -- Paths ----------------------------------------------------------------------------------------

// What stands in front of a path: /stream/NAME and perhaps /epoch/N. Taken off it.
std::optional<Refusal> take_stream(std::span<const std::string>& path, SubscribeRequest& request) {
  if (path.size() < 3 || path[0] != "stream") return std::nullopt;
  request.stream = path[1];
  if (!is_stream_name(request.stream)) {
    return not_found(fmt::format("no such stream: {}", quoted_for_error(request.stream)));
  }
  path = path.subspan(2);
  if (path.size() < 3 || path[0] != "epoch") return std::nullopt;
  request.epoch = parse_epoch(path[1]);
  if (!request.epoch) {
    return not_found(fmt::format("no such epoch: {}", quoted_for_error(path[1])));
  }
  path = path.subspan(2);
  return std::nullopt;
}

}  // namespace

bool has_token(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    if (equal_in_any_case(trim(take_until(list, ',')), token)) return true;
  }
  return false;
}

std::span<const ForwardedEndpoint> forwarded_endpoints() { return kForwarded; }

Route route(const RequestHead& head) {
  if (head.method == "OPTIONS" && !head.preflight_method.empty()) {
    const bool is_list =
        head.preflight_headers.size() <= kPreflightHeadersBytesMax &&
        std::all_of(head.preflight_headers.begin(), head.preflight_headers.end(), [](char c) {
          return is_ascii_alphanumeric(c) || c == '-' || c == '_' || c == ',' || c == ' ';
        });
    return Preflight{std::string(is_list ? head.preflight_headers : std::string_view())};
  }
  const bool is_get = head.method == "GET";
  if (!is_get && head.method != "POST") return only("GET");
  auto target = parse_target(head.target);
  if (!target) return is_get ? bad_request(target.error().detail) : only("GET");

  std::span<const std::string> path = target->path;
  SubscribeRequest subscribe;
  std::optional<Refusal> refused = take_stream(path, subscribe);
  const bool is_xrpc = !refused && path.size() == 2 && path[0] == "xrpc";
  const ForwardedEndpoint* const forwarded =
      is_xrpc && !subscribe.epoch ? find_forwarded(path[1]) : nullptr;
  if (!is_get && forwarded == nullptr) return only("GET");
  if (head.hosts > 1 || (head.is_http_1_1 && head.hosts == 0)) {
    return bad_request("a request must have one Host");  // Spec: RFC 9112 3.2
  }
  if (refused) return std::move(*refused);
  if (forwarded != nullptr) {
    return route_forward(head, *forwarded, std::move(subscribe.stream), target->query);
  }
  if (!subscribe.stream.empty()) {
    if (path.size() == 1 && path[0] == "gaps") {
      GapsRequest gaps;
      gaps.stream = std::move(subscribe.stream);
      gaps.epoch = subscribe.epoch;
      return route_of(parse_gaps(std::move(gaps), target->query));
    }
  } else if (path.size() == 1 && path[0].empty()) {
    return PlainRoute(BannerRequest{has_media_type(head.accept, "text/html")});
  } else if (path.back() == "_health" &&
             (path.size() == 1 || (path.size() == 2 && path[0] == "xrpc"))) {
    return route_of(parse_health(target->query));
  }
  if (is_xrpc) return route_subscribe(head, path[1], std::move(subscribe), target->query);
  return not_found(fmt::format("nothing is at {}; see /", quoted_for_error(head.target)));
}

}  // namespace standpipe::replay
