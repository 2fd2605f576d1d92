#include "archiver/firehose/server_frames.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "schema/base/assert.h"
#include "schema/utf8.h"

namespace standpipe::firehose {
namespace {

constexpr std::size_t kRoomBytes = 64 << 10;     // to read into, at least
constexpr std::size_t kBufferBytes = 128 << 10;  // at first
constexpr std::size_t kHeadBytesMax = 10;        // of a frame without a mask
constexpr std::uint8_t kContinuation = 0;
constexpr std::uint8_t kText = 1;
constexpr std::uint8_t kBinary = 2;
constexpr std::uint16_t kNoCode = 1005;

bool is_control(std::uint8_t opcode) { return (opcode & 8U) != 0; }

// RFC 6455, 7.4.1 and 7.4.2: what may be in a close frame.
bool may_be_sent(std::uint16_t code) {
  if (code >= 3000 && code < 5000) return true;
  return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

}  // namespace

ServerFrameReader::ServerFrameReader(std::size_t message_bytes_max, std::size_t head_bytes)
    : message_bytes_max_(message_bytes_max), head_bytes_(head_bytes), buffer_(kBufferBytes) {
  STANDPIPE_ASSERT(head_bytes <= message_bytes_max, "the head is part of a message");
}

// Whatever next() has left is less than a frame that is waited for, so that this ends.
std::span<std::byte> ServerFrameReader::room() {
  if (at_ == end_) at_ = end_ = 0;
  if (buffer_.size() - end_ < kRoomBytes && at_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + at_, end_ - at_);
    end_ -= at_;
    at_ = 0;
  }
  if (buffer_.size() - end_ < kRoomBytes) {
    const std::size_t most = message_bytes_max_ + kHeadBytesMax + kRoomBytes;
    buffer_.resize(std::max(end_ + kRoomBytes, std::min(2 * buffer_.size(), most)));
  }
  return std::span<std::byte>(buffer_).subspan(end_);
}

void ServerFrameReader::add(std::size_t bytes) {
  STANDPIPE_ASSERT(bytes <= buffer_.size() - end_, "more than there was room for");
  end_ += bytes;
}

ServerEvent ServerFrameReader::next() {
  if (is_over_) return ServerEvent::none;
  for (;;) {
    if (is_in_frame_) {
      const ServerEvent event = take_pieces();
      if (event != ServerEvent::none || is_in_frame_) return event;
      continue;
    }
    Head head;
    if (!read_head(head)) return ServerEvent::none;
    if (const std::string_view why = violation_of(head); !why.empty()) return fail(why);
    if (is_control(head.opcode)) return take_control(head);
    const bool is_whole = head.is_final && head.opcode != kContinuation;
    if (is_whole && head.length <= message_bytes_max_) {
      if (rest().size() - head.size < head.length) return ServerEvent::none;
      message_ = rest().subspan(head.size, static_cast<std::size_t>(head.length));
      message_bytes_ = head.length;
      is_text_ = head.opcode == kText;
      at_ += head.size + message_.size();
      return ServerEvent::message;
    }
    begin_data(head);
  }
}

// False where it is not all there. Which bits may be set is for violation_of() to say, but a mask
// would make it longer than what is looked at.
bool ServerFrameReader::read_head(Head& head) {
  const ByteView bytes = rest();
  if (bytes.size() < 2) return false;
  const auto first = std::to_integer<std::uint8_t>(bytes[0]);
  const auto second = std::to_integer<std::uint8_t>(bytes[1]);
  head.is_final = (first & 0x80U) != 0;
  head.opcode = first & 0x0FU;
  head.length = second & 0x7FU;
  head.size = 2;
  if ((first & 0x70U) != 0 || (second & 0x80U) != 0) return true;
  if (head.length == 126) {
    if (bytes.size() < 4) return false;
    head.length = load_be<std::uint16_t>(bytes.data() + 2);
    head.size = 4;
  } else if (head.length == 127) {
    if (bytes.size() < 10) return false;
    head.length = load_be<std::uint64_t>(bytes.data() + 2);
    head.size = 10;
  }
  return true;
}

std::string_view ServerFrameReader::violation_of(const Head& head) const {
  const auto first = std::to_integer<std::uint8_t>(buffer_[at_]);
  const auto second = std::to_integer<std::uint8_t>(buffer_[at_ + 1]);
  if ((first & 0x70U) != 0) return "a reserved bit is set";
  if ((second & 0x80U) != 0) return "a frame of a server that is masked";
  if (head.size == 4 && head.length < 126) return "a length that is not in the fewest bytes";
  if (head.size == 10 && head.length <= 0xFFFF) return "a length that is not in the fewest bytes";
  if (head.length > (std::uint64_t{1} << 63) - 1) return "a length of 2^63 and above";
  if (is_control(head.opcode)) {
    if (head.opcode > kOpcodePong) return "an opcode that is reserved";
    if (!head.is_final) return "a control frame in fragments";
    return head.length > 125 ? "a control frame of more than 125 bytes" : "";
  }
  if (head.opcode > kBinary) return "an opcode that is reserved";
  if (head.opcode == kContinuation && !is_in_message_) return "a continuation of nothing";
  if (head.opcode != kContinuation && is_in_message_) return "a message within a message";
  return "";
}

ServerEvent ServerFrameReader::take_control(const Head& head) {
  const auto length = static_cast<std::size_t>(head.length);
  if (rest().size() - head.size < length) return ServerEvent::none;
  payload_ = rest().subspan(head.size, length);
  at_ += head.size + length;
  if (head.opcode == kOpcodePing) return ServerEvent::ping;
  if (head.opcode == kOpcodePong) return ServerEvent::pong;
  return close_of(payload_);
}

ServerEvent ServerFrameReader::close_of(ByteView payload) {
  if (payload.size() == 1) return fail("a close frame of one byte");
  close_code_ = kNoCode;
  if (!payload.empty()) {
    close_code_ = load_be<std::uint16_t>(payload.data());
    if (!may_be_sent(close_code_)) return fail("a close code that may not be sent");
    payload_ = payload.subspan(2);
    if (!is_valid_utf8(as_text(payload_))) return fail("a close reason that is not UTF-8");
  }
  is_over_ = true;
  return ServerEvent::close;
}

ServerEvent ServerFrameReader::begin_data(const Head& head) {
  if (head.opcode != kContinuation) {
    pieces_.clear();
    total_ = 0;
    is_text_ = head.opcode == kText;
  }
  at_ += head.size;
  left_ = head.length;
  is_final_ = head.is_final;
  is_in_frame_ = is_in_message_ = true;
  return ServerEvent::none;
}

// Of the frame's payload, as much as there is.
ServerEvent ServerFrameReader::take_pieces() {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, end_ - at_));
  const ByteView piece = rest().first(size);
  at_ += size;
  left_ -= size;
  // Once it is too large, no more than its head is held.
  total_ += size;
  const std::size_t most = total_ > message_bytes_max_ ? head_bytes_ : message_bytes_max_;
  const std::size_t free = most > pieces_.size() ? most - pieces_.size() : 0;
  pieces_.insert(pieces_.end(), piece.begin(),
                 piece.begin() + static_cast<std::ptrdiff_t>(std::min(free, size)));
  if (pieces_.size() > most) pieces_.resize(most);
  if (left_ > 0) return ServerEvent::none;
  is_in_frame_ = false;
  if (!is_final_) return ServerEvent::none;
  is_in_message_ = false;
  message_ = pieces_;
  message_bytes_ = total_;
  return ServerEvent::message;
}

ServerEvent ServerFrameReader::fail(std::string_view why) {
  is_over_ = true;
  why_ = why;
  return ServerEvent::violation;
}

Bytes client_control_frame(std::uint8_t opcode, ByteView payload) {
  STANDPIPE_ASSERT(payload.size() <= 125, "a control frame holds 125 bytes");
  std::array<std::byte, 4> mask{};
  STANDPIPE_ASSERT(::RAND_bytes(reinterpret_cast<unsigned char*>(mask.data()), 4) == 1,
                   "the system has no random bytes");
  constexpr std::size_t kHead = 6;
  Bytes frame(kHead + payload.size());
  frame[0] = static_cast<std::byte>(0x80U | opcode);
  frame[1] = static_cast<std::byte>(0x80U | payload.size());
  std::copy(mask.begin(), mask.end(), frame.begin() + 2);
  for (std::size_t i = 0; i < payload.size(); ++i) frame[kHead + i] = payload[i] ^ mask[i % 4];
  return frame;
}

Bytes client_close_frame(std::uint16_t code) {
  if (code == kNoCode) return client_control_frame(kOpcodeClose, {});
  std::array<std::byte, 2> payload{};
  store_be(payload.data(), code);
  return client_control_frame(kOpcodeClose, payload);
}

}  // namespace standpipe::firehose
