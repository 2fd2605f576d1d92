// What a server sends over a WebSocket, out of bytes as they come: whole messages, control frames.
// Spec: RFC 6455, 5 and 7.4; extensions and subprotocols are never asked for.
//
// Pure: no sockets. Not for users of the library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "schema/base/bytes.h"

namespace standpipe::firehose {

enum class ServerEvent : std::uint8_t {
  none,       // more bytes are needed
  message,    // message(), message_bytes(), is_text()
  ping,       // payload()
  pong,       // payload()
  close,      // payload() without the code, close_code(); nothing comes after it
  violation,  // why(); likewise
};

// One thread. Holds at most a message, and a buffer that a message of the greatest size fits into.
class ServerFrameReader {
 public:
  // `message_bytes_max`: inclusive; of a larger message the first `head_bytes` are kept, which are
  // not more. So nothing a server says makes this hold more than about twice message_bytes_max.
  ServerFrameReader(std::size_t message_bytes_max, std::size_t head_bytes);

  // Where the next bytes of the connection go; never empty. Ends what message() and payload() view.
  std::span<std::byte> room();
  void add(std::size_t bytes);  // that were written there

  // The next event. Views are valid until the next call of next() or room().
  ServerEvent next();

  ByteView message() const { return message_; }
  std::uint64_t message_bytes() const { return message_bytes_; }  // on the wire
  bool is_text() const { return is_text_; }
  ByteView payload() const { return payload_; }
  std::uint16_t close_code() const { return close_code_; }  // 1005: none
  std::string_view why() const { return why_; }

 private:
  struct Head {
    std::uint8_t opcode = 0;
    bool is_final = false;
    std::uint64_t length = 0;  // of the payload
    std::size_t size = 0;      // of the head itself
  };

  ByteView rest() const { return ByteView(buffer_).subspan(at_, end_ - at_); }
  bool read_head(Head& head);
  std::string_view violation_of(const Head& head) const;
  ServerEvent take_control(const Head& head);
  ServerEvent begin_data(const Head& head);
  ServerEvent take_pieces();
  ServerEvent close_of(ByteView payload);
  ServerEvent fail(std::string_view why);

  const std::size_t message_bytes_max_;
  const std::size_t head_bytes_;
  Bytes buffer_;
  std::size_t at_ = 0;   // of what has not been taken
  std::size_t end_ = 0;  // of what is there
  bool is_over_ = false;

  // A message that comes in fragments, or that is too large to wait for:
  Bytes pieces_;
  bool is_in_message_ = false;  // it has begun, and its last fragment has not ended
  bool is_in_frame_ = false;    // its payload is on its way
  bool is_final_ = false;       // that frame
  std::uint64_t left_ = 0;      // of its payload
  std::uint64_t total_ = 0;     // of the message

  ByteView message_;
  std::uint64_t message_bytes_ = 0;
  bool is_text_ = false;
  ByteView payload_;
  std::uint16_t close_code_ = 0;
  std::string_view why_;
};

// Control frames as a client sends them: masked, with a fresh key from the system.
Bytes client_control_frame(std::uint8_t opcode, ByteView payload);
Bytes client_close_frame(std::uint16_t code);  // 1005: without one
inline constexpr std::uint8_t kOpcodeClose = 8;
inline constexpr std::uint8_t kOpcodePing = 9;
inline constexpr std::uint8_t kOpcodePong = 10;

}  // namespace standpipe::firehose
