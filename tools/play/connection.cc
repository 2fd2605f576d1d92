#include "tools/play/connection.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "tools/play/frame_edit.h"

namespace standpipe::tools::play {
namespace {

constexpr std::size_t kControlsMax = 65'536;  // pongs beyond this are dropped
constexpr std::int64_t kCursorMax = (std::int64_t{1} << 53) - 1;

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

Connection::Connection(ServerState& state, NetStream stream)
    : state_(state), stream_(std::move(stream)) {
  state_.add_waker(&wake_);
  if (!state_.options().http) is_aside_ = !take_number();
}

Connection::~Connection() { state_.remove_waker(&wake_); }

bool Connection::take_number() {
  number_ = state_.add_connection();
  if (number_) queued_plan_ = state_.take_plan();
  return number_.has_value();
}

void Connection::record(const std::function<void(ConnectionRecord&)>& change) {
  if (number_) state_.update(*number_, change);
}

void Connection::record_end(ConnectionEnd how) {
  record([how](ConnectionRecord& record) {
    if (record.end == ConnectionEnd::open) record.end = how;
  });
}

void Connection::run() {
  if (is_aside_) return stream_.reset();  // one too many
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
    record_end(ConnectionEnd::stopped);
  }
}

void Connection::stay_silent() {
  record([](ConnectionRecord& record) { record.is_silent = true; });
  while (phase_ != Phase::over && !state_.is_stopping()) {
    std::array<pollfd, 2> entries = {pollfd{stream_.fd(), POLLRDHUP, 0},
                                     pollfd{wake_.fd(), POLLIN, 0}};
    ::poll(entries.data(), entries.size(), -1);
    wake_.clear();
    if (entries[0].revents != 0) peer_is_gone(ConnectionEnd::left);
  }
}

bool Connection::turn() {
  bool has_moved = read_some();
  if (phase_ == Phase::over) return true;
  has_moved = write_some() || has_moved;
  if (phase_ == Phase::over || !out_.empty()) return has_moved;
  const bool is_running =
      phase_ == Phase::head || phase_ == Phase::waiting || phase_ == Phase::serving;
  if (is_running && state_.is_finishing() && !copies_) {
    leave(ConnectionEnd::stopped);
    return true;
  }
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
      record_end(ConnectionEnd::reset);
      return true;
    case Phase::ended:
      // A peer that has everything and goes on reading does not hold up the end.
      if (!state_.is_finishing() || !stream_.is_acknowledged()) return has_moved;
      stream_.close();
      phase_ = Phase::over;
      return true;
    default:
      return has_moved;
  }
}

void Connection::wait() {
  // The kernel does not tell when the peer has acknowledged: there is only asking again.
  const bool asks_again = phase_ == Phase::resetting ||
                          (phase_ == Phase::ended && state_.is_finishing()) ||
                          (phase_ == Phase::serving && awaits_acknowledgement_);
  int timeout = asks_again ? 1 : -1;
  if (is_delayed_ && phase_ == Phase::serving) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(resume_at_ - std::chrono::steady_clock::now());
    timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
  }
  std::array<pollfd, 2> entries = {pollfd{stream_.fd(), stream_.events(!out_.empty()), 0},
                                   pollfd{wake_.fd(), POLLIN, 0}};
  ::poll(entries.data(), entries.size(), timeout);
  wake_.clear();
}

bool Connection::read_some() {
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

bool Connection::write_some() {
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

void Connection::record_sent() {
  if (marks_.empty() || marks_.front().end > out_at_) return;
  record([this](ConnectionRecord& record) {
    const std::size_t seqs_max = state_.options().seqs_recorded_max;
    Sha256Digest digest{};  // of the last message; there is one
    for (; !marks_.empty() && marks_.front().end <= out_at_; marks_.pop_front()) {
      const Mark& mark = marks_.front();
      ++record.messages_sent;
      record.message_bytes_sent += mark.payload_bytes;
      digest = mark.digest;
      if (!mark.seq) continue;
      ++record.frames_sent;
      record.greatest_seq_sent = std::max(record.greatest_seq_sent, *mark.seq);
      if (record.seqs_sent.size() < seqs_max) record.seqs_sent.push_back(*mark.seq);
    }
    record.messages_sha256 = to_hex(digest);
  });
}

void Connection::take_bytes(ByteView bytes) {
  if (phase_ == Phase::head) take_head_bytes(bytes);
  if (phase_ != Phase::serving && phase_ != Phase::closing) return;  // what else comes is discarded
  while (phase_ == Phase::serving || phase_ == Phase::closing) {
    const auto control = from_peer_.take(bytes);
    if (!control) break;
    take_control(*control);
  }
  if (from_peer_.messages() != messages_recorded_) {
    messages_recorded_ = from_peer_.messages();
    record([this](ConnectionRecord& record) { record.messages = messages_recorded_; });
  }
  if (!from_peer_.violation().empty() && phase_ != Phase::draining) {
    break_off(from_peer_.violation());
  }
}

void Connection::take_head_bytes(ByteView& bytes) {
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

void Connection::take_request(std::string_view text) {
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
  if (state_.options().http) {
    if (const auto given = state_.options().http(request)) {
      is_aside_ = true;
      return answer(*given);
    }
  }
  if (!number_ && !take_number()) {
    is_aside_ = true;
    stream_.reset();
    phase_ = Phase::over;
    return;
  }
  // The plan before the record: who has seen the record may queue the plan of the next one.
  take_plan(request);
  // Where it begins is settled before anybody can see that it is there: what is appended by who has
  // seen it is sent to it.
  const StartPosition start = state_.start_of(request.cursor);
  index_ = start.index;
  first_index_ = start.index;
  record([&](ConnectionRecord& record) { record = request; });
  answer_request(request, line.substr(last + 1), cursor.has_value(), start);
}

void Connection::take_plan(const ConnectionRecord& request) {
  if (queued_plan_) {
    plan_ = std::move(*queued_plan_);
  } else if (state_.options().plan) {
    plan_ = state_.options().plan(*number_, request);
  }
}

void Connection::answer_request(const ConnectionRecord& request, std::string_view version,
                                bool has_cursor, const StartPosition& start) {
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
  } else if (const std::string fault = fault_of_request(request, version); !fault.empty()) {
    answer({400, {}, fault});
    break_off(fault);
  } else if (!has_cursor) {
    answer({400,
            {{"Content-Type", "application/json"}},
            R"({"error":"InvalidRequest","message":"cursor parameter invalid"})"});
  } else {
    upgrade(*request.header("Sec-WebSocket-Key"));
    begin_at(start, request.cursor.value_or(0) != 0);
  }
}

void Connection::begin_at(StartPosition start, bool has_cursor) {
  if (start.is_future) {
    put_message(Opcode::binary, error_frame("FutureCursor", "Cursor in the future."));
    append_server_frame(out_, Opcode::close, close_payload(1008, "FutureCursor"));
    phase_ = Phase::closing;
    return record_end(ConnectionEnd::future_cursor);
  }
  if (plan_.window && plan_.window->first_index > index_ && may_happen(plan_.window->id)) {
    index_ = plan_.window->first_index;
    first_index_ = index_;
    start.is_outdated = has_cursor;
  }
  if (start.is_outdated && state_.options().announces_outdated_cursor) {
    put_message(Opcode::binary, info_frame(kOutdatedCursor, kOutdatedCursorText));
  }
  order_plan();
}

void Connection::answer(const HttpAnswer& answer) {
  std::string text =
      fmt::format("HTTP/1.1 {} Scripted\r\nConnection: close\r\nContent-Length: {}\r\n",
                  answer.status, answer.body.size());
  for (const auto& [name, value] : answer.headers) text += fmt::format("{}: {}\r\n", name, value);
  out_ = to_bytes(as_bytes(text + "\r\n" + answer.body));
  leave(ConnectionEnd::refused);
}

void Connection::upgrade(std::string_view key) {
  out_ =
      to_bytes(as_bytes(fmt::format("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                    "Connection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                                    websocket_accept(key))));
  phase_ = Phase::serving;
  record([](ConnectionRecord& record) { record.is_upgraded = true; });
}

void Connection::take_control(const ClientFrames::Control& control) {
  if (control.opcode == Opcode::close) return take_close(control.payload);
  const bool is_ping = control.opcode == Opcode::ping;
  if (is_ping) {
    take_ping(control.payload);
  } else {
    waits_for_pong_ = false;
  }
  record([&](ConnectionRecord& record) {
    if (is_ping) ++record.pings_received;
    std::vector<Bytes>& recorded = is_ping ? record.pings : record.pongs;
    if (recorded.size() < kControlsRecordedMax) recorded.push_back(control.payload);
  });
}

void Connection::take_ping(ByteView payload) {
  if (is_mute_) return;
  if (!answers_pings_) answers_pings_ = plan_.answers_pings || !may_happen(plan_.pings_id);
  if (*answers_pings_ && controls_.size() < kControlsMax) {
    append_server_frame(controls_, Opcode::pong, payload);
  }
}

void Connection::take_close(ByteView payload) {
  if (payload.size() == 1) return break_off("a close frame with half a code");
  record([&](ConnectionRecord& record) {
    record.close_code = payload.empty() ? 1005 : load_be<std::uint16_t>(payload.data());
    record.close_reason = payload.empty() ? "" : as_text(payload.subspan(2));
  });
  if (is_mute_) return record_end(ConnectionEnd::closed_by_peer);
  const bool is_answer = phase_ == Phase::closing;
  if (!is_answer) {
    // A message in progress cannot be broken off by a close frame: TCP ends without one.
    if (!filler_) append_server_frame(controls_, Opcode::close, payload);
    filler_.reset();
    record_end(ConnectionEnd::closed_by_peer);
    out_.insert(out_.end(), controls_.begin(), controls_.end());
    controls_.clear();
  }
  phase_ = plan_.ends_tcp ? Phase::draining : Phase::closing;
}

void Connection::leave(ConnectionEnd how) {
  phase_ = Phase::draining;
  ends_tls_ = how != ConnectionEnd::cut;
  record_end(how);
}

void Connection::break_off(const std::string& violation) {
  record([&](ConnectionRecord& record) {
    record.violation = violation;
    // Also where it is ending already: what the peer did then is still against the rules.
    record.end = ConnectionEnd::broken;
  });
  phase_ = Phase::draining;
}

void Connection::peer_is_gone(ConnectionEnd how) {
  phase_ = Phase::over;
  stream_.close();
  record([&](ConnectionRecord& record) {
    if (record.end != ConnectionEnd::open) return;
    record.end = how;
    if (how == ConnectionEnd::tls_failed) record.violation = stream_.failure();
  });
}

void Connection::end_our_direction() {
  if (ends_tls_) stream_.send_tls_end();
  stream_.finish_writing();
  phase_ = Phase::ended;
}

}  // namespace standpipe::tools::play
