// Targets of requests: what is routed keeps to the ranges that it is said to have, and to encode
// more of a target than is needed changes nothing.
// Input: a target, "/xrpc/com.atproto.sync.subscribeRepos?cursor=5".
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>

#include "replay/request.h"
#include "schema/base/assert.h"

namespace standpipe::replay {
namespace {

RequestHead head_of(std::string_view target) {
  RequestHead head;
  head.method = "GET";
  head.target = target;
  head.connection = "Upgrade";
  head.upgrade = "websocket";
  head.websocket_version = "13";
  head.websocket_key = "dGhlIHNhbXBsZSBub25jZQ==";
  return head;
}

std::string text_of(std::optional<std::int64_t> number) {
  return number ? fmt::format("{}", *number) : "-";
}

std::string text_of(std::optional<storage::EpochNumber> epoch) {
  return epoch ? fmt::format("{}", to_int(*epoch)) : "-";
}

// Each checks what it is given and puts it in words.
struct Judge {
  std::string operator()(const SubscribeRequest& request) const {
    STANDPIPE_ASSERT(!request.cursor || (*request.cursor >= 0 && *request.cursor < (1LL << 53)),
                     "a cursor out of range");
    STANDPIPE_ASSERT(!(request.cursor && request.time_ms), "a cursor and a time");
    STANDPIPE_ASSERT(!request.until || request.cursor || request.time_ms, "until without a start");
    STANDPIPE_ASSERT(!request.until || (*request.until >= Seq{0} && *request.until <= kSeqMax),
                     "until out of range");
    STANDPIPE_ASSERT(!request.progress || request.filter, "progress without a filter");
    STANDPIPE_ASSERT(!request.filter || !request.filter->passes_all(), "a filter of nothing");
    std::optional<std::int64_t> until;
    if (request.until) until = to_int(*request.until);
    return fmt::format("{} {} {} {} {} {} {} {}", request.stream, to_string(request.kind),
                       text_of(request.epoch), text_of(request.cursor), text_of(request.time_ms),
                       text_of(until), request.filter != nullptr,
                       request.progress ? request.progress->count() : 0);
  }
  std::string operator()(const GapsRequest& request) const {
    STANDPIPE_ASSERT(!request.stream.empty() && request.stream.size() <= 64, "no stream's name");
    STANDPIPE_ASSERT(request.after >= kSeqNone && request.after < request.before, "no range");
    STANDPIPE_ASSERT(request.limit >= 1 && request.limit <= kGapsMax, "a limit out of range");
    return fmt::format("gaps {} {} {} {} {}", request.stream, text_of(request.epoch),
                       to_int(request.after), to_int(request.before), request.limit);
  }
  std::string operator()(const HealthRequest& request) const {
    STANDPIPE_ASSERT(!request.max_lag_s || (*request.max_lag_s >= 0 && *request.max_lag_s <= 1e9),
                     "a lag out of range");
    return fmt::format("health {}", request.max_lag_s.value_or(-1));
  }
  std::string operator()(const BannerRequest&) const { return "banner"; }
  std::string operator()(const PlainRoute& plain) const { return std::visit(*this, plain); }
  std::string operator()(const ForwardRequest& request) const {
    const auto known = forwarded_endpoints();
    STANDPIPE_ASSERT(std::any_of(known.begin(), known.end(),
                                 [&](const ForwardedEndpoint& endpoint) {
                                   return endpoint.nsid == request.nsid && !endpoint.is_procedure;
                                 }),
                     "another endpoint is passed on");
    STANDPIPE_ASSERT(std::all_of(request.query.begin(), request.query.end(),
                                 [](char c) { return c > ' ' && c < 0x7F; }),
                     "a query that is no part of a request line");
    return fmt::format("forward {} {}", request.stream, request.nsid);
  }
  std::string operator()(const Preflight&) const { return "preflight"; }
  std::string operator()(const Refusal& refusal) const {
    STANDPIPE_ASSERT(refusal.status == 400 || refusal.status == 404 || refusal.status == 405 ||
                         refusal.status == 414,
                     "no such refusal");
    const HttpReply reply = reply_of(refusal);
    STANDPIPE_ASSERT(nlohmann::json::accept(reply.body), "a refusal that is not JSON");
    STANDPIPE_ASSERT(reply.body.size() < 1000, "a refusal as long as the request");
    return fmt::format("{}", refusal.status);
  }
};

bool has_meaning(char c) { return c == '/' || c == '?' || c == '&' || c == '=' || c == '%'; }

std::string encoded(std::string_view target) {
  std::string text;
  for (const char c : target) {
    if (has_meaning(c)) {
      text.push_back(c);
    } else {
      text += fmt::format("%{:02x}", static_cast<unsigned char>(c));
    }
  }
  return text;
}

// What stands behind a % is part of its escape and may not be encoded.
bool has_escapes(std::string_view target) { return target.find('%') != std::string_view::npos; }

void check(std::string_view target) {
  const std::string judged = std::visit(Judge(), route(head_of(target)));
  // A plain request is refused where a stream is, and routed as before elsewhere.
  RequestHead plain;
  plain.method = "GET";
  plain.target = target;
  const Route wanted = route(plain);
  STANDPIPE_ASSERT(!std::holds_alternative<SubscribeRequest>(wanted), "a stream in plain HTTP");
  if (const auto* served = std::get_if<PlainRoute>(&wanted)) {
    STANDPIPE_ASSERT(Judge()(*served) == judged, "an upgrade changes a plain route");
  }
  if (!target.starts_with('/') || has_escapes(target)) return;
  const std::string again = std::visit(Judge(), route(head_of(encoded(target))));
  // Of what is passed on the query is taken as it came, or refused.
  if (judged.starts_with("forward ") || again.starts_with("forward ")) return;
  STANDPIPE_ASSERT(again == judged, judged + " is, encoded, " + again);
}

}  // namespace
}  // namespace standpipe::replay

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  standpipe::replay::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
