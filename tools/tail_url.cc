#include "tools/tail_url.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <exception>
#include <utility>

#include "archiver/firehose/upstream.h"
#include "schema/ascii.h"
#include "schema/base/clock.h"
#include "schema/datetime.h"
#include "schema/frame.h"
#include "tools/stop_signal.h"
#include "tools/values.h"

namespace standpipe::tools {
namespace {

using firehose::Dial;
using firehose::Next;
using firehose::WsEnd;
using firehose::WsEndKind;
using firehose::WsMessage;

constexpr int kTooManyRequests = 429;

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (is_ascii_alphanumeric(c) || std::string_view("-._~:*").find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

// One tail, over all of its connections.
class Tail final : public firehose::UpstreamSink {
 public:
  Tail(const TailUrlOptions& options, FrameFilter filter,
       const std::function<Result<void>(const ViewFrame&)>& take)
      : options_(options), filter_(std::move(filter)), take_(take), position_(options.cursor) {}

  Result<void> run() {
    boost::asio::io_context io{1};
    firehose::UpstreamLink link(io.get_executor(), options_.url, {options_.ws, options_.reconnect},
                                *this);
    const StopSignal signal([&] {
      is_stopping_ = true;
      link.stop();
    });
    link.start([](const std::exception_ptr& thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
    io.run();
    if (error_) return *error_;
    return {};
  }

  std::optional<Dial> before_dial() override { return Dial{position_, query()}; }

  Next on_connected(const firehose::WsOpened&, const Dial&) override { return Next::read; }

  Next on_message(const WsMessage& message) override {
    return goes_on_after(message) ? Next::read : Next::fail;
  }

  bool on_disconnected(const WsEnd& end, std::chrono::milliseconds delay) override {
    if (error_ || is_done_ || is_stopping_) return false;
    // Asked to end at `until`, a server that knows it does so.
    if (end.kind == WsEndKind::closed && end.close_code == 1000 && options_.until) return false;
    if (end.http_status >= 400 && end.http_status < 500 && end.http_status != kTooManyRequests) {
      error_ = Error{Errc::invalid, end.detail};
      return false;
    }
    fmt::print(stderr, "standpipe tail: {}; again in {} ms\n", one_line(end.detail), delay.count());
    return true;
  }

 private:
  bool goes_on_after(const WsMessage& message) {
    if (message.is_text || !message.is_whole()) {
      fmt::print(stderr, "standpipe tail: passed over {} of {} bytes\n",
                 message.is_text ? "a text message" : "a frame that is too large",
                 message.bytes_total);
      return true;
    }
    const FrameScan scan = scan_frame(message.bytes);
    const Envelope& envelope = scan.envelope;
    switch (scan.why) {
      case Unarchivable::archivable:
        return on_frame(envelope, message.bytes);
      case Unarchivable::info_frame:
        fmt::print(stderr, "standpipe tail: the server says {}: {}\n",
                   one_line(envelope.error_name), one_line(envelope.message));
        return true;
      case Unarchivable::error_frame:
        return on_error(envelope);
      default:
        fmt::print(stderr, "standpipe tail: passed over what is no frame: {} at byte {}\n",
                   to_string(scan.why), scan.error_at);
        return true;
    }
  }

  // What a standpipe takes, and others ignore.
  std::string query() const {
    std::string query;
    const auto add = [&query](std::string_view name, std::string_view value) {
      if (!query.empty()) query += '&';
      query += fmt::format("{}={}", name, percent_encoded(value));
    };
    const bool by_time = options_.from_ms && !position_;
    if (by_time) add("time", format_datetime_ms(*options_.from_ms));
    if (options_.until && (by_time || position_)) {
      add("until", std::to_string(to_int(*options_.until)));
    }
    for (const std::string& did : options_.wanted.dids) add("wantedDids", did);
    for (const std::string& one : options_.wanted.collections) add("wantedCollections", one);
    return query;
  }

  bool on_frame(const Envelope& envelope, ByteView bytes) {
    // Some servers repeat a frame or two with each connection.
    if (position_ && *envelope.seq <= *position_) return true;
    if (options_.until && *envelope.seq > *options_.until) return end();
    position_ = *envelope.seq;
    if (filter_.passes(bytes)) {
      ViewFrame frame;
      frame.seq = *envelope.seq;
      frame.bytes = bytes;
      frame.received_first_ms = frame.received_last_ms = SystemClock::instance().now_ms();
      auto taken = take_(frame);
      if (!taken) {
        error_ = std::move(taken).error();
        return false;
      }
    }
    return options_.until && position_ >= *options_.until ? end() : true;
  }

  bool on_error(const Envelope& envelope) {
    const std::string text =
        fmt::format("the server says {}: {}", envelope.error_name, envelope.message);
    // Whoever was too slow may go on from where it stood; all else would be said again.
    if (envelope.error_name != "ConsumerTooSlow") {
      error_ = Error{Errc::closed, one_line(text)};
    } else {
      fmt::print(stderr, "standpipe tail: {}\n", one_line(text));
    }
    return false;
  }

  bool end() {
    is_done_ = true;
    return false;
  }

  const TailUrlOptions& options_;
  const FrameFilter filter_;
  const std::function<Result<void>(const ViewFrame&)>& take_;
  std::optional<Seq> position_;  // everything up to here has been taken
  bool is_done_ = false;
  std::optional<Error> error_;
  std::atomic<bool> is_stopping_ = false;
};

}  // namespace

Result<void> tail_url(const TailUrlOptions& options,
                      const std::function<Result<void>(const ViewFrame&)>& take) {
  STANDPIPE_TRY(FrameFilter filter, FrameFilter::compile(options.wanted));
  Tail tail(options, std::move(filter), take);
  return tail.run();
}

}  // namespace standpipe::tools
