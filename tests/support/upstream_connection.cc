#include "tests/support/upstream_connection.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "schema/base/assert.h"
#include "tests/support/hex.h"

namespace standpipe::test {
namespace {

constexpr std::size_t kChunkBytes = 65'536;
constexpr std::size_t kControlsMax = 65'536;  // pongs beyond this are dropped
constexpr std::int64_t kCursorMax = (std::int64_t{1} << 53) - 1;

// The bytes that the TypeScript PDS sends. Spec: atproto event-stream, "Framing".
const Bytes& future_cursor_frame() {
  static const Bytes frame =
      hex("a1 62'op' 20 a2 65'error' 6c'FutureCursor' 67'message' 75'Cursor in the future.'");
  return frame;
}
const Bytes& outdated_cursor_frame() {
  static const Bytes frame =
      hex("a2 61't' 65'#info' 62'op' 01 a2 64'name' 6e'OutdatedCursor' 67'message' "
          "78 38'Requested cursor exceeded limit. Possibly missing events'");
  return frame;
}

// nullopt: not a cursor. An empty one is none.
std::optional<std::optional<std::int64_t>> cursor_of(std::string_view target) {
  const auto text = query_parameter(target, "cursor");
  if (!text || text->empty()) return std::optional<std::int64_t>();
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  if (value < 0 || value > kCursorMax) return std::nullopt;
  return std::optional(value);
}

// What is wrong with a request for an upgrade; empty if nothing is.
std::string fault_of_request(const ConnectionRecord& record, std::string_view version) {
  if (version != "HTTP/1.1") return "not HTTP/1.1";
  if (record.method != "GET") return "not GET but " + record.method;
  if (!record.header("Host")) return "no Host";
  if (!has_token(record.header("Upgrade").value_or(""), "websocket"))
    return "no Upgrade: websocket";
  if (!has_token(record.header("Connection").value_or(""), "upgrade")) {
    return "no Connection: Upgrade";
  }
  if (record.header("Sec-WebSocket-Version") != "13") return "no Sec-WebSocket-Version: 13";
  // 16 bytes in base64.
  const std::string key = record.header("Sec-WebSocket-Key").value_or("");
  if (key.size() != 24 || !key.ends_with("==")) return "no Sec-WebSocket-Key";
  return "";
}

}  // namespace

UpstreamConnection::UpstreamConnection(UpstreamState& state, NetStream stream, std::size_t number)
    : state_(state), stream_(std::move(stream)), number_(number), queued_plan_(state.take_plan()) {
  state_.add_waker(&wake_);
}

UpstreamConnection::~UpstreamConnection() { state_.remove_waker(&wake_); }

void UpstreamConnection::run() {
  if (queued_plan_ && queued_plan_->opening == ConnectionPlan::Opening::silent) {
    stay_silent();
  } else {
    if (state_.tls() != nullptr) stream_.begin_server_tls(state_.tls());
    while (phase_ != Phase::over && !state_.is_stopping()) {
      if (!turn()) wait();
    }
  }
  if (phase_ != Phase::over) {
    stream_.reset();
    state_.end(number_, ConnectionEnd::stopped);
  }
}

void UpstreamConnection::stay_silent() {
  state_.update(number_, [](ConnectionRecord& record) { record.is_silent = true; });
  while (phase_ != Phase::over && !state_.is_stopping()) {
    std::array<pollfd, 2> entries = {pollfd{stream_.fd(), POLLRDHUP, 0},
                                     pollfd{wake_.fd(), POLLIN, 0}};
    ::poll(entries.data(), entries.size(), -1);
    wake_.clear();
    if (entries[0].revents != 0) peer_is_gone(ConnectionEnd::left);
  }
}

bool UpstreamConnection::turn() {
  bool has_moved = read_some();
  if (phase_ == Phase::over) return true;
  has_moved = write_some() || has_moved;
  if (phase_ == Phase::over || !out_.empty()) return has_moved;
  switch (phase_) {
    case Phase::serving:
    case Phase::closing:
      return produce() || has_moved;
    case Phase::draining:
      end_our_direction();
      return true;
    case Phase::resetting:
      if (!stream_.is_acknowledged()) return has_moved;
      stream_.reset();
      phase_ = Phase::over;
      state_.end(number_, ConnectionEnd::reset);
      return true;
    default:
      return has_moved;
  }
}

void UpstreamConnection::wait() {
  // The kernel does not tell when the peer has acknowledged: there is only asking again.
  const int timeout = phase_ == Phase::resetting ? 1 : -1;
  std::array<pollfd, 2> entries = {pollfd{stream_.fd(), stream_.events(!out_.empty()), 0},
                                   pollfd{wake_.fd(), POLLIN, 0}};
  ::poll(entries.data(), entries.size(), timeout);
  wake_.clear();
}

bool UpstreamConnection::read_some() {
  std::array<std::byte, kChunkBytes> buffer;  // NOLINT: the kernel fills it
  const IoResult result = stream_.read(buffer);
  switch (result.status) {
    case IoStatus::done:
      take_bytes(ByteView(buffer).first(result.bytes));
      return true;
    case IoStatus::would_block:
      return false;
    case IoStatus::fin:
      peer_is_gone(ConnectionEnd::left);
      return true;
    case IoStatus::reset:
      peer_is_gone(ConnectionEnd::left_by_reset);
      return true;
    case IoStatus::failed:
      peer_is_gone(ConnectionEnd::tls_failed);
      return true;
  }
  return false;
}

bool UpstreamConnection::write_some() {
  bool has_moved = false;
  while (out_at_ < out_.size()) {
    const IoResult result = stream_.write(ByteView(out_).subspan(out_at_));
    if (result.status == IoStatus::would_block) return has_moved;
    if (result.status != IoStatus::done) {
      peer_is_gone(result.status == IoStatus::failed ? ConnectionEnd::tls_failed
                                                     : ConnectionEnd::left_by_reset);
      return true;
    }
    out_at_ += result.bytes;
    record_sent();
    has_moved = true;
  }
  out_.clear();
  out_at_ = 0;
  return has_moved;
}

void UpstreamConnection::record_sent() {
  if (marks_.empty() || marks_.front().end > out_at_) return;
  state_.update(number_, [this](ConnectionRecord& record) {
    for (; !marks_.empty() && marks_.front().end <= out_at_; marks_.pop_front()) {
      ++record.frames_sent;
      record.greatest_seq_sent = std::max(record.greatest_seq_sent, marks_.front().seq);
      if (record.seqs_sent.size() < kSeqsRecordedMax) {
        record.seqs_sent.push_back(marks_.front().seq);
      }
    }
  });
}

void UpstreamConnection::take_bytes(ByteView bytes) {
  if (phase_ == Phase::head) take_head_bytes(bytes);
  if (phase_ != Phase::serving && phase_ != Phase::closing) return;  // what else comes is discarded
  while (phase_ == Phase::serving || phase_ == Phase::closing) {
    const auto control = from_peer_.take(bytes);
    if (!control) break;
    take_control(*control);
  }
  if (from_peer_.messages() != messages_recorded_) {
    messages_recorded_ = from_peer_.messages();
    state_.update(number_,
                  [this](ConnectionRecord& record) { record.messages = messages_recorded_; });
  }
  if (!from_peer_.violation().empty() && phase_ != Phase::draining) {
    break_off(from_peer_.violation());
  }
}

void UpstreamConnection::take_head_bytes(ByteView& bytes) {
  const std::size_t before = head_.size();
  head_ += as_text(bytes);
  const auto end = http_head_end(head_);
  if (!end) {
    bytes = {};
    if (head_.size() > kHttpHeadBytesMax) break_off("a request head without an end");
    return;
  }
  bytes = bytes.subspan(*end - before);
  const std::string text = head_.substr(0, *end);
  head_.clear();
  take_request(text);
}

void UpstreamConnection::take_request(std::string_view text) {
  const auto head = parse_http_head(text);
  if (!head) return break_off("not an HTTP head");
  const std::string_view line = head->first_line;
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || last == first) return break_off("not a request line");
  ConnectionRecord request;
  request.has_request = true;
  request.peer_address = stream_.peer_address();
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  request.headers = head->headers;
  const auto cursor = cursor_of(request.target);
  if (cursor) request.cursor = *cursor;
  // The plan before the record: who has seen the record may queue the plan of the next one.
  if (queued_plan_) {
    plan_ = std::move(*queued_plan_);
  } else if (state_.options().plan) {
    plan_ = state_.options().plan(number_, request);
  }
  std::stable_sort(plan_.events.begin(), plan_.events.end(),
                   [](const PlannedEvent& a, const PlannedEvent& b) { return a.after < b.after; });
  // Where it begins is settled before anybody can see that it is there: what a test appends once it
  // has seen it is sent to it.
  const StartPosition start = state_.start_of(request.cursor);
  index_ = start.index;
  state_.update(number_, [&](ConnectionRecord& record) { record = request; });

  using Opening = ConnectionPlan::Opening;
  if (plan_.opening == Opening::never_answer || plan_.opening == Opening::silent) {
    phase_ = Phase::waiting;
  } else if (plan_.opening == Opening::hang_up) {
    leave(ConnectionEnd::cut);
  } else if (plan_.opening == Opening::answer_raw) {
    out_ = to_bytes(as_bytes(plan_.raw_answer));
    leave(ConnectionEnd::refused);
  } else if (plan_.opening == Opening::answer) {
    answer(plan_.answer);
  } else if (const std::string fault = fault_of_request(request, line.substr(last + 1));
             !fault.empty()) {
    answer({400, {}, fault});
    break_off(fault);
  } else if (!cursor) {
    answer({400, {}, R"({"error":"InvalidRequest","message":"cursor parameter invalid"})"});
  } else {
    upgrade(*request.header("Sec-WebSocket-Key"));
    if (start.is_outdated && state_.options().announces_outdated_cursor) {
      append_server_frame(out_, Opcode::binary, outdated_cursor_frame());
    }
    if (start.is_future) {
      append_server_frame(out_, Opcode::binary, future_cursor_frame());
      append_server_frame(out_, Opcode::close, close_payload(1008, "FutureCursor"));
      phase_ = Phase::closing;
      state_.end(number_, ConnectionEnd::future_cursor);
    }
  }
}

void UpstreamConnection::answer(const HttpAnswer& answer) {
  std::string text =
      fmt::format("HTTP/1.1 {} Scripted\r\nConnection: close\r\nContent-Length: {}\r\n",
                  answer.status, answer.body.size());
  for (const auto& [name, value] : answer.headers) text += fmt::format("{}: {}\r\n", name, value);
  out_ = to_bytes(as_bytes(text + "\r\n" + answer.body));
  leave(ConnectionEnd::refused);
}

void UpstreamConnection::upgrade(std::string_view key) {
  out_ =
      to_bytes(as_bytes(fmt::format("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                    "Connection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                                    websocket_accept(key))));
  phase_ = Phase::serving;
  state_.update(number_, [](ConnectionRecord& record) { record.is_upgraded = true; });
}

void UpstreamConnection::take_control(const ClientFrames::Control& control) {
  if (control.opcode == Opcode::close) return take_close(control.payload);
  const bool is_ping = control.opcode == Opcode::ping;
  if (is_ping && plan_.answers_pings && !is_mute_ && controls_.size() < kControlsMax) {
    append_server_frame(controls_, Opcode::pong, control.payload);
  }
  if (!is_ping) waits_for_pong_ = false;
  state_.update(number_, [&](ConnectionRecord& record) {
    (is_ping ? record.pings : record.pongs).push_back(control.payload);
  });
}

void UpstreamConnection::take_close(ByteView payload) {
  if (payload.size() == 1) return break_off("a close frame with half a code");
  state_.update(number_, [&](ConnectionRecord& record) {
    record.close_code = payload.empty() ? 1005 : load_be<std::uint16_t>(payload.data());
    record.close_reason = payload.empty() ? "" : as_text(payload.subspan(2));
  });
  if (is_mute_) return state_.end(number_, ConnectionEnd::closed_by_peer);
  const bool is_answer = phase_ == Phase::closing;
  if (!is_answer) {
    // A message in progress cannot be broken off by a close frame: TCP ends without one.
    if (!filler_) append_server_frame(controls_, Opcode::close, payload);
    filler_.reset();
    state_.end(number_, ConnectionEnd::closed_by_peer);
    out_.insert(out_.end(), controls_.begin(), controls_.end());
    controls_.clear();
  }
  phase_ = plan_.ends_tcp ? Phase::draining : Phase::closing;
}

void UpstreamConnection::leave(ConnectionEnd how) {
  phase_ = Phase::draining;
  ends_tls_ = how != ConnectionEnd::cut;
  state_.end(number_, how);
}

void UpstreamConnection::break_off(const std::string& violation) {
  state_.update(number_, [&](ConnectionRecord& record) {
    record.violation = violation;
    record.end = ConnectionEnd::broken;
  });
  phase_ = Phase::draining;
}

void UpstreamConnection::peer_is_gone(ConnectionEnd how) {
  phase_ = Phase::over;
  stream_.close();
  state_.update(number_, [&](ConnectionRecord& record) {
    record.has_peer_left = true;
    if (record.end != ConnectionEnd::open) return;
    record.end = how;
    if (how == ConnectionEnd::tls_failed) record.violation = stream_.failure();
  });
}

void UpstreamConnection::end_our_direction() {
  if (ends_tls_) stream_.send_tls_end();
  stream_.finish_writing();
  phase_ = Phase::ended;
}

}  // namespace standpipe::test
