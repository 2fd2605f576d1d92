// Connections of a test's own to a server on this machine, and requests over them by plain HTTP.
//
// Nothing takes longer than the deadline in the options: what would, throws std::runtime_error,
// which gtest shows as the test's failure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "schema/base/bytes.h"
#include "tests/support/net_stream.h"
#include "tools/play/http_wire.h"

namespace standpipe::test {

using tools::play::HttpHeaders;

struct HttpReply {
  int status = 0;
  HttpHeaders headers;
  std::string body;

  std::optional<std::string> header(std::string_view name) const;  // name in any case
};

struct SubscriberOptions {
  HttpHeaders headers;              // beside those of the upgrade
  std::string host = "127.0.0.1";   // address to connect to; "::1" too
  std::string tls_name;             // whom the certificate must be for; empty: `host`
  TlsContext tls;                   // null: plain
  std::string source_address;       // "127.0.0.5"; empty: as the kernel likes
  int receive_buffer = 0;           // SO_RCVBUF before connect; 0: as the kernel likes
  std::size_t read_bytes = 65'536;  // at most, in one read from the kernel
  bool answers_pings = true;
  bool allows_fragments = false;
  std::size_t message_bytes_max = std::size_t{64} << 20;  // a larger one is a violation
  std::chrono::milliseconds deadline = kTestDeadline;     // of each call
};

struct HttpCall {
  std::string method = "GET";
  HttpHeaders headers;  // beside Host and Connection: close
  std::string body;
};
// A request of its own connection. Reads no more than Content-Length where there is one.
HttpReply http_get(std::uint16_t port, std::string_view target, const HttpCall& call = {},
                   const SubscriberOptions& options = {});
// Whatever bytes, and whatever comes back until the server ends the connection.
std::string exchange_raw(std::uint16_t port, std::string_view bytes,
                         const SubscriberOptions& options = {});

// A connected socket; its TLS handshake, if any, is still to come. Throws if there is none.
NetStream connect_stream(std::uint16_t port, const SubscriberOptions& options);
// False: the connection is gone. Throws at the deadline.
bool write_all(NetStream& stream, ByteView bytes, Deadline deadline);

struct HttpExchange {
  HttpReply reply;              // status 0: there was none
  std::string rest;             // came after it
  std::optional<IoStatus> end;  // fin or reset, if the connection has ended
};
// The answer to a request that was sent. After a 101 there is no body.
HttpExchange read_reply(NetStream& stream, std::string_view method, Deadline deadline);

}  // namespace standpipe::test
