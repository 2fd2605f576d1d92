#include "archiver/upstream.h"

#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

namespace standpipe::archiver {

class Upstream::Impl {
 public:
  Impl(UpstreamUrl url, UpstreamOptions options, UpstreamSink& sink)
      : url_(std::move(url)), options_(std::move(options)), sink_(sink) {}

  ~Impl() { stop(); }

  void start() {
    thread_ = std::jthread([this] { run(); });
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
      if (client_) client_->stop();
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  void redial_now() {
    {
      const std::lock_guard lock(mutex_);
      is_hurried_ = true;
    }
    changed_.notify_all();
  }

  void hang_up(bool is_failure) {
    {
      const std::lock_guard lock(mutex_);
      if (!client_) return;
      is_hung_up_ = true;
      hang_up_is_failure_ = hang_up_is_failure_ || is_failure;
      client_->stop();
    }
  }

 private:
  // Passes on what the connection says, with the dial that it came of.
  class Session final : public WsHandler {
   public:
    Session(UpstreamSink& sink, const Dial& dial) : sink_(sink), dial_(dial) {}
    bool on_open(const WsOpened& opened) override { return sink_.on_connected(opened, dial_); }
    bool on_message(const WsMessage& message) override { return sink_.on_message(message); }

   private:
    UpstreamSink& sink_;
    const Dial& dial_;
  };

  void run() {
    unsigned attempts = 0;
    while (const std::optional<Dial> dial = sink_.before_dial()) {
      if (!make_client()) return;
      Session session(sink_, *dial);
      const WsEnd end = client_->run(url_, dial->cursor, session);
      const Ending ending = drop_client(end);
      ReconnectStep step{0, std::chrono::milliseconds{0}};
      if (ending.is_failure) {
        step = next_dial(attempts, {end.up_for, end.retry_after}, random_(source_),
                         options_.reconnect);
      }
      attempts = step.attempts;
      sink_.on_disconnected(end, step.delay);
      if (ending.is_stopping) return;
      if (wait(step.delay)) attempts = 0;
    }
  }

  struct Ending {
    bool is_stopping = false;
    bool is_failure = true;
  };

  // False once stopping.
  bool make_client() {
    auto client = std::make_unique<WsClient>(options_.ws);
    const std::lock_guard lock(mutex_);
    if (is_stopping_) return false;
    client_ = std::move(client);
    is_hung_up_ = hang_up_is_failure_ = is_hurried_ = false;
    return true;
  }

  Ending drop_client(const WsEnd& end) {
    const std::lock_guard lock(mutex_);
    client_.reset();
    const bool is_ours =
        end.kind == WsEndKind::handler || (end.kind == WsEndKind::stopped && is_hung_up_);
    return {is_stopping_, is_ours ? hang_up_is_failure_ : true};
  }

  // Whether it ended because somebody is in a hurry.
  bool wait(std::chrono::milliseconds delay) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, delay, [this] { return is_stopping_ || is_hurried_; });
    return is_hurried_;
  }

  const UpstreamUrl url_;
  const UpstreamOptions options_;
  UpstreamSink& sink_;  // not ours
  std::mt19937 source_{std::random_device{}()};
  std::uniform_real_distribution<double> random_{0.0, 1.0};

  std::mutex mutex_;  // guards everything below, but for client_ being run
  std::condition_variable changed_;
  std::unique_ptr<WsClient> client_;  // changed by the upstream's thread alone
  bool is_stopping_ = false;
  bool is_hurried_ = false;
  bool is_hung_up_ = false;
  bool hang_up_is_failure_ = false;
  std::jthread thread_;  // last: it uses everything above
};

Upstream::Upstream(UpstreamUrl url, UpstreamOptions options, UpstreamSink& sink)
    : impl_(std::make_unique<Impl>(std::move(url), std::move(options), sink)) {}
Upstream::~Upstream() = default;

void Upstream::start() { impl_->start(); }
void Upstream::stop() { impl_->stop(); }
void Upstream::redial_now() { impl_->redial_now(); }
void Upstream::hang_up(bool is_failure) { impl_->hang_up(is_failure); }

}  // namespace standpipe::archiver
