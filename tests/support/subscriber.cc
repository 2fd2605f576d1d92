#include "tests/support/subscriber.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "schema/frame.h"
#include "tests/support/http_exchange.h"

namespace standpipe::test {
namespace {

using tools::play::has_token;
using tools::play::websocket_accept;

constexpr std::size_t kPutAsideMax = 1'000'000;

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error("subscriber: " + what); }

bool is_message(const Received& received) {
  return std::holds_alternative<Bytes>(received) || std::holds_alternative<TextMessage>(received);
}

}  // namespace

std::string describe(const Received& received) {
  struct Describer {
    std::string operator()(const Bytes& frame) const {
      return fmt::format("a binary message of {} bytes, seq {}", frame.size(),
                         seq_of(frame).value_or(0));
    }
    std::string operator()(const TextMessage& message) const {
      return fmt::format("the text \"{}\"", message.text.substr(0, 100));
    }
    std::string operator()(const Closed& closed) const {
      return closed.code ? fmt::format("close {} \"{}\"", *closed.code, closed.reason)
                         : "a close frame without a code";
    }
    std::string operator()(const TcpEnd& end) const {
      return fmt::format("{} after {} bytes of a message", end.is_reset ? "RST" : "FIN",
                         end.bytes_cut);
    }
    std::string operator()(const Violation& violation) const {
      return "a violation: " + violation.what;
    }
  };
  return std::visit(Describer{}, received);
}

Subscriber::Subscriber(NetStream stream, SubscriberOptions options)
    : stream_(std::move(stream)), options_(std::move(options)) {}

Subscriber Subscriber::connect(std::uint16_t port, std::string_view target,
                               SubscriberOptions options) {
  NetStream stream = connect_stream(port, options);
  Subscriber subscriber(std::move(stream), std::move(options));
  subscriber.shake_hands(port, target);
  return subscriber;
}

void Subscriber::shake_hands(std::uint16_t port, std::string_view target) {
  constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";  // RFC 6455, 1.3
  std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\n",
      target, options_.host, port, kKey);
  for (const auto& [name, value] : options_.headers) request += name + ": " + value + "\r\n";
  request += "\r\n";
  const Deadline deadline = deadline_from_now(options_.deadline);
  write_all(stream_, as_bytes(request), deadline);
  const HttpExchange exchange = read_reply(stream_, "GET", deadline);
  if (!stream_.failure().empty()) fail(stream_.failure());
  handshake_ = exchange.reply;
  in_ = to_bytes(as_bytes(exchange.rest));
  if (exchange.end) tcp_end_ = TcpEnd{*exchange.end == IoStatus::reset, 0};
  if (is_upgraded()) check_upgrade(kKey);
}

void Subscriber::check_upgrade(std::string_view key) const {
  if (!has_token(handshake_.header("Upgrade").value_or(""), "websocket")) fail("101 to what");
  if (!has_token(handshake_.header("Connection").value_or(""), "upgrade")) fail("101, no upgrade");
  if (handshake_.header("Sec-WebSocket-Accept") != websocket_accept(key)) fail("101, wrong accept");
  for (const char* name : {"Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"}) {
    if (handshake_.header(name)) fail(std::string("101 grants unasked: ") + name);
  }
}

Received Subscriber::next() {
  if (!put_aside_.empty()) {
    Received first = std::move(put_aside_.front());
    put_aside_.pop_front();
    return first;
  }
  return next_until(deadline_from_now(options_.deadline));
}

Received Subscriber::next_until(Deadline deadline) {
  while (!last_) {
    if (auto received = take()) {
      if (!is_message(*received)) last_ = received;
      return *std::move(received);
    }
    if (!fill(deadline)) {
      last_ = TcpEnd{tcp_end_->is_reset, unread().size() + message_.size()};
    }
  }
  return *last_;
}

std::optional<Received> Subscriber::take() {
  while (const auto header = peek_server_header(unread())) {
    if (std::string fault = fault_of(*header); !fault.empty()) return Violation{std::move(fault)};
    if (unread().size() - header->header_bytes < header->payload_bytes) return std::nullopt;
    const ByteView payload =
        unread().subspan(header->header_bytes, static_cast<std::size_t>(header->payload_bytes));
    auto received = header->opcode >= kOpcodeClose ? take_control(*header, payload)
                                                   : take_message(*header, payload);
    in_at_ += header->header_bytes + payload.size();
    if (received) return received;
  }
  return std::nullopt;
}

std::string Subscriber::fault_of(const ServerFrameHeader& header) const {
  if (std::string fault = standpipe::test::fault_of(header); !fault.empty()) return fault;
  if (header.opcode >= kOpcodeClose) return "";
  if (!options_.allows_fragments && (!header.is_final || header.opcode == 0)) {
    return "a message is fragmented";
  }
  if (header.opcode == 0 && !message_opcode_) return "a continuation of nothing";
  if (header.opcode != 0 && message_opcode_) return "a message within a message";
  if (header.payload_bytes > options_.message_bytes_max - message_.size()) {
    return fmt::format("a message of more than {} bytes", options_.message_bytes_max);
  }
  return "";
}

std::optional<Received> Subscriber::take_message(const ServerFrameHeader& header,
                                                 ByteView payload) {
  message_.insert(message_.end(), payload.begin(), payload.end());
  if (header.opcode != 0) message_opcode_ = header.opcode;
  if (!header.is_final) return std::nullopt;
  const bool is_text = message_opcode_ == kOpcodeText;
  message_opcode_.reset();
  Bytes message = std::exchange(message_, {});
  if (is_text) return TextMessage{std::string(as_text(message))};
  return message;
}

std::optional<Received> Subscriber::take_control(const ServerFrameHeader& header,
                                                 ByteView payload) {
  if (header.opcode == kOpcodePing) {
    pings_.push_back(to_bytes(payload));
    if (options_.answers_pings) send_pong(as_text(payload));
  } else if (header.opcode == kOpcodePong) {
    pongs_.push_back(to_bytes(payload));
  } else if (payload.empty()) {
    return Closed{};
  } else {
    return Closed{load_be<std::uint16_t>(payload.data()), std::string(as_text(payload.subspan(2)))};
  }
  return std::nullopt;
}

bool Subscriber::fill(Deadline deadline) {
  if (in_at_ > 0) {
    in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(in_at_));
    in_at_ = 0;
  }
  while (!tcp_end_) {
    const std::size_t before = in_.size();
    in_.resize(before + options_.read_bytes);
    const IoResult result = stream_.read(std::span(in_).subspan(before));
    in_.resize(before + result.bytes);
    switch (result.status) {
      case IoStatus::done:
        return true;
      case IoStatus::would_block:
        if (!wait_for(stream_, false, deadline)) fail("waited in vain for the server");
        break;
      case IoStatus::fin:
      case IoStatus::reset:
        tcp_end_ = TcpEnd{result.status == IoStatus::reset, 0};
        break;
      case IoStatus::failed:
        fail(stream_.failure());
    }
  }
  return false;
}

Bytes Subscriber::next_frame() {
  Received received = next();
  if (Bytes* frame = std::get_if<Bytes>(&received)) return std::move(*frame);
  fail("expected a frame, got " + describe(received));
}

std::vector<Bytes> Subscriber::read_frames(std::size_t count) {
  std::vector<Bytes> frames;
  while (frames.size() < count) frames.push_back(next_frame());
  return frames;
}

std::vector<Bytes> Subscriber::read_until_seq(std::int64_t seq) {
  std::vector<Bytes> frames;
  do {
    frames.push_back(next_frame());
  } while (seq_of(frames.back()).value_or(0) < seq);
  return frames;
}

std::vector<Bytes> Subscriber::read_to_end(Received* end) {
  std::vector<Bytes> frames;
  for (;;) {
    Received received = next();
    if (Bytes* frame = std::get_if<Bytes>(&received)) {
      frames.push_back(std::move(*frame));
    } else if (!is_message(received)) {
      if (end != nullptr) *end = std::move(received);
      return frames;
    } else {
      fail("expected frames, got " + describe(received));
    }
  }
}

void Subscriber::put_aside_one(Deadline deadline, const char* wanted) {
  if (last_) fail(fmt::format("expected {}, got {}", wanted, describe(*last_)));
  if (put_aside_.size() >= kPutAsideMax) fail("too many messages");
  const std::size_t before = in_at_;
  if (auto received = take()) {
    if (!is_message(*received)) last_ = *received;
    put_aside_.push_back(*std::move(received));
  } else if (in_at_ == before && !fill(deadline)) {
    last_ = TcpEnd{tcp_end_->is_reset, unread().size() + message_.size()};
  }
}

std::vector<Bytes> Subscriber::read_until_pong() {
  send_ping("read_until_pong");
  wait_for_pong();
  std::vector<Bytes> frames;
  while (!put_aside_.empty()) frames.push_back(next_frame());
  return frames;
}

Bytes Subscriber::wait_for_pong() {
  const Deadline deadline = deadline_from_now(options_.deadline);
  while (pongs_.size() == pongs_taken_) put_aside_one(deadline, "a pong");
  return pongs_[pongs_taken_++];
}

Bytes Subscriber::wait_for_ping() {
  const Deadline deadline = deadline_from_now(options_.deadline);
  while (pings_.size() == pings_taken_) put_aside_one(deadline, "a ping");
  return pings_[pings_taken_++];
}

TcpEnd Subscriber::wait_for_tcp_end() {
  const Deadline deadline = deadline_from_now(options_.deadline);
  std::size_t bytes = 0;
  do {
    bytes += unread().size();
    in_at_ = in_.size();
  } while (fill(deadline));
  return {tcp_end_->is_reset, bytes};
}

Bytes Subscriber::read_raw(std::size_t bytes) {
  const Deadline deadline = deadline_from_now(options_.deadline);
  while (unread().size() < bytes) {
    if (!fill(deadline)) fail(fmt::format("{} bytes in place of {}", unread().size(), bytes));
  }
  Bytes taken = to_bytes(unread().first(bytes));
  in_at_ += bytes;
  return taken;
}

bool Subscriber::has_input() const {
  if (!put_aside_.empty() || !unread().empty() || !stream_.is_open()) return true;
  pollfd entry{stream_.fd(), POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

bool Subscriber::send_ping(std::string_view payload) {
  return send_frame(as_bytes(payload), {kOpcodePing, true, true, 0});
}

bool Subscriber::send_pong(std::string_view payload) {
  return send_frame(as_bytes(payload), {kOpcodePong, true, true, 0});
}

bool Subscriber::send_text(std::string_view text) {
  return send_frame(as_bytes(text), {kOpcodeText, true, true, 0});
}

bool Subscriber::send_binary(std::size_t bytes) {
  return send_frame(Bytes(bytes), {kOpcodeBinary, true, true, 0});
}

bool Subscriber::send_close(std::optional<std::uint16_t> code, std::string_view reason) {
  Bytes payload;
  if (code) {
    payload.resize(2);
    store_be(payload.data(), *code);
  }
  const ByteView text = as_bytes(reason);
  payload.insert(payload.end(), text.begin(), text.end());
  return send_frame(payload, {kOpcodeClose, true, true, 0});
}

bool Subscriber::send_frame(ByteView payload, const ClientFrameOptions& options) {
  Bytes frame;
  append_client_frame(frame, payload, options);
  return send_raw(frame);
}

bool Subscriber::send_raw(ByteView bytes) {
  return write_all(stream_, bytes, deadline_from_now(options_.deadline));
}

bool Subscriber::try_send_raw(ByteView bytes) {
  const IoResult result = stream_.write(bytes);
  return result.status == IoStatus::done && result.bytes == bytes.size();
}

std::optional<std::int64_t> seq_of(ByteView frame) {
  const FrameScan scan = scan_frame(frame);
  if (!scan.envelope.seq) return std::nullopt;
  return to_int(*scan.envelope.seq);
}

std::vector<std::int64_t> seqs_of(const std::vector<Bytes>& frames) {
  std::vector<std::int64_t> seqs;
  for (const Bytes& frame : frames) seqs.push_back(seq_of(frame).value_or(0));
  return seqs;
}

}  // namespace standpipe::test
