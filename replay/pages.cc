#include "replay/pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "schema/datetime.h"

namespace standpipe::replay {

std::string_view subscribe_path(storage::StreamKind kind) {
  return kind == storage::StreamKind::repos ? "/xrpc/com.atproto.sync.subscribeRepos"
                                            : "/xrpc/com.atproto.label.subscribeLabels";
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
