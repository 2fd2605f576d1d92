#include "archiver/firehose/upstream.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "archiver/firehose/ws_connection.h"
#include "schema/base/assert.h"
#include "schema/base/thread_name.h"

namespace standpipe::firehose {

namespace asio = boost::asio;

constexpr auto kNet = asio::as_tuple(asio::use_awaitable);

// The coroutine run() owns the dialling; what other threads say to it is under mutex_, and posted
// where it has to wake up for it.
class UpstreamLink::Impl : public std::enable_shared_from_this<UpstreamLink::Impl> {
 public:
  Impl(const asio::any_io_executor& executor, UpstreamUrl url, UpstreamOptions options,
       UpstreamSink& sink)
      : url_(std::move(url)), options_(std::move(options)), sink_(sink), executor_(executor) {}

  void start(std::function<void(std::exception_ptr)> on_end) {
    asio::co_spawn(executor_, run(shared_from_this()), std::move(on_end));
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
      if (connection_) connection_->stop();
    }
    wake();
  }

  void resume() {
    const std::lock_guard lock(mutex_);
    if (connection_) connection_->resume();
  }

  void redial_now() {
    {
      const std::lock_guard lock(mutex_);
      is_hurried_ = true;
    }
    wake();
  }

  void hang_up(bool is_failure) {
    const std::lock_guard lock(mutex_);
    if (!connection_) return;
    is_hung_up_ = true;
    hang_up_is_failure_ = hang_up_is_failure_ || is_failure;
    connection_->stop();
  }

 private:
  // Passes on what the connection says, with the dial that it came of.
  class Session final : public WsHandler {
   public:
    Session(UpstreamSink& sink, const Dial& dial) : sink_(sink), dial_(dial) {}
    Flow on_open(const WsOpened& opened) override {
      return flow_of(sink_.on_connected(opened, dial_));
    }
    Flow on_message(const WsMessage& message) override {
      return flow_of(sink_.on_message(message));
    }
    bool has_failed() const { return has_failed_; }

   private:
    Flow flow_of(Next next) {
      if (next == Next::read) return Flow::go_on;
      if (next == Next::wait) return Flow::wait;
      has_failed_ = has_failed_ || next == Next::fail;
      return Flow::end;
    }

    UpstreamSink& sink_;
    const Dial& dial_;
    bool has_failed_ = false;
  };

  static asio::awaitable<void> run(std::shared_ptr<Impl> self) {
    unsigned attempts = 0;
    for (;;) {
      const std::optional<Dial> dial = self->sink_.before_dial();
      if (!dial) co_return;
      const std::shared_ptr<WsConnection> connection = self->make_connection();
      if (!connection) co_return;
      Session session(self->sink_, *dial);
      UpstreamUrl url = self->url_;
      url.query = dial->query;
      const WsEnd end = co_await connection->run(std::move(url), dial->cursor, session);
      const Ending ending = self->drop_connection(end, session.has_failed());
      ReconnectStep step{0, std::chrono::milliseconds{0}};
      if (ending.is_failure) {
        step = next_dial(attempts, {end.up_for, end.retry_after}, self->random_(self->source_),
                         self->options_.reconnect);
      }
      attempts = step.attempts;
      const bool goes_on = self->sink_.on_disconnected(end, step.delay);
      if (!goes_on || ending.is_stopping) co_return;
      const bool is_hurried = co_await self->wait(step.delay);
      if (is_hurried) attempts = 0;
    }
  }

  struct Ending {
    bool is_stopping = false;
    bool is_failure = true;
  };

  // Null once stopping.
  std::shared_ptr<WsConnection> make_connection() {
    auto connection = std::make_shared<WsConnection>(executor_, options_.ws);
    const std::lock_guard lock(mutex_);
    if (is_stopping_) return nullptr;
    connection_ = connection;
    is_hung_up_ = hang_up_is_failure_ = is_hurried_ = false;
    return connection;
  }

  Ending drop_connection(const WsEnd& end, bool has_failed) {
    const std::lock_guard lock(mutex_);
    connection_.reset();
    const bool is_ours =
        end.kind == WsEndKind::handler || (end.kind == WsEndKind::stopped && is_hung_up_);
    return {is_stopping_, is_ours ? hang_up_is_failure_ || has_failed : true};
  }

  // Whether it ended because somebody is in a hurry.
  asio::awaitable<bool> wait(std::chrono::milliseconds delay) {
    timer_.expires_after(delay);
    // What is said from here on is posted, and finds us waiting.
    if (!is_awaited()) {
      [[maybe_unused]] auto waited = co_await timer_.async_wait(kNet);
    }
    const std::lock_guard lock(mutex_);
    co_return is_hurried_;
  }

  bool is_awaited() const {
    const std::lock_guard lock(mutex_);
    return is_stopping_ || is_hurried_;
  }

  void wake() {
    asio::post(executor_, [self = shared_from_this()] { self->timer_.cancel(); });
  }

  const UpstreamUrl url_;
  const UpstreamOptions options_;
  UpstreamSink& sink_;  // not ours
  const asio::any_io_executor executor_;
  asio::steady_timer timer_{executor_};
  std::mt19937 source_{std::random_device{}()};
  std::uniform_real_distribution<double> random_{0.0, 1.0};

  mutable std::mutex mutex_;  // guards everything below, but for connection_ being run
  std::shared_ptr<WsConnection> connection_;  // changed by the coroutine alone
  bool is_stopping_ = false;
  bool is_hurried_ = false;
  bool is_hung_up_ = false;
  bool hang_up_is_failure_ = false;
};

UpstreamLink::UpstreamLink(const asio::any_io_executor& executor, UpstreamUrl url,
                           UpstreamOptions options, UpstreamSink& sink)
    : impl_(std::make_shared<Impl>(executor, std::move(url), std::move(options), sink)) {}
UpstreamLink::~UpstreamLink() = default;

void UpstreamLink::start(std::function<void(std::exception_ptr)> on_end) {
  impl_->start(std::move(on_end));
}
void UpstreamLink::stop() { impl_->stop(); }
void UpstreamLink::resume() { impl_->resume(); }
void UpstreamLink::redial_now() { impl_->redial_now(); }
void UpstreamLink::hang_up(bool is_failure) { impl_->hang_up(is_failure); }

class Upstream::Impl {
 public:
  Impl(UpstreamUrl url, UpstreamOptions options, UpstreamSink& sink)
      : link_(io_.get_executor(), std::move(url), std::move(options), sink) {}

  ~Impl() { stop(); }

  void start() {
    link_.start([](const std::exception_ptr& thrown) {
      STANDPIPE_ASSERT(!thrown, "a sink of Upstream throws");
    });
    thread_ = std::jthread([this] {
      name_this_thread("upstream");
      io_.run();
    });
  }

  void stop() {
    link_.stop();
    if (thread_.joinable()) thread_.join();
  }

  UpstreamLink& link() { return link_; }

 private:
  asio::io_context io_{1};
  UpstreamLink link_;
  std::jthread thread_;  // last: it uses everything above
};

Upstream::Upstream(UpstreamUrl url, UpstreamOptions options, UpstreamSink& sink)
    : impl_(std::make_unique<Impl>(std::move(url), std::move(options), sink)) {}
Upstream::~Upstream() = default;

void Upstream::start() { impl_->start(); }
void Upstream::stop() { impl_->stop(); }
void Upstream::redial_now() { impl_->link().redial_now(); }
void Upstream::hang_up(bool is_failure) { impl_->link().hang_up(is_failure); }

}  // namespace standpipe::firehose
