#include "tests/support/client_wire.h"

#include <fmt/format.h>

#include <array>

namespace standpipe::test {
namespace {

// RFC 6455, 5.7.
constexpr std::array<std::byte, 4> kMask = {std::byte{0x37}, std::byte{0xFA}, std::byte{0x21},
                                            std::byte{0x3D}};

void append_be(Bytes& out, std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<std::byte>((value >> shift) & 0xFF));
  }
}

}  // namespace

std::optional<ServerFrameHeader> peek_server_header(ByteView bytes) {
  if (bytes.size() < 2) return std::nullopt;
  const auto first = std::to_integer<unsigned>(bytes[0]);
  const auto second = std::to_integer<unsigned>(bytes[1]);
  const unsigned length = second & 0x7F;
  ServerFrameHeader header;
  header.header_bytes = length == 126 ? 4 : length == 127 ? 10 : 2;
  if (bytes.size() < header.header_bytes) return std::nullopt;
  header.opcode = first & 0x0F;
  header.reserved = first & 0x70;
  header.is_final = (first & 0x80) != 0;
  header.is_masked = (second & 0x80) != 0;
  header.payload_bytes = length;
  if (length == 126) header.payload_bytes = load_be<std::uint16_t>(&bytes[2]);
  if (length == 127) header.payload_bytes = load_be<std::uint64_t>(&bytes[2]);
  return header;
}

std::string fault_of(const ServerFrameHeader& header) {
  if (header.reserved != 0) return "a reserved bit is set";
  if (header.is_masked) return "a frame is masked";
  const bool is_control = header.opcode >= kOpcodeClose;
  if (header.opcode > kOpcodePong || (header.opcode > kOpcodeBinary && !is_control)) {
    return fmt::format("reserved opcode {}", header.opcode);
  }
  if ((header.header_bytes == 4 && header.payload_bytes < 126) ||
      (header.header_bytes == 10 && header.payload_bytes <= 0xFFFF)) {
    return "a length in more bytes than it needs";
  }
  if (!is_control) return "";
  if (!header.is_final) return "a control frame is fragmented";
  if (header.payload_bytes > 125) return "a control frame is too long";
  if (header.opcode == kOpcodeClose && header.payload_bytes == 1) {
    return "a close frame with half a code";
  }
  return "";
}

void append_client_frame(Bytes& out, ByteView payload, const ClientFrameOptions& options) {
  const unsigned masked = options.is_masked ? 0x80U : 0U;
  append_be(out, (options.is_final ? 0x80U : 0U) | options.reserved | options.opcode, 1);
  if (payload.size() <= 125) {
    append_be(out, masked | payload.size(), 1);
  } else if (payload.size() <= 0xFFFF) {
    append_be(out, masked | 126U, 1);
    append_be(out, payload.size(), 2);
  } else {
    append_be(out, masked | 127U, 1);
    append_be(out, payload.size(), 8);
  }
  if (options.is_masked) out.insert(out.end(), kMask.begin(), kMask.end());
  const std::size_t begin = out.size();
  out.insert(out.end(), payload.begin(), payload.end());
  for (std::size_t i = begin; options.is_masked && i < out.size(); ++i) {
    out[i] ^= kMask[(i - begin) % kMask.size()];
  }
}

}  // namespace standpipe::test
