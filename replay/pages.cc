#include "replay/pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "replay/page/status_page.h"
#include "schema/datetime.h"
#include "schema/hash.h"
#include "schema/multibase.h"

namespace standpipe::replay {

std::string_view subscribe_path(storage::StreamKind kind) {
  return kind == storage::StreamKind::repos ? "/xrpc/com.atproto.sync.subscribeRepos"
                                            : "/xrpc/com.atproto.label.subscribeLabels";
}

namespace {

// The source of what stands between the tags, as a policy of content names it. Spec: CSP 3, 2.3.1.
std::string source_of(std::string_view page, std::string_view tag) {
  const std::string begin = fmt::format("<{}>", tag);
  const std::size_t from = page.find(begin) + begin.size();
  const std::size_t to = page.find(fmt::format("</{}>", tag), from);
  const Sha256Digest digest = sha256(as_bytes(page.substr(from, to - from)));
  return fmt::format("'sha256-{}='", to_base64(digest));  // 32 bytes are padded by one
}

}  // namespace

HttpReply status_page_reply() {
  static const std::string policy = fmt::format(
      "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; base-uri 'none'; "
      "form-action 'none'; frame-ancestors 'none'",
      source_of(kStatusPage, "script"), source_of(kStatusPage, "style"));
  HttpReply reply;
  reply.content_type = "text/html; charset=utf-8";
  reply.headers = {{"Content-Security-Policy", policy},
                   {"X-Content-Type-Options", "nosniff"},
                   {"Referrer-Policy", "no-referrer"},
                   {"Cache-Control", "no-cache"},
                   {"Vary", "Accept"}};
  reply.body = kStatusPage;
  return reply;
}

HttpReply status_events_reply(const std::shared_ptr<StatusBoard>& board) {
  std::shared_ptr<void> place = board->take_place();
  if (place == nullptr) {
    return reply_of({503,
                     {{"Retry-After", "30"}},
                     "ServiceUnavailable",
                     fmt::format("{} look at this page already", StatusBoard::kViewersMax)});
  }
  HttpReply reply;
  reply.content_type = "text/event-stream";
  reply.headers.emplace_back("Cache-Control", "no-store");
  reply.events = board;
  reply.place = std::move(place);
  return reply;
}

HttpReply banner_reply(std::string_view version, std::span<const ServedStream> streams) {
  std::string text = fmt::format(
      "standpipe {}\n"
      "\n"
      "An archive of atproto event streams. Each is served from any cursor: open its path as a\n"
      "WebSocket. No cursor is live, ?cursor=0 is the oldest frame, ?cursor=N what follows N.\n"
      "\n",
      version);
  for (const ServedStream& stream : streams) {
    const std::string_view path = subscribe_path(stream.kind);
    const auto first = std::find_if(streams.begin(), streams.end(), [&](const ServedStream& other) {
      return other.kind == stream.kind;
    });
    text += fmt::format("{} ({})\n", stream.name, storage::to_string(stream.kind));
    if (&*first == &stream) text += fmt::format("  {}\n", path);
    text += fmt::format("  /stream/{}{}\n  /stream/{}/gaps\n", stream.name, path, stream.name);
  }
  if (streams.empty()) text += "No stream yet.\n";
  text += "\nHealth: /xrpc/_health\n";
  HttpReply reply;
  reply.content_type = "text/plain; charset=utf-8";
  reply.headers.emplace_back("Vary", "Accept");
  reply.body = std::move(text);
  return reply;
}

HttpReply gaps_reply(std::string_view stream, storage::EpochNumber epoch,
                     std::span<const storage::Gap> gaps, std::size_t limit) {
  nlohmann::ordered_json body{{"stream", stream},
                              {"epoch", to_int(epoch)},
                              {"gaps", nlohmann::ordered_json::array()},
                              {"more", gaps.size() > limit}};
  for (const storage::Gap& gap : gaps.first(std::min(gaps.size(), limit))) {
    body["gaps"].push_back({{"after", to_int(gap.after)},
                            {"before", to_int(gap.before)},
                            {"reason", storage::to_string(gap.reason)},
                            {"recorded_at", format_datetime_ms(gap.recorded_ms)},
                            {"detail", gap.detail}});
  }
  HttpReply reply;
  reply.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return reply;
}

}  // namespace standpipe::replay
