// Retry-After, and the names of what ends a connection.

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "archiver/firehose/ws_client.h"
#include "schema/datetime.h"

namespace standpipe::firehose {
namespace {

constexpr std::int64_t kSecondsMax = 365LL * 24 * 3600;  // what exceeds it says nothing more
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// "Sun, 06 Nov 1994 08:49:37 GMT", the one form that is still to be sent (RFC 9110, 5.6.7).
std::optional<std::int64_t> parse_http_date(std::string_view text) {
  if (text.size() != 29 || text.substr(3, 2) != ", " || !text.ends_with(" GMT")) {
    return std::nullopt;
  }
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  if (month == kMonths.end()) return std::nullopt;
  const auto number = month - kMonths.begin() + 1;
  std::string iso(text.substr(12, 4));
  iso += number < 10 ? "-0" : "-";
  iso += std::to_string(number) + "-" + std::string(text.substr(5, 2)) + "T" +
         std::string(text.substr(17, 8)) + "Z";
  return parse_datetime_ms(iso);
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value,
                                                           std::int64_t now_ms) {
  while (value.ends_with(' ')) value.remove_suffix(1);
  const bool is_number = !value.empty() && std::all_of(value.begin(), value.end(),
                                                       [](char c) { return c >= '0' && c <= '9'; });
  if (is_number) {
    std::int64_t seconds = 0;
    const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (ec != std::errc()) seconds = kSecondsMax;
    return std::chrono::seconds(std::min(seconds, kSecondsMax));
  }
  const std::optional<std::int64_t> when_ms = parse_http_date(value);
  if (!when_ms) return std::nullopt;
  return std::chrono::milliseconds(
      std::clamp(*when_ms - now_ms, std::int64_t{0}, kSecondsMax * 1000));
}

std::string_view to_string(WsEndKind kind) {
  switch (kind) {
    case WsEndKind::resolve:
      return "resolve";
    case WsEndKind::connect:
      return "connect";
    case WsEndKind::tls:
      return "tls";
    case WsEndKind::http_status:
      return "http_status";
    case WsEndKind::redirect:
      return "redirect";
    case WsEndKind::redirect_loop:
      return "redirect_loop";
    case WsEndKind::timeout:
      return "timeout";
    case WsEndKind::idle:
      return "idle";
    case WsEndKind::closed:
      return "closed";
    case WsEndKind::lost:
      return "lost";
    case WsEndKind::protocol:
      return "protocol";
    case WsEndKind::handler:
      return "handler";
    case WsEndKind::stopped:
      return "stopped";
  }
  return "unknown";
}

}  // namespace standpipe::firehose
