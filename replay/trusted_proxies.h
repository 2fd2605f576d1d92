// Proxies whose word counts on whom they speak for. Spec: the X-Forwarded-For field, as nginx,
// caddy and haproxy send it.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.h"

namespace standpipe::replay {

// IPv4 as such, also where it comes through an IPv6 listener or is written as IPv6.
boost::asio::ip::address without_mapping(const boost::asio::ip::address& address);

class TrustedProxies {
 public:
  // "127.0.0.1", "::1", "10.0.0.0/8", "fd00::/8". invalid: none of these.
  Result<void> add(std::string_view text);

  bool contains(const boost::asio::ip::address& address) const;

  // Whom a request comes from: the connection's own `address`, or where that is a proxy of ours the
  // last of `forwarded_for` ("client, proxy, proxy") that is none. What is no address ends the
  // search: what stands before it was written by anybody.
  boost::asio::ip::address origin(boost::asio::ip::address address,
                                  std::string_view forwarded_for) const;

 private:
  std::vector<boost::asio::ip::network_v4> v4_;
  std::vector<boost::asio::ip::network_v6> v6_;
};

}  // namespace standpipe::replay
