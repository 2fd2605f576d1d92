// The client's side of RFC 6455 framing, as Subscriber and SubscriberCrowd speak it: unmasked
// frames in, masked frames out. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "schema/base/bytes.h"

namespace standpipe::test {

inline constexpr unsigned kOpcodeText = 1;
inline constexpr unsigned kOpcodeBinary = 2;
inline constexpr unsigned kOpcodeClose = 8;
inline constexpr unsigned kOpcodePing = 9;
inline constexpr unsigned kOpcodePong = 10;

struct ServerFrameHeader {
  unsigned opcode = 0;
  unsigned reserved = 0;  // bits 0x70 of the first byte
  bool is_final = true;
  bool is_masked = false;
  std::size_t header_bytes = 0;  // without a mask
  std::uint64_t payload_bytes = 0;
};
// The header at the beginning of `bytes`; nullopt if it is not whole.
std::optional<ServerFrameHeader> peek_server_header(ByteView bytes);
// What a server may not send, whatever came before; empty if it may.
std::string fault_of(const ServerFrameHeader& header);

struct ClientFrameOptions {
  unsigned opcode = kOpcodeBinary;  // 0 to 15
  bool is_final = true;
  bool is_masked = true;
  unsigned reserved = 0;  // 0x40, 0x20, 0x10
};
void append_client_frame(Bytes& out, ByteView payload, const ClientFrameOptions& options);

}  // namespace standpipe::test
