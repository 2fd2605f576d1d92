// What the clients have in common: which frames are delivered, from where the next dial goes on,
// and when it is over. Not for users of the library.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "archiver/firehose/client_options.h"
#include "archiver/firehose/message_frame.h"
#include "archiver/firehose/upstream.h"
#include "schema/base/clock.h"
#include "schema/base/log.h"

namespace standpipe::firehose {

// Frames that were read ahead. One thread at a time.
class FrameQueue {
 public:
  FrameQueue(std::size_t frames_max, std::size_t bytes_max)
      : frames_max_(frames_max), bytes_max_(bytes_max) {}

  void push(MessageFrame frame);
  std::optional<MessageFrame> pop();
  void clear();
  bool empty() const { return frames_.empty(); }
  bool is_full() const { return frames_.size() >= frames_max_ || bytes_ >= bytes_max_; }

 private:
  const std::size_t frames_max_;
  const std::size_t bytes_max_;
  std::deque<MessageFrame> frames_;
  std::size_t bytes_ = 0;
};

class ClientCore final : public UpstreamSink {
 public:
  using Deliver = std::function<Next(MessageFrame)>;

  // Throws std::invalid_argument.
  ClientCore(UpstreamKind kind, const Params& params, ClientOptions options);

  // -- Any thread ---------------------------------------------------------------------------------
  void update_params(const Params& params);
  std::optional<Seq> cursor() const;
  ClientStats stats() const;
  // The run that is on, or else the next one, delivers nothing more and is over.
  void ask_to_stop() { is_stopping_ = true; }
  bool is_stopping() const { return is_stopping_; }

  const ClientOptions& options() const { return options_; }
  const UpstreamUrl& url() const { return url_; }
  UpstreamOptions upstream_options() const;

  // -- The thread or executor of the run ----------------------------------------------------------
  // A run begins, which delivers to `deliver`.
  void begin(Deliver deliver, OnCallbackError on_callback_error);
  // It is over: what is to be thrown, if anything. A stop that was asked for is spent.
  std::exception_ptr finish();
  // Its callback has returned, or has thrown. One of them for each frame, in their order.
  void done(const MessageFrame& frame);
  void failed(const MessageFrame& frame, const std::exception_ptr& thrown);
  void callback_failed(const std::exception_ptr& thrown);

  std::optional<Dial> before_dial() override;
  Next on_connected(const WsOpened& opened, const Dial& dial) override;
  Next on_message(const WsMessage& message) override;
  bool on_disconnected(const WsEnd& end, std::chrono::milliseconds delay) override;

 private:
  Next on_frame(MessageFrame frame);
  Next on_error_frame(const MessageFrame& frame);
  Next on_bad_frame(const MessageFrame& frame);
  Next on_too_large(const WsMessage& message);
  void skip(Skip skip);
  bool handed_back(const MessageFrame& frame);
  void move_cursor(Seq seq);
  void pass_over(Seq seq);
  template <typename Call>
  void call_hook(const Call& call);

  const ClientOptions options_;
  const UpstreamKind kind_;
  const UpstreamUrl url_;
  LogEvery skips_{SystemClock::instance(), 60'000};

  // Of the run:
  Deliver deliver_;
  OnCallbackError on_callback_error_;
  std::exception_ptr failure_;
  bool is_over_ = false;
  std::optional<Seq> last_;  // of this connection: what is at or below it is not delivered again
  std::optional<Seq> delivered_;  // the last one; at first what was asked for
  std::optional<Seq> done_;       // likewise
  std::size_t in_hand_ = 0;       // frames with a seq, delivered and neither done nor failed yet
  std::size_t stale_ = 0;         // the first of them that update_params() has overtaken
  struct Passed {
    std::optional<Seq> after;  // was delivered, but is not done
    Seq seq{};
  };
  std::deque<Passed> passed_;   // frames that cannot be delivered; no more than were read ahead
  bool has_dropped_ = false;    // a connection, for a bad frame ...
  std::optional<Seq> dropped_;  // ... when the cursor was here

  std::atomic<bool> is_stopping_ = false;
  mutable std::mutex mutex_;  // guards everything below
  std::optional<Seq> cursor_;
  bool is_pinned_ = false;  // by update_params(), until a dial has sent it
  ClientStats stats_;
};

}  // namespace standpipe::firehose
