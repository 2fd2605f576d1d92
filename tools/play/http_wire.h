// As much of HTTP/1.1 and of the WebSocket handshake as a fixture needs, written apart from Beast,
// which it is used to check. Spec: RFC 9112; RFC 6455, 4. All functions are pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace standpipe::tools::play {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;  // in their order

// The value of the first of that name, in any case.
std::optional<std::string> find_header(const HttpHeaders& headers, std::string_view name);

inline constexpr std::size_t kHttpHeadBytesMax = 1024 * 1024;

struct HttpHead {
  std::string first_line;  // without its end
  HttpHeaders headers;     // values without spaces around them
};

// Where the first head in `text` ends: past its empty line; nullopt if it is not whole.
std::optional<std::size_t> http_head_end(std::string_view text);
// `text` up to that end. nullopt if it is not a head: a line without a colon, a bare CR or LF, a
// name with a space.
std::optional<HttpHead> parse_http_head(std::string_view text);

// "HTTP/1.1 404 Not Found" -> 404; 0 if it is anything else.
int status_of(std::string_view status_line);

bool equal_in_any_case(std::string_view a, std::string_view b);
// Whether a list like "keep-alive, Upgrade" has this token, in any case.
bool has_token(std::string_view list, std::string_view token);

// Sec-WebSocket-Accept for a Sec-WebSocket-Key.
std::string websocket_accept(std::string_view key);

// The first value of a query parameter, as it stands; nullopt if it is not there.
std::optional<std::string> query_parameter(std::string_view target, std::string_view name);

}  // namespace standpipe::tools::play
