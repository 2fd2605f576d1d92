// The client's side of the WebSocket handshake, as far as it is no HTTP.
// Spec: RFC 6455, 4.1 and 4.2.2.
//
// Pure functions, but for the clock that a date in Retry-After is compared with. Not for users of
// the library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "archiver/firehose/ws_client.h"

namespace standpipe::firehose {

std::string fresh_websocket_key();  // Sec-WebSocket-Key: 16 random bytes, in base 64
std::string websocket_accept_of(std::string_view key);

// What a server answers with status 101.
struct UpgradeAnswer {
  unsigned version = 11;  // of HTTP, times ten
  std::string_view upgrade, connection, accept;
  bool has_extension = false, has_subprotocol = false;  // of which we ask for none
};

// What is wrong with it; empty if nothing is.
std::string_view fault_of(const UpgradeAnswer& answer, std::string_view key);

WsEnd end_of(WsEndKind kind, std::string detail);

WsEnd closed_by(std::uint16_t code, std::string_view reason);

bool is_redirect(unsigned status);
// Any other answer than an upgrade. `retry_after`: the field of that name; empty: none.
WsEnd refusal_of(unsigned status, std::string_view reason, std::string_view retry_after);

}  // namespace standpipe::firehose
