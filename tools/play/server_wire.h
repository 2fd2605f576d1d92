// The server's side of RFC 6455 framing, as a fixture speaks it: unmasked frames out, masked frames
// in. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "schema/base/bytes.h"

namespace standpipe::tools::play {

enum class Opcode : std::uint8_t {
  continuation = 0,
  text = 1,
  binary = 2,
  close = 8,
  ping = 9,
  pong = 10,
};

// Appends the header of an unmasked frame, its length in the fewest bytes.
void append_server_header(Bytes& out, Opcode opcode, std::uint64_t payload_bytes,
                          bool is_final = true);
void append_server_frame(Bytes& out, Opcode opcode, ByteView payload, bool is_final = true);
Bytes close_payload(std::optional<std::uint16_t> code, std::string_view reason);

// One binary message of any size, made as it goes out: `begins_with`, then zeros.
class FillerMessage {
 public:
  // `piece`: payload bytes in a fragment; 0: one frame.
  FillerMessage(std::uint64_t size, Bytes begins_with, std::size_t piece);
  bool is_done() const { return !has_next_ && left_in_frame_ == 0; }
  void append_some(Bytes& out);  // some 64 KiB

 private:
  const std::uint64_t size_;
  const Bytes begin_;
  const std::uint64_t piece_;
  std::uint64_t at_ = 0;  // payload bytes that are out
  std::uint64_t left_in_frame_ = 0;
  bool has_next_ = true;  // a frame whose header is not out
};

// What a client may send, in pieces as they come. Data messages are counted and forgotten, so that
// it holds 139 bytes at most. What breaks the rules is a violation, after which it takes no more.
class ClientFrames {
 public:
  struct Control {
    Opcode opcode;
    Bytes payload;
  };
  // Takes bytes from the front of `bytes` until there is a control frame, a violation, or nothing.
  std::optional<Control> take(ByteView& bytes);

  std::uint64_t messages() const { return messages_; }
  const std::string& violation() const { return violation_; }

 private:
  bool take_header(ByteView& bytes);
  void judge_header();

  Bytes head_;  // of the frame at hand, as far as it has come
  bool has_header_ = false;
  bool is_in_message_ = false;
  std::uint64_t payload_left_ = 0;
  std::size_t mask_at_ = 0;
  std::array<std::byte, 4> mask_{};
  Bytes control_;  // payload of a control frame, unmasked
  std::uint64_t messages_ = 0;
  std::string violation_;
};

}  // namespace standpipe::tools::play
