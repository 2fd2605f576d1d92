#include "archiver/firehose/async_client.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "archiver/firehose/client_core.h"
#include "archiver/firehose/upstream.h"

namespace standpipe::firehose {

namespace asio = boost::asio;

constexpr auto kNet = asio::as_tuple(asio::use_awaitable);

// All of it belongs to the strand, but what is said to belong to any thread. Whatever runs holds
// this object; so the client may go at any time.
class AsyncFirehoseClient::Impl : public std::enable_shared_from_this<AsyncFirehoseClient::Impl> {
 public:
  Impl(UpstreamKind kind, const asio::any_io_executor& executor, const Params& params,
       ClientOptions options)
      : core_(kind, params, std::move(options)),
        strand_(asio::make_strand(executor)),
        queue_(core_.options().queue_frames_max, core_.options().queue_bytes_max) {}

  // -- Any thread ---------------------------------------------------------------------------------

  ClientCore& core() { return core_; }
  const asio::any_io_executor& strand() const { return strand_; }

  void stop() {
    core_.ask_to_stop();
    const std::lock_guard lock(mutex_);
    if (link_) link_->stop();
  }

  // -- The strand ---------------------------------------------------------------------------------

  // Held by the operation that is under way: there is one at a time.
  class Turn {
   public:
    explicit Turn(Impl& impl) : impl_(impl) {
      if (std::exchange(impl_.is_taken_, true)) {
        throw std::logic_error("the client runs an operation already");
      }
    }
    ~Turn() { impl_.is_taken_ = false; }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Impl& impl_;
  };

  bool is_running() const { return is_running_; }

  void begin(OnCallbackError on_callback_error) {
    is_running_ = true;
    has_ended_ = is_put_off_ = false;
    core_.begin([this](MessageFrame frame) { return take(std::move(frame)); },
                std::move(on_callback_error));
    {
      const std::lock_guard lock(mutex_);
      link_ = std::make_unique<UpstreamLink>(strand_, core_.url(), core_.upstream_options(), core_);
      if (core_.is_stopping()) link_->stop();
    }
    // Runs within this call up to its first wait, hooks included, which may call stop().
    link_->start([self = shared_from_this()](std::exception_ptr thrown) {
      self->thrown_ = std::move(thrown);
      self->has_ended_ = true;
      self->wake();
    });
  }

  // The next one; nullopt, or what the run ends with, once it is over.
  static asio::awaitable<std::optional<MessageFrame>> pull(std::shared_ptr<Impl> self) {
    for (;;) {
      const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() != asio::cancellation_type::none) {
        throw boost::system::system_error(asio::error::operation_aborted);
      }
      if (!self->core_.is_stopping()) {
        std::optional<MessageFrame> frame = self->queue_.pop();
        if (frame) co_return frame;
        if (std::exchange(self->is_put_off_, false)) self->link_->resume();
      }
      if (self->has_ended_) {
        self->finish();
        co_return std::nullopt;
      }
      co_await wait(self);
    }
  }

  // The run is ended whatever it is at. Not to be cancelled.
  static asio::awaitable<void> abandon(std::shared_ptr<Impl> self) {
    self->stop();
    while (!self->has_ended_) {
      co_await wait(self);
    }
    try {
      self->finish();
    } catch (...) {
      // Whoever was cancelled is told so, and nothing else.
      static_cast<void>(0);
    }
  }

  std::optional<MessageFrame> current;  // that async_next() gave last

 private:
  Next take(MessageFrame frame) {
    queue_.push(std::move(frame));
    wake();
    is_put_off_ = queue_.is_full();
    return is_put_off_ ? Next::wait : Next::read;
  }

  void wake() {
    if (is_waiting_) ready_.cancel();
  }

  static asio::awaitable<void> wait(std::shared_ptr<Impl> self) {
    self->is_waiting_ = true;
    self->ready_.expires_at(std::chrono::steady_clock::time_point::max());
    [[maybe_unused]] auto waited = co_await self->ready_.async_wait(kNet);
    self->is_waiting_ = false;
  }

  void finish() {
    queue_.clear();
    std::exception_ptr failure = core_.finish();
    if (thrown_) failure = std::exchange(thrown_, nullptr);
    {
      const std::lock_guard lock(mutex_);
      link_.reset();
    }
    is_running_ = false;
    if (failure) std::rethrow_exception(failure);
  }

  ClientCore core_;
  const asio::any_io_executor strand_;
  FrameQueue queue_;
  asio::steady_timer ready_{strand_};
  bool is_taken_ = false;
  bool is_running_ = false;
  bool is_waiting_ = false;
  bool is_put_off_ = false;
  bool has_ended_ = false;
  std::exception_ptr thrown_;

  std::mutex mutex_;  // guards link_, which the strand alone changes
  std::unique_ptr<UpstreamLink> link_;
};

AsyncFirehoseClient::AsyncFirehoseClient(UpstreamKind kind, const asio::any_io_executor& executor,
                                         const Params& params, ClientOptions options)
    : impl_(std::make_shared<Impl>(kind, executor, params, std::move(options))) {}

AsyncFirehoseClient::~AsyncFirehoseClient() { impl_->stop(); }

asio::awaitable<std::optional<MessageFrame>> AsyncFirehoseClient::next(std::shared_ptr<Impl> impl) {
  const Impl::Turn turn(*impl);
  if (impl->current) impl->core().done(*impl->current);
  impl->current.reset();
  if (!impl->is_running()) impl->begin({});
  std::optional<MessageFrame> frame = co_await Impl::pull(impl);
  impl->current = frame;
  co_return frame;
}

asio::awaitable<void> AsyncFirehoseClient::run(std::shared_ptr<Impl> impl, OnMessage on_message,
                                               OnMessageAsync on_message_async,
                                               OnCallbackError on_callback_error) {
  const Impl::Turn turn(*impl);
  if (impl->is_running()) throw std::logic_error("async_next() runs this client");
  impl->begin(std::move(on_callback_error));
  std::exception_ptr cancelled;
  try {
    for (;;) {
      const std::optional<MessageFrame> frame = co_await Impl::pull(impl);
      if (!frame) co_return;
      std::exception_ptr thrown;
      try {
        if (on_message) {
          on_message(*frame);
        } else {
          co_await on_message_async(*frame);
        }
      } catch (...) {
        thrown = std::current_exception();
      }
      if (thrown) {
        impl->core().failed(*frame, thrown);
      } else {
        impl->core().done(*frame);
      }
    }
  } catch (...) {
    cancelled = std::current_exception();
  }
  if (impl->is_running()) {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await Impl::abandon(impl);
  }
  std::rethrow_exception(cancelled);
}

void AsyncFirehoseClient::stop() noexcept { impl_->stop(); }
void AsyncFirehoseClient::update_params(const Params& params) {
  impl_->core().update_params(params);
}
std::optional<Seq> AsyncFirehoseClient::cursor() const { return impl_->core().cursor(); }
ClientStats AsyncFirehoseClient::stats() const { return impl_->core().stats(); }
asio::any_io_executor AsyncFirehoseClient::executor() const { return impl_->strand(); }

}  // namespace standpipe::firehose
