#include "replay/reply.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace standpipe::replay {

std::string server_header(std::string_view version) {
  return fmt::format("standpipe/{} ({})", version, kRelayToken);
}

HttpReply reply_of(const Refusal& refusal) {
  HttpReply reply;
  reply.status = refusal.status;
  reply.headers = refusal.headers;
  // Whatever the message quotes, the reply is JSON.
  const nlohmann::json body{{"error", refusal.error}, {"message", refusal.message}};
  reply.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return reply;
}

HttpReply reply_of(const Preflight& preflight) {
  HttpReply reply;
  reply.status = 204;
  reply.headers = {{"Access-Control-Allow-Methods", "GET, POST"},
                   {"Access-Control-Max-Age", "86400"},
                   {"Vary", "Access-Control-Request-Headers"}};
  // By name: an asterisk would not stand for Authorization.
  if (!preflight.headers.empty()) {
    reply.headers.emplace_back("Access-Control-Allow-Headers", preflight.headers);
  }
  return reply;
}

}  // namespace standpipe::replay
