#include "tools/play/server_wire.h"

#include <algorithm>
#include <utility>

namespace standpipe::tools::play {
namespace {

constexpr std::size_t kControlBytesMax = 125;

unsigned at(const Bytes& bytes, std::size_t index) {
  return std::to_integer<unsigned>(bytes[index]);
}

// Bytes of a header with its mask, known from its first two.
std::size_t header_bytes(const Bytes& head) {
  const unsigned length = at(head, 1) & 0x7F;
  const std::size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
  return 2 + extended + ((at(head, 1) & 0x80) != 0 ? 4 : 0);
}

}  // namespace

void append_server_header(Bytes& out, Opcode opcode, std::uint64_t payload_bytes, bool is_final) {
  const auto push = [&out](std::uint64_t value) { out.push_back(static_cast<std::byte>(value)); };
  push((is_final ? 0x80U : 0U) | static_cast<unsigned>(opcode));
  if (payload_bytes <= 125) {
    push(payload_bytes);
  } else if (payload_bytes <= 0xFFFF) {
    push(126);
    push(payload_bytes >> 8);
    push(payload_bytes & 0xFF);
  } else {
    push(127);
    for (int shift = 56; shift >= 0; shift -= 8) push((payload_bytes >> shift) & 0xFF);
  }
}

void append_server_frame(Bytes& out, Opcode opcode, ByteView payload, bool is_final) {
  append_server_header(out, opcode, payload.size(), is_final);
  out.insert(out.end(), payload.begin(), payload.end());
}

Bytes close_payload(std::optional<std::uint16_t> code, std::string_view reason) {
  Bytes payload;
  if (!code) return payload;
  payload.push_back(static_cast<std::byte>(*code >> 8));
  payload.push_back(static_cast<std::byte>(*code & 0xFF));
  const ByteView text = as_bytes(reason);
  payload.insert(payload.end(), text.begin(), text.end());
  return payload;
}

FillerMessage::FillerMessage(std::uint64_t size, Bytes begins_with, std::size_t piece)
    : size_(size), begin_(std::move(begins_with)), piece_(piece == 0 ? size : piece) {}

void FillerMessage::append_some(Bytes& out) {
  constexpr std::size_t kSome = 65'536;
  const std::size_t end = out.size() + kSome;
  while (!is_done() && out.size() < end) {
    if (left_in_frame_ == 0) {
      left_in_frame_ = std::min(piece_, size_ - at_);
      has_next_ = at_ + left_in_frame_ < size_;
      append_server_header(out, at_ == 0 ? Opcode::binary : Opcode::continuation, left_in_frame_,
                           !has_next_);
    }
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(kSome, left_in_frame_));
    const auto from = static_cast<std::size_t>(std::min<std::uint64_t>(at_, begin_.size()));
    const std::size_t given = std::min(count, begin_.size() - from);
    const auto first = begin_.begin() + static_cast<std::ptrdiff_t>(from);
    out.insert(out.end(), first, first + static_cast<std::ptrdiff_t>(given));
    out.resize(out.size() + count - given);
    at_ += count;
    left_in_frame_ -= count;
  }
}

std::optional<ClientFrames::Control> ClientFrames::take(ByteView& bytes) {
  while (violation_.empty()) {
    if (!has_header_ && !take_header(bytes)) return std::nullopt;
    if (!violation_.empty()) return std::nullopt;
    const auto opcode = static_cast<Opcode>(at(head_, 0) & 0x0F);
    const bool is_control = opcode >= Opcode::close;
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), payload_left_));
    if (is_control) {
      for (const std::byte byte : bytes.first(size)) {
        control_.push_back(byte ^ mask_[mask_at_++ % mask_.size()]);
      }
    }
    bytes = bytes.subspan(size);
    payload_left_ -= size;
    if (payload_left_ > 0) return std::nullopt;
    has_header_ = false;
    const bool is_final = (at(head_, 0) & 0x80) != 0;
    head_.clear();
    if (is_control) return Control{opcode, std::exchange(control_, {})};
    is_in_message_ = !is_final;
    if (is_final) ++messages_;
  }
  return std::nullopt;
}

bool ClientFrames::take_header(ByteView& bytes) {
  while (head_.size() < 2 || head_.size() < header_bytes(head_)) {
    if (bytes.empty()) return false;
    head_.push_back(bytes.front());
    bytes = bytes.subspan(1);
  }
  has_header_ = true;
  judge_header();
  return true;
}

void ClientFrames::judge_header() {
  const unsigned first = at(head_, 0);
  const unsigned opcode = first & 0x0F;
  const unsigned length = at(head_, 1) & 0x7F;
  const bool is_final = (first & 0x80) != 0;
  if ((at(head_, 1) & 0x80) == 0) {
    violation_ = "a frame is not masked";
  } else if ((first & 0x70) != 0) {
    violation_ = "a reserved bit is set";
  } else if ((opcode > 2 && opcode < 8) || opcode > 10) {
    violation_ = "a reserved opcode";
  } else if (opcode >= 8 && (!is_final || length > kControlBytesMax)) {
    violation_ = "a control frame is fragmented or too long";
  } else if (opcode == 0 && !is_in_message_) {
    violation_ = "a continuation of nothing";
  } else if ((opcode == 1 || opcode == 2) && is_in_message_) {
    violation_ = "a message within a message";
  }
  payload_left_ = length;
  if (length == 126) payload_left_ = load_be<std::uint16_t>(&head_[2]);
  if (length == 127) payload_left_ = load_be<std::uint64_t>(&head_[2]);
  if ((length == 126 && payload_left_ < 126) || (length == 127 && payload_left_ <= 0xFFFF) ||
      payload_left_ > (std::uint64_t{1} << 62)) {
    violation_ = "a length in more bytes than it needs, or absurd";
  }
  if ((at(head_, 1) & 0x80) != 0) std::copy_n(head_.end() - 4, 4, mask_.begin());
  mask_at_ = 0;
}

}  // namespace standpipe::tools::play
