#include "replay/client_frames.h"

#include <algorithm>

#include "schema/utf8.h"

namespace standpipe::replay {
namespace {

// Spec: RFC 6455 5.2.
enum Opcode : std::uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9 };
constexpr std::uint8_t kPong = 10;
constexpr std::uint8_t kFinBit = 0x80, kReservedBits = 0x70, kOpcodeBits = 0x0F;
constexpr std::uint8_t kMaskBit = 0x80, kLengthBits = 0x7F;

// The codes that an endpoint may send: those of RFC 6455 7.4.1 and of its registry, and the ranges
// for libraries and applications.
bool is_sendable_code(std::uint16_t code) {
  if (code >= 3000) return code <= 4999;
  if (code < 1000 || code > 1014) return false;
  return code < 1004 || code > 1006;
}

}  // namespace

std::optional<ClientEvent> ClientFrameReader::next(ByteView& bytes) {
  while (!bytes.empty()) {
    std::optional<ClientEvent> event;
    if (stage_ == Stage::done) {
      bytes = {};
    } else if (stage_ == Stage::payload) {
      take_payload(bytes);
      if (taken_ == length_) event = end_frame();
    } else {
      event = read_head_byte(std::to_integer<std::uint8_t>(bytes.front()));
      bytes = bytes.subspan(1);
    }
    if (event) return event;
  }
  return std::nullopt;
}

std::optional<ClientEvent> ClientFrameReader::read_head_byte(std::uint8_t byte) {
  switch (stage_) {
    case Stage::first_byte:
      return read_first_byte(byte);
    case Stage::second_byte:
      return read_second_byte(byte);
    case Stage::length:
      length_ = (length_ << 8) | byte;
      return --left_ == 0 ? judge_length() : std::nullopt;
    default:
      mask_[mask_.size() - left_] = byte;
      return --left_ == 0 ? end_head() : std::nullopt;
  }
}

std::optional<ClientEvent> ClientFrameReader::read_first_byte(std::uint8_t byte) {
  is_final_ = (byte & kFinBit) != 0;
  opcode_ = byte & kOpcodeBits;
  if ((byte & kReservedBits) != 0) {
    return violation(kCloseProtocolError, "a reserved bit is set");
  }
  switch (opcode_) {
    case kContinuation:
      if (!is_in_message_) {
        return violation(kCloseProtocolError, "a continuation of nothing");
      }
      break;
    case kText:
    case kBinary:
      if (is_in_message_) {
        return violation(kCloseProtocolError, "a message inside another one");
      }
      message_bytes_ = 0;
      break;
    case kClose:
    case kPing:
    case kPong:
      if (!is_final_) return violation(kCloseProtocolError, "a control frame in fragments");
      break;
    default:
      return violation(kCloseProtocolError, "a reserved opcode");
  }
  stage_ = Stage::second_byte;
  return std::nullopt;
}

std::optional<ClientEvent> ClientFrameReader::read_second_byte(std::uint8_t byte) {
  if ((byte & kMaskBit) == 0) return violation(kCloseProtocolError, "a frame without a mask");
  length_ = byte & kLengthBits;
  if (is_control() && length_ > kControlPayloadBytesMax) {
    return violation(kCloseProtocolError, "a control frame of more than 125 bytes");
  }
  length_form_ = length_ == 126 ? 2 : length_ == 127 ? 8 : 0;
  if (length_form_ == 0) return judge_length();
  length_ = 0;
  left_ = length_form_;
  stage_ = Stage::length;
  return std::nullopt;
}

std::optional<ClientEvent> ClientFrameReader::judge_length() {
  if (length_ >> 63 != 0) return violation(kCloseProtocolError, "a length of 64 bits");
  if ((length_form_ == 2 && length_ < 126) || (length_form_ == 8 && length_ <= 0xFFFF)) {
    return violation(kCloseProtocolError, "a length in a longer form than it needs");
  }
  // By the head alone, so that what is too large is not read first.
  if (!is_control() && length_ > kClientMessageBytesMax - message_bytes_) {
    return violation(kCloseTooLarge, "a message of more than 64 KiB");
  }
  left_ = static_cast<std::uint8_t>(mask_.size());
  stage_ = Stage::mask;
  return std::nullopt;
}

std::optional<ClientEvent> ClientFrameReader::end_head() {
  taken_ = 0;
  stage_ = Stage::payload;
  return length_ == 0 ? end_frame() : std::nullopt;
}

void ClientFrameReader::take_payload(ByteView& bytes) {
  const auto size =
      static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), length_ - taken_));
  if (is_control()) {
    for (std::size_t i = 0; i < size; ++i) {
      const auto at = static_cast<std::size_t>(taken_) + i;
      control_[at] = bytes[i] ^ std::byte{mask_[at % mask_.size()]};
    }
  }
  taken_ += size;
  bytes = bytes.subspan(size);
}

std::optional<ClientEvent> ClientFrameReader::end_frame() {
  stage_ = Stage::first_byte;
  if (!is_control()) {
    message_bytes_ += static_cast<std::uint32_t>(length_);  // at most kClientMessageBytesMax
    is_in_message_ = !is_final_;
    return std::nullopt;
  }
  if (opcode_ == kClose) return end_close();
  ClientEvent event;
  event.kind = opcode_ == kPing ? ClientEventKind::ping : ClientEventKind::pong;
  event.payload = ByteView(control_).first(static_cast<std::size_t>(length_));
  return event;
}

std::optional<ClientEvent> ClientFrameReader::end_close() {
  ClientEvent event;
  event.kind = ClientEventKind::close;
  event.code = kCloseNoCode;
  if (length_ == 1) return violation(kCloseProtocolError, "a close frame with half a code");
  if (length_ > 0) {
    event.code = load_be<std::uint16_t>(control_.data());
    event.payload = ByteView(control_).subspan(2, static_cast<std::size_t>(length_) - 2);
    if (!is_sendable_code(event.code)) {
      return violation(kCloseProtocolError, "a close code that may not be sent");
    }
    if (!is_valid_utf8(as_text(event.payload))) {
      return violation(kCloseProtocolError, "a close reason that is not UTF-8");
    }
  }
  stage_ = Stage::done;
  return event;
}

ClientEvent ClientFrameReader::violation(std::uint16_t code, std::string_view why) {
  stage_ = Stage::done;
  ClientEvent event;
  event.kind = ClientEventKind::violation;
  event.code = code;
  event.why = why;
  return event;
}

}  // namespace standpipe::replay
