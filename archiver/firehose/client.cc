#include "archiver/firehose/client.h"

#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

#include "archiver/firehose/client_core.h"
#include "archiver/firehose/upstream.h"

namespace standpipe::firehose {

class FirehoseClient::Impl {
 public:
  Impl(UpstreamKind kind, const Params& params, ClientOptions options)
      : core_(kind, params, std::move(options)),
        queue_(core_.options().queue_frames_max, core_.options().queue_bytes_max) {}

  ClientCore& core() { return core_; }

  void start(const OnMessage& on_message, OnCallbackError on_callback_error) {
    begin_run(/*is_pulled=*/false);
    core_.begin(
        [this, &on_message](const MessageFrame& frame) {
          handle(on_message, frame);
          return Next::read;
        },
        std::move(on_callback_error));
    run_link();
    io_.run();
    end_run();
  }

  // -- One frame after the other ------------------------------------------------------------------

  void begin_pulling(OnCallbackError on_callback_error) {
    begin_run(/*is_pulled=*/true);
    core_.begin(
        [this](MessageFrame frame) {
          queue_.push(std::move(frame));
          is_put_off_ = queue_.is_full();
          return is_put_off_ ? Next::wait : Next::read;
        },
        std::move(on_callback_error));
    run_link();
  }

  // nullopt: it is over, and the run has ended.
  std::optional<MessageFrame> pull() {
    while (queue_.empty() && !core_.is_stopping()) {
      if (std::exchange(is_put_off_, false)) link_->resume();
      if (io_.run_one() == 0) break;
    }
    if (!core_.is_stopping()) {
      if (std::optional<MessageFrame> frame = queue_.pop()) return frame;
    }
    finish_pulling();
    return std::nullopt;
  }

  // Throws what the run ends with.
  void finish_pulling() {
    stop();
    io_.run();
    queue_.clear();
    end_run();
  }

  // -- Any thread ---------------------------------------------------------------------------------

  void stop() {
    core_.ask_to_stop();
    const std::lock_guard lock(mutex_);
    if (link_) link_->stop();
  }

  // start() has returned then, unless it is its own callback that asks.
  void stop_and_wait() {
    stop();
    std::unique_lock lock(mutex_);
    if (runner_ == std::this_thread::get_id()) return;
    changed_.wait(lock, [this] { return !is_running_ || is_pulled_; });
  }

 private:
  void begin_run(bool is_pulled) {
    const std::lock_guard lock(mutex_);
    if (is_running_) throw std::logic_error("the client runs already");
    is_running_ = true;
    is_pulled_ = is_pulled;
    runner_ = std::this_thread::get_id();
    link_ = std::make_unique<UpstreamLink>(io_.get_executor(), core_.url(),
                                           core_.upstream_options(), core_);
    if (core_.is_stopping()) link_->stop();
  }

  void run_link() {
    io_.restart();
    link_->start([this](std::exception_ptr thrown) { thrown_ = std::move(thrown); });
  }

  void end_run() {
    std::exception_ptr failure = core_.finish();
    if (thrown_) failure = std::exchange(thrown_, nullptr);
    {
      const std::lock_guard lock(mutex_);
      link_.reset();
      is_running_ = is_pulled_ = false;
      runner_ = {};
    }
    changed_.notify_all();
    if (failure) std::rethrow_exception(failure);
  }

  void handle(const OnMessage& on_message, const MessageFrame& frame) {
    try {
      on_message(frame);
    } catch (...) {
      core_.failed(frame, std::current_exception());
      return;
    }
    core_.done(frame);
  }

  ClientCore core_;
  boost::asio::io_context io_{1};
  // Of the run:
  FrameQueue queue_;
  bool is_put_off_ = false;
  std::exception_ptr thrown_;

  std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::unique_ptr<UpstreamLink> link_;
  bool is_running_ = false;
  bool is_pulled_ = false;  // a range runs, in which nobody may be
  std::thread::id runner_;
};

// start() holds the implementation, for a callback may end the client.

FirehoseClient::FirehoseClient(UpstreamKind kind, const Params& params, ClientOptions options)
    : impl_(std::make_shared<Impl>(kind, params, std::move(options))) {}

FirehoseClient::~FirehoseClient() { impl_->stop_and_wait(); }

void FirehoseClient::start(const OnMessage& on_message, OnCallbackError on_callback_error) {
  const std::shared_ptr<Impl> impl = impl_;
  impl->start(on_message, std::move(on_callback_error));
}

Messages FirehoseClient::messages(OnCallbackError on_callback_error) {
  return {impl_, std::move(on_callback_error)};
}

void FirehoseClient::stop() noexcept { impl_->stop(); }
void FirehoseClient::update_params(const Params& params) { impl_->core().update_params(params); }
std::optional<Seq> FirehoseClient::cursor() const { return impl_->core().cursor(); }
ClientStats FirehoseClient::stats() const { return impl_->core().stats(); }

Messages::Messages(std::shared_ptr<FirehoseClient::Impl> impl, OnCallbackError on_callback_error)
    : impl_(std::move(impl)), on_callback_error_(std::move(on_callback_error)) {}

Messages::~Messages() {
  if (!impl_ || !is_running_) return;
  try {
    impl_->finish_pulling();
  } catch (...) {
    // The loop was left: what the stream would have ended with is nobody's any more.
    static_cast<void>(0);
  }
}

Messages::iterator Messages::begin() {
  impl_->begin_pulling(std::move(on_callback_error_));
  is_running_ = true;
  advance();
  return iterator(this);
}

void Messages::advance() {
  if (current_) impl_->core().done(*current_);
  current_.reset();
  try {
    current_ = impl_->pull();
  } catch (...) {
    is_running_ = false;
    throw;
  }
  if (!current_) is_running_ = false;
}

}  // namespace standpipe::firehose
