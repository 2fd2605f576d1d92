#include "tools/tail_url.h"

#include <fmt/format.h>
#include <poll.h>

#include <cstdio>
#include <memory>
#include <mutex>
#include <random>
#include <utility>

#include "schema/ascii.h"
#include "schema/base/clock.h"
#include "schema/datetime.h"
#include "schema/frame.h"
#include "tools/stop_signal.h"
#include "tools/values.h"

namespace standpipe::tools {
namespace {

using firehose::Flow;
using firehose::WsClient;
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
class Tail final : public firehose::WsHandler {
 public:
  Tail(const TailUrlOptions& options, FrameFilter filter,
       const std::function<Result<void>(const ViewFrame&)>& take)
      : options_(options), filter_(std::move(filter)), take_(take), position_(options.cursor) {}

  Result<void> run() {
    StopSignal signal([this] { stop(); });
    std::mt19937_64 random{std::random_device{}()};
    unsigned attempts = 0;
    while (!signal.was_raised()) {
      const WsEnd end = dial();
      if (error_) return *error_;
      if (is_done_ || signal.was_raised()) break;
      // Asked to end at `until`, a server that knows it does so.
      if (end.kind == WsEndKind::closed && end.close_code == 1000 && options_.until) break;
      if (end.http_status >= 400 && end.http_status < 500 && end.http_status != kTooManyRequests) {
        return Error{Errc::invalid, end.detail};
      }
      const double chance = std::uniform_real_distribution<double>(0, 1)(random);
      const firehose::ReconnectStep step =
          firehose::next_dial(attempts, {end.up_for, end.retry_after}, chance, options_.reconnect);
      attempts = step.attempts;
      fmt::print(stderr, "standpipe tail: {}; again in {} ms\n", one_line(end.detail),
                 step.delay.count());
      pollfd waited{signal.fd(), POLLIN, 0};
      ::poll(&waited, 1, static_cast<int>(step.delay.count()));
    }
    return {};
  }

  Flow on_open(const firehose::WsOpened&) override { return Flow::go_on; }

  Flow on_message(const WsMessage& message) override {
    return goes_on_after(message) ? Flow::go_on : Flow::end;
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

  WsEnd dial() {
    firehose::UpstreamUrl url = options_.url;
    url.query = query();
    const auto client = std::make_shared<WsClient>(options_.ws);
    {
      const std::lock_guard lock(mutex_);
      client_ = client;
    }
    return client->run(url, position_, *this);
  }

  void stop() {
    const std::lock_guard lock(mutex_);
    if (client_ != nullptr) client_->stop();
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

  std::mutex mutex_;  // guards client_
  std::shared_ptr<WsClient> client_;
};

}  // namespace

Result<void> tail_url(const TailUrlOptions& options,
                      const std::function<Result<void>(const ViewFrame&)>& take) {
  STANDPIPE_TRY(FrameFilter filter, FrameFilter::compile(options.wanted));
  Tail tail(options, std::move(filter), take);
  return tail.run();
}

}  // namespace standpipe::tools
