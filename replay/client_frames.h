// What a subscriber may send after the handshake: a reader of RFC 6455 frames, without a socket.
//
// The stream goes one way only. Text and binary messages are read and discarded, without being
// looked into (also not for UTF-8) and without being buffered; what matters is control frames. One
// reader per subscriber, of constant size. One thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "schema/base/bytes.h"

namespace standpipe::replay {

// Inclusive, over all fragments of a text or binary message.
inline constexpr std::size_t kClientMessageBytesMax = 64 * 1024;
// Inclusive; of control frames. Spec: RFC 6455 5.5.
inline constexpr std::size_t kControlPayloadBytesMax = 125;

// Close codes that we send or report. Spec: RFC 6455 7.4.1.
inline constexpr std::uint16_t kCloseNormal = 1000;
inline constexpr std::uint16_t kCloseProtocolError = 1002;
inline constexpr std::uint16_t kCloseNoCode = 1005;  // never on the wire
inline constexpr std::uint16_t kClosePolicy = 1008;
inline constexpr std::uint16_t kCloseTooLarge = 1009;

enum class ClientEventKind : std::uint8_t {
  ping,       // to be answered with a pong that carries `payload`
  pong,       // nothing to do
  close,      // the subscriber ends: `code`, kCloseNoCode where it gave none; `payload`: its reason
  violation,  // to be ended with `code` (1002 or 1009); `why` says what was wrong
};

struct ClientEvent {
  ClientEventKind kind = ClientEventKind::pong;
  std::uint16_t code = 0;
  ByteView payload;      // unmasked; up to 125 bytes; valid until the reader is called again
  std::string_view why;  // static text
};

class ClientFrameReader {
 public:
  // Reads on in `bytes` up to the end of the next control frame, or to the first byte that breaks
  // the rules, and takes what it has read off the front. nullopt when all of it has been read and
  // nothing has come to an end yet. To be called until that:
  //   while (const auto event = reader.next(bytes)) ...
  // How the input is cut into pieces makes no difference. After a close or a violation the rest is
  // discarded unread and there are no more events.
  std::optional<ClientEvent> next(ByteView& bytes);

  bool is_done() const { return stage_ == Stage::done; }

 private:
  enum class Stage : std::uint8_t { first_byte, second_byte, length, mask, payload, done };

  std::optional<ClientEvent> read_head_byte(std::uint8_t byte);
  std::optional<ClientEvent> read_first_byte(std::uint8_t byte);
  std::optional<ClientEvent> read_second_byte(std::uint8_t byte);
  std::optional<ClientEvent> judge_length();
  std::optional<ClientEvent> end_head();
  std::optional<ClientEvent> end_frame();
  std::optional<ClientEvent> end_close();
  void take_payload(ByteView& bytes);
  ClientEvent violation(std::uint16_t code, std::string_view why);
  bool is_control() const { return opcode_ >= 8; }

  std::uint64_t length_ = 0;         // of this frame's payload, as far as its bytes have been read
  std::uint64_t taken_ = 0;          // bytes of the payload that have been read
  std::uint32_t message_bytes_ = 0;  // of the fragments before this one
  Stage stage_ = Stage::first_byte;
  std::uint8_t opcode_ = 0;
  std::uint8_t left_ = 0;         // bytes of length or mask still to come
  std::uint8_t length_form_ = 0;  // 2 or 8 where the length follows in so many bytes
  bool is_final_ = false;         // FIN
  bool is_in_message_ = false;    // a fragmented message is under way
  std::array<std::uint8_t, 4> mask_{};
  std::array<std::byte, kControlPayloadBytesMax> control_{};  // of the newest control frame
};

static_assert(sizeof(ClientFrameReader) <= 192, "there is one per subscriber");

}  // namespace standpipe::replay
