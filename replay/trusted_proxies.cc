#include "replay/trusted_proxies.h"

#include <fmt/format.h>

#include <algorithm>

namespace standpipe::replay {
namespace {

namespace ip = boost::asio::ip;
using boost::system::error_code;

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

ip::address without_mapping(const ip::address& address) {
  if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
  return ip::make_address_v4(ip::v4_mapped, address.to_v6());
}

Result<void> TrustedProxies::add(std::string_view text) {
  const std::string given(text);
  const bool has_length = text.find('/') != std::string_view::npos;
  error_code ec;
  if (!has_length) {
    const ip::address address = ip::make_address(given, ec);
    if (!ec && address.is_v4()) {
      v4_.emplace_back(address.to_v4(), static_cast<unsigned short>(32));
      return {};
    }
    if (!ec) {
      v6_.emplace_back(address.to_v6(), static_cast<unsigned short>(128));
      return {};
    }
  } else {
    const ip::network_v4 v4 = ip::make_network_v4(given, ec);
    if (!ec) {
      v4_.push_back(v4.canonical());
      return {};
    }
    const ip::network_v6 v6 = ip::make_network_v6(given, ec);
    if (!ec) {
      v6_.push_back(v6.canonical());
      return {};
    }
  }
  return Error{Errc::invalid, fmt::format("'{}' is neither an address nor a network: wanted "
                                          "127.0.0.1, ::1, 10.0.0.0/8 or fd00::/8",
                                          text)};
}

bool TrustedProxies::contains(const ip::address& address) const {
  if (address.is_v4()) {
    const ip::address_v4 v4 = address.to_v4();
    return std::any_of(v4_.begin(), v4_.end(), [&](const ip::network_v4& network) {
      return ip::network_v4(v4, network.prefix_length()).canonical() == network.canonical();
    });
  }
  const ip::address_v6 v6 = address.to_v6();
  return std::any_of(v6_.begin(), v6_.end(), [&](const ip::network_v6& network) {
    return ip::network_v6(v6, network.prefix_length()).canonical() == network.canonical();
  });
}

ip::address TrustedProxies::origin(ip::address address, std::string_view forwarded_for) const {
  while (!forwarded_for.empty() && contains(address)) {
    const std::size_t comma = forwarded_for.rfind(',');
    const std::size_t begin = comma == std::string_view::npos ? 0 : comma + 1;
    const std::string last(trimmed(forwarded_for.substr(begin)));
    forwarded_for = forwarded_for.substr(0, begin == 0 ? 0 : comma);
    error_code ec;
    const ip::address told = ip::make_address(last, ec);
    if (ec) return address;
    address = without_mapping(told);
  }
  return address;
}

}  // namespace standpipe::replay
