#include "archiver/firehose/client_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "archiver/firehose/errors.h"

namespace standpipe::firehose {
namespace {

constexpr std::string_view kReposUri = "wss://bsky.network/xrpc";
constexpr std::string_view kLabelsUri = "wss://mod.bsky.app/xrpc";
constexpr std::chrono::milliseconds kReposTimeout{30'000};
constexpr std::chrono::milliseconds kLabelsTimeout{300'000};
constexpr std::size_t kErrorTextMax = 1'000;  // of an error frame: servers have no business in more

UpstreamUrl url_of(UpstreamKind kind, const std::string& base_uri) {
  const std::string_view uri = !base_uri.empty()             ? std::string_view(base_uri)
                               : kind == UpstreamKind::repos ? kReposUri
                                                             : kLabelsUri;
  auto url = parse_upstream_url(uri, kind);
  if (!url) throw std::invalid_argument("base_uri: " + url.error().detail);
  return std::move(url).value();
}

void check(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

bool is_clean(const WsEnd& end) {
  return end.kind == WsEndKind::closed &&
         (end.close_code == 1000 || end.close_code == 1001 || end.close_code == 1005);
}

std::string what_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "something that is no std::exception";
  }
}

}  // namespace

std::string_view to_string(SkipReason reason) {
  switch (reason) {
    case SkipReason::text:
      return "text";
    case SkipReason::too_large:
      return "too_large";
    case SkipReason::malformed:
      return "malformed";
    case SkipReason::unknown_op:
      return "unknown_op";
    case SkipReason::duplicate:
      return "duplicate";
    case SkipReason::regression:
      return "regression";
    case SkipReason::error_frame:
      return "error_frame";
  }
  return "unknown";
}

void FrameQueue::push(MessageFrame frame) {
  bytes_ += frame.bytes().size();
  frames_.push_back(std::move(frame));
}

std::optional<MessageFrame> FrameQueue::pop() {
  if (frames_.empty()) return std::nullopt;
  std::optional<MessageFrame> frame(std::move(frames_.front()));
  frames_.pop_front();
  bytes_ -= frame->bytes().size();
  return frame;
}

void FrameQueue::clear() {
  frames_.clear();
  bytes_ = 0;
}

ClientCore::ClientCore(UpstreamKind kind, const Params& params, ClientOptions options)
    : options_(std::move(options)),
      kind_(kind),
      url_(url_of(kind, options_.base_uri)),
      cursor_(params.cursor) {
  check(options_.recv_timeout.value_or(std::chrono::milliseconds{0}).count() >= 0,
        "recv_timeout: 0 or more milliseconds, 0 for none");
  check(options_.connect_timeout.count() > 0, "connect_timeout: more than 0 milliseconds");
  static_assert(kFrameBytesMax == 5'242'880);
  check(options_.message_bytes_max > 0 && options_.message_bytes_max <= kFrameBytesMax,
        "message_bytes_max: 1 to 5,242,880 bytes");
  check(options_.queue_frames_max > 0 && options_.queue_bytes_max > 0,
        "queue_frames_max, queue_bytes_max: at least 1");
  check(!cursor_ || (*cursor_ >= kSeqNone && *cursor_ <= kSeqMax), "cursor: 0 to 2^53 - 1");
}

UpstreamOptions ClientCore::upstream_options() const {
  UpstreamOptions made;
  made.ws.connect_deadline = options_.connect_timeout;
  made.ws.idle_timeout =
      options_.recv_timeout.value_or(kind_ == UpstreamKind::repos ? kReposTimeout : kLabelsTimeout);
  made.ws.message_bytes_max = options_.message_bytes_max;
  made.ws.head_bytes = std::min(made.ws.head_bytes, options_.message_bytes_max);
  made.ws.user_agent = options_.user_agent;
  made.ws.tls_ca_file = options_.tls_ca_file;
  made.reconnect = options_.reconnect;
  return made;
}

// -- Any thread
// -------------------------------------------------------------------------------------

void ClientCore::update_params(const Params& params) {
  check(!params.cursor || (*params.cursor >= kSeqNone && *params.cursor <= kSeqMax),
        "cursor: 0 to 2^53 - 1");
  const std::lock_guard lock(mutex_);
  cursor_ = params.cursor;
  is_pinned_ = true;
}

std::optional<Seq> ClientCore::cursor() const {
  const std::lock_guard lock(mutex_);
  return cursor_;
}

ClientStats ClientCore::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

// -- A run
// ------------------------------------------------------------------------------------------

void ClientCore::begin(Deliver deliver, OnCallbackError on_callback_error) {
  deliver_ = std::move(deliver);
  on_callback_error_ = std::move(on_callback_error);
  failure_ = nullptr;
  is_over_ = false;
  has_dropped_ = false;
  delivered_ = done_ = std::nullopt;
  in_hand_ = stale_ = 0;
}

std::exception_ptr ClientCore::finish() {
  deliver_ = nullptr;
  on_callback_error_ = nullptr;
  is_stopping_ = false;
  return std::exchange(failure_, nullptr);
}

void ClientCore::done(const MessageFrame& frame) {
  if (!handed_back(frame)) return;
  Seq seq = *frame.seq();
  done_ = seq;
  while (!passed_.empty() && passed_.front().after <= done_) {
    seq = std::max(seq, passed_.front().seq);
    passed_.pop_front();
  }
  move_cursor(seq);
}

void ClientCore::failed(const MessageFrame& frame, const std::exception_ptr& thrown) {
  handed_back(frame);
  callback_failed(thrown);
}

// Whether the cursor is to follow it.
bool ClientCore::handed_back(const MessageFrame& frame) {
  if (!frame.seq()) return false;
  --in_hand_;
  if (stale_ == 0) return true;
  --stale_;
  return false;
}

// Of a frame that cannot be delivered: the cursor moves past it when what came before is done.
void ClientCore::pass_over(Seq seq) {
  if (last_ && seq <= *last_) return;
  last_ = seq;
  if (done_ == delivered_) {
    move_cursor(seq);
  } else if (!passed_.empty() && passed_.back().after == delivered_) {
    passed_.back().seq = seq;
  } else {
    // Where callbacks fail for ever, nothing is ever done. What is forgotten here is met again.
    if (passed_.size() > options_.queue_frames_max) passed_.pop_front();
    passed_.push_back({delivered_, seq});
  }
}

void ClientCore::move_cursor(Seq seq) {
  if (options_.cursor_mode == CursorMode::manual) return;
  const std::lock_guard lock(mutex_);
  if (!is_pinned_) cursor_ = seq;
}

void ClientCore::callback_failed(const std::exception_ptr& thrown) {
  {
    const std::lock_guard lock(mutex_);
    ++stats_.callback_errors;
  }
  if (!on_callback_error_) {
    log_error("firehose: a callback threw: " + what_of(thrown));
    return;
  }
  try {
    on_callback_error_(thrown);
  } catch (...) {
    log_error(fmt::format("firehose: on_callback_error threw: {}; it was told of: {}",
                          what_of(std::current_exception()), what_of(thrown)));
  }
}

template <typename Call>
void ClientCore::call_hook(const Call& call) {
  try {
    call();
  } catch (...) {
    callback_failed(std::current_exception());
  }
}

// -- UpstreamSink
// -----------------------------------------------------------------------------------

std::optional<Dial> ClientCore::before_dial() {
  if (is_stopping_ || is_over_ || failure_) return std::nullopt;
  const std::lock_guard lock(mutex_);
  // What was read ahead, or is in somebody's hands, is still to be handled: it must not come again.
  if (in_hand_ > 0 && !is_pinned_ && options_.cursor_mode == CursorMode::after_callback) {
    return Dial{last_};
  }
  is_pinned_ = false;
  last_ = delivered_ = done_ = cursor_;
  stale_ = in_hand_;
  passed_.clear();
  return Dial{cursor_};
}

Next ClientCore::on_connected(const WsOpened& opened, const Dial& dial) {
  {
    const std::lock_guard lock(mutex_);
    ++stats_.connections;
  }
  if (options_.hooks.on_connect) {
    call_hook([&] { options_.hooks.on_connect(opened, Params{dial.cursor}); });
  }
  return is_stopping_ ? Next::redial : Next::read;
}

bool ClientCore::on_disconnected(const WsEnd& end, std::chrono::milliseconds delay) {
  if (!end.was_open && end.kind != WsEndKind::stopped) {
    const std::lock_guard lock(mutex_);
    ++stats_.dials_failed;
  }
  if (is_clean(end) && options_.on_clean_close == CleanClose::stop) is_over_ = true;
  if (options_.hooks.on_disconnect) {
    call_hook([&] { options_.hooks.on_disconnect(end, delay); });
  }
  return !is_over_;
}

Next ClientCore::on_message(const WsMessage& message) {
  if (is_stopping_) return Next::redial;
  if (message.is_text) {
    skip({SkipReason::text, {}, {}, message.bytes_total, "a text message"});
    return Next::read;
  }
  if (!message.is_whole()) return on_too_large(message);
  MessageFrame frame = MessageFrame::from_bytes(message.bytes);
  switch (frame.why()) {
    case Unarchivable::archivable:
    case Unarchivable::info_frame:
      return on_frame(std::move(frame));
    case Unarchivable::seq_missing:
    case Unarchivable::seq_repeated:
    case Unarchivable::seq_not_integer:
    case Unarchivable::seq_out_of_range:
      // What a type that nobody knows is to carry, nobody knows either.
      if (frame.kind() == FrameKind::unknown) return on_frame(std::move(frame));
      return on_bad_frame(frame);
    case Unarchivable::error_frame:
      return on_error_frame(frame);
    case Unarchivable::op_unknown:
      skip({SkipReason::unknown_op, frame.why(), frame.seq(), frame.bytes().size(),
            fmt::format("op {}", frame.envelope().op)});
      return Next::read;
    default:
      return on_bad_frame(frame);
  }
}

// Spec: atproto event-stream, "Sequence Numbers": what does not rise is not processed. Several
// servers repeat the frame at the cursor, or at the end of their backlog: that is no reason to hang
// up on them.
Next ClientCore::on_frame(MessageFrame frame) {
  const std::optional<Seq> seq = frame.seq();
  if (seq && last_ && *seq <= *last_) {
    const bool is_duplicate = *seq == *last_;
    skip({is_duplicate ? SkipReason::duplicate : SkipReason::regression,
          {},
          seq,
          frame.bytes().size(),
          fmt::format("seq {} after {}", to_int(*seq), to_int(*last_))});
    return Next::read;
  }
  if (seq) {
    last_ = delivered_ = seq;
    ++in_hand_;
  }
  {
    const std::lock_guard lock(mutex_);
    stats_.bytes += frame.bytes().size();
    ++stats_.frames;
  }
  const Next next = deliver_(std::move(frame));
  return is_stopping_ ? Next::redial : next;
}

Next ClientCore::on_error_frame(const MessageFrame& frame) {
  const Envelope& envelope = frame.envelope();
  FirehoseError error(std::string(envelope.error_name.substr(0, kErrorTextMax)),
                      std::string(envelope.message.substr(0, kErrorTextMax)));
  if (options_.on_error_frame == OnErrorFrame::reconnect) {
    skip({SkipReason::error_frame, frame.why(), {}, frame.bytes().size(), error.what()});
    return Next::fail;
  }
  {
    const std::lock_guard lock(mutex_);
    stats_.bytes += frame.bytes().size();
    ++stats_.error_frames;
  }
  failure_ = std::make_exception_ptr(std::move(error));
  return Next::redial;
}

Next ClientCore::on_bad_frame(const MessageFrame& frame) {
  const std::string detail = fmt::format("{} at byte {}", to_string(frame.why()), frame.error_at());
  skip({SkipReason::malformed, frame.why(), frame.seq(), frame.bytes().size(), detail});
  if (options_.on_bad_frame == BadFrame::skip) return Next::read;
  if (options_.on_bad_frame == BadFrame::fail) {
    failure_ =
        std::make_exception_ptr(FirehoseDecodingError(std::string(to_string(frame.why())), detail));
    return Next::redial;
  }
  if (has_dropped_ && dropped_ == last_) return Next::read;
  has_dropped_ = true;
  dropped_ = last_;
  return Next::fail;
}

// The connection is kept, and the cursor moves past it: else it would come again for ever.
Next ClientCore::on_too_large(const WsMessage& message) {
  const std::optional<Seq> seq = scan_frame(message.bytes).envelope.seq;
  const std::string detail = fmt::format("{} bytes; message_bytes_max is {}", message.bytes_total,
                                         options_.message_bytes_max);
  skip({SkipReason::too_large, Unarchivable::too_large, seq, message.bytes_total, detail});
  if (options_.on_bad_frame != BadFrame::fail) {
    if (seq) pass_over(*seq);
    return Next::read;
  }
  failure_ = std::make_exception_ptr(
      FirehoseDecodingError(std::string(to_string(Unarchivable::too_large)), detail));
  return Next::redial;
}

void ClientCore::skip(Skip skip) {
  {
    const std::lock_guard lock(mutex_);
    stats_.bytes += skip.bytes;
    switch (skip.reason) {
      case SkipReason::text:
        ++stats_.text;
        break;
      case SkipReason::too_large:
        ++stats_.too_large;
        break;
      case SkipReason::malformed:
        ++stats_.malformed;
        break;
      case SkipReason::unknown_op:
        ++stats_.unknown_op;
        break;
      case SkipReason::duplicate:
        ++stats_.duplicates;
        break;
      case SkipReason::regression:
        ++stats_.regressions;
        break;
      case SkipReason::error_frame:
        ++stats_.error_frames;
        break;
    }
  }
  if (options_.hooks.on_skip) {
    call_hook([&] { options_.hooks.on_skip(skip); });
  } else {
    skips_.log(LogLevel::warn, fmt::format("firehose: passed over a message: {}: {}",
                                           to_string(skip.reason), skip.detail));
  }
}

}  // namespace standpipe::firehose
