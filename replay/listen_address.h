// Addresses to listen at, as people write them: "127.0.0.1:2480", "[::1]:0". Any thread.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <string>
#include <string_view>

#include "schema/base/result.h"

namespace standpipe::replay {

// An address, never a name; port 0 stands for any. invalid, with what is wanted.
Result<boost::asio::ip::tcp::endpoint> parse_listen_address(std::string_view text);
std::string to_text(const boost::asio::ip::tcp::endpoint& endpoint);  // as above

}  // namespace standpipe::replay
