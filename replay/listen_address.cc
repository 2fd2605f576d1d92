#include "replay/listen_address.h"

#include <fmt/format.h>

namespace standpipe::replay {

namespace asio = boost::asio;
using asio::ip::tcp;

Result<tcp::endpoint> parse_listen_address(std::string_view text) {
  const auto invalid = [&] {
    return Error{Errc::invalid, fmt::format("'{}' is not an address to listen at: wanted "
                                            "127.0.0.1:2480 or [::1]:2480, port 0 for any",
                                            text)};
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return invalid();
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return invalid();
  }
  unsigned port = 0;
  if (port_text.empty() || port_text.size() > 5) return invalid();
  for (const char c : port_text) {
    if (c < '0' || c > '9') return invalid();
    port = port * 10 + static_cast<unsigned>(c - '0');
  }
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(std::string(host), ec);
  if (ec || port > 65535) return invalid();
  return tcp::endpoint(address, static_cast<std::uint16_t>(port));
}

std::string to_text(const tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  if (endpoint.address().is_v6()) return fmt::format("[{}]:{}", host, endpoint.port());
  return fmt::format("{}:{}", host, endpoint.port());
}

}  // namespace standpipe::replay
