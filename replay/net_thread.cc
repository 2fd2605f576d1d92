#include "replay/net_thread.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <future>
#include <map>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "replay/subscriber.h"
#include "schema/base/log.h"
#include "schema/base/thread_name.h"

namespace standpipe::replay {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::steady_clock;

// A round of a few who are ready stays near 5 ms: so many bytes go out in it. Of many who are all
// behind it takes longer, some 40 ms of a thousand: smaller slices than the least one would cost
// each of them half as much CPU again (docs/performance.md), and so make all of them wait longer.
constexpr std::size_t kRoundBytes = 2 << 20;
constexpr std::size_t kSliceBytesMin = 128 << 10;
constexpr std::size_t kSliceBytesMax = 256 << 10;
constexpr std::chrono::milliseconds kReplayTurn{2};
constexpr std::chrono::milliseconds kTick{100};
constexpr std::chrono::milliseconds kEgressPause{10};

}  // namespace

class NetThread::Impl final : public SubscriberHost, public HttpHandler {
 public:
  explicit Impl(ServerContext& server)
      : server_(server),
        work_(asio::make_work_guard(io_)),
        tick_(io_),
        egress_timer_(io_),
        sessions_(*this, http_options(server)) {
    options = &server.options();
    archive = &server.archive();
    pool = &server.read_pool();
    egress = &server.egress();
    look_at_clock();
    asio::post(io_, [this] { arm_tick(); });
    thread_ = std::thread([this] { run(); });
  }

  ~Impl() override { stop(); }

  void stop() {
    if (!thread_.joinable()) return;
    asio::post(io_, [this] { end_at_once(); });
    thread_.join();
  }

  asio::io_context& io() { return io_; }

  void serve(asio::ip::tcp::socket socket, TlsContextPtr tls) {
    auto owned = std::make_shared<asio::ip::tcp::socket>(std::move(socket));
    asio::post(io_, [this, owned, tls = std::move(tls)] {
      if (is_draining_) return;
      sessions_.serve(Channel(std::move(*owned), tls));
      count_connections();
    });
  }

  std::size_t connections() const { return connections_; }

  void wake() {
    if (is_woken_.exchange(true)) return;
    asio::post(io_, [this] { on_wake(); });
  }

  void drain(std::function<void()> done) {
    asio::post(io_, [this, done = std::move(done)]() mutable {
      look_at_clock();
      is_draining_ = true;
      on_drained_ = std::move(done);
      sessions_.stop();
      const std::vector<SubscriberPtr> all(subscribers_.begin(), subscribers_.end());
      for (const SubscriberPtr& one : all)
        one->end(EndReason::shutdown, {}, options->drain_timeout);
      tell_if_drained();
    });
  }

  ServerStats snapshot() {
    std::promise<ServerStats> told;
    std::future<ServerStats> answer = told.get_future();
    asio::post(io_, [this, &told] {
      ServerStats now = stats;
      const HttpStats http = sessions_.stats();
      now.connections = http.open + subscribers_.size();
      now.request_bytes = http.request_bytes;
      now.requests = http.requests;
      now.requests_refused = http.refused;
      now.request_timeouts = http.timeouts;
      now.forwards = http.forwards;
      now.forwards_failed = http.forwards_failed;
      now.forwarded_bytes = http.forwarded_bytes;
      told.set_value(now);
    });
    return answer.get();
  }

  // -- SubscriberHost -----------------------------------------------------------------------------
  void schedule(const SubscriberPtr& subscriber) override {
    if (subscriber->is_queued || subscriber->is_gone()) return;
    subscriber->is_queued = true;
    (subscriber->is_live() ? live_ : replays_).push_back(subscriber);
    post_turn();
  }

  void schedule_later(const SubscriberPtr& subscriber) override {
    throttled_.push_back(subscriber);
    if (throttled_.size() > 1) return;
    egress_timer_.expires_after(kEgressPause);
    egress_timer_.async_wait([this](const error_code& ec) {
      if (ec) return;
      look_at_clock();
      for (const SubscriberPtr& one : std::exchange(throttled_, {})) schedule(one);
    });
  }

  void remove(const SubscriberPtr& subscriber) override {
    FeedView& view = subscriber->view();
    subscribers_.erase(subscriber);
    count_connections();
    if (--view.subscribers == 0) asio::post(io_, [this] { drop_idle_views(); });
    tell_if_drained();
  }

  void post(std::function<void()> work) override {
    asio::post(io_, [this, work = std::move(work)] {
      look_at_clock();
      work();
    });
  }

  std::int64_t now_ms() const override { return now_ms_; }

  // -- HttpHandler --------------------------------------------------------------------------------
  asio::awaitable<HttpReply> handle(PlainRoute route) override { co_return server_.answer(route); }

  std::optional<HttpReply> page(std::string_view target) override { return server_.page(target); }

  ForwardStart forward(ForwardCall call) override {
    return server_.forward(io_.get_executor(), std::move(call));
  }

  std::optional<Refusal> admit(const SubscribeRequest& request, Peer& peer) override {
    const auto feed = server_.feeds().find(request.stream, request.kind, request.epoch);
    if (!feed) {
      const bool has_none = feed.error().code == Errc::unsupported;
      return Refusal{has_none ? 501 : 404,
                     {},
                     has_none ? "MethodNotImplemented" : "NotFound",
                     feed.error().detail};
    }
    // Here, not once the handshake is done: nobody is let in and then finds no room.
    const asio::ip::address address = peer.address;
    auto refusal = server_.take_place(address);
    if (!refusal) {
      peer.place = std::shared_ptr<void>(
          nullptr, [&server = server_, address](void*) { server.give_place_back(address); });
    }
    return refusal;
  }

  void on_upgrade(Channel channel, SubscribeRequest request, Bytes leftover, Peer peer) override {
    look_at_clock();
    const auto feed = server_.feeds().find(request.stream, request.kind, request.epoch);
    if (!feed || is_draining_) return;
    ++stats.subscribed;
    FeedView& view = view_of(*feed);
    ++view.subscribers;
    auto subscriber = std::make_shared<Subscriber>(
        *this, view, std::move(channel), std::move(peer), std::move(request),
        [this, name = (*feed)->name] { return server_.is_catching_up(name); });
    subscribers_.insert(subscriber);
    subscriber->start(std::move(leftover));
  }

 private:
  static HttpOptions http_options(const ServerContext& server) {
    HttpOptions http;
    http.server = server.server_name();
    http.trusted_proxies = server.options().trusted_proxies;
    http.head_bytes_max = server.options().request_head_bytes_max;
    http.request_timeout = server.options().handshake_timeout;
    return http;
  }

  void run() {
    name_this_thread("network");
    for (;;) {
      try {
        io_.run();
        return;
      } catch (const std::exception& error) {
        log_error(std::string("network thread: ") + error.what());
      }
    }
  }

  void look_at_clock() {
    const auto since_start = steady_clock::now().time_since_epoch();
    now_ms_ = std::chrono::duration_cast<std::chrono::milliseconds>(since_start).count();
  }

  FeedView& view_of(const FeedPtr& feed) {
    std::unique_ptr<FeedView>& view = views_[feed.get()];
    if (view == nullptr) view = std::make_unique<FeedView>(feed);
    return *view;
  }

  // A view holds segments: it goes when nobody is sent from them.
  void drop_idle_views() {
    std::erase_if(views_, [](const auto& entry) { return entry.second->subscribers == 0; });
  }

  void on_wake() {
    is_woken_ = false;  // before looking: what is published from now on wakes again
    look_at_clock();
    for (auto& [feed, view] : views_) view->on_published();
  }

  void post_turn() {
    if (is_turn_posted_) return;
    is_turn_posted_ = true;
    asio::post(io_, [this] { turn(); });
  }

  void run_one(std::deque<SubscriberPtr>& queue, std::size_t slice) {
    const SubscriberPtr subscriber = std::move(queue.front());
    queue.pop_front();
    subscriber->is_queued = false;
    if (subscriber->pump(slice) == Subscriber::Pumped::again) schedule(subscriber);
  }

  void turn() {
    is_turn_posted_ = false;
    look_at_clock();
    const std::size_t ready = std::max<std::size_t>(1, live_.size() + replays_.size());
    const std::size_t slice = std::clamp(kRoundBytes / ready, kSliceBytesMin, kSliceBytesMax);
    for (std::size_t left = live_.size(); left > 0; --left) run_one(live_, slice);
    const auto end = steady_clock::now() + kReplayTurn;
    for (std::size_t left = replays_.size(); left > 0; --left) {
      run_one(replays_, slice);
      if (steady_clock::now() >= end) break;
    }
    if (!live_.empty() || !replays_.empty()) post_turn();
  }

  void arm_tick() {
    tick_.expires_after(kTick);
    tick_.async_wait([this](const error_code& ec) {
      // A tick that was due already is not cancelled: it must not arm the next one.
      if (ec || is_ended_) return;
      look_at_clock();
      const std::vector<SubscriberPtr> all(subscribers_.begin(), subscribers_.end());
      for (const SubscriberPtr& one : all) one->on_tick();
      count_connections();
      arm_tick();
    });
  }

  void count_connections() { connections_ = sessions_.stats().open + subscribers_.size(); }

  void tell_if_drained() {
    if (!is_draining_ || !subscribers_.empty() || on_drained_ == nullptr) return;
    asio::post(io_, std::exchange(on_drained_, nullptr));
  }

  void end_at_once() {
    is_draining_ = is_ended_ = true;
    sessions_.stop();
    const std::vector<SubscriberPtr> all(subscribers_.begin(), subscribers_.end());
    for (const SubscriberPtr& one : all) one->end_now();
    tick_.cancel();
    egress_timer_.cancel();
    work_.reset();
  }

  ServerContext& server_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::steady_timer tick_;
  asio::steady_timer egress_timer_;
  std::atomic<bool> is_woken_ = false;
  std::atomic<std::size_t> connections_ = 0;

  // Of the thread alone, all that follows:
  std::int64_t now_ms_ = 0;
  HttpSessions sessions_;
  std::map<const Feed*, std::unique_ptr<FeedView>> views_;
  std::unordered_set<SubscriberPtr> subscribers_;
  std::deque<SubscriberPtr> live_;     // ready
  std::deque<SubscriberPtr> replays_;  // ready
  std::vector<SubscriberPtr> throttled_;
  bool is_turn_posted_ = false;
  bool is_draining_ = false;
  bool is_ended_ = false;
  std::function<void()> on_drained_;

  std::thread thread_;
};

NetThread::NetThread(ServerContext& server) : impl_(std::make_unique<Impl>(server)) {}
NetThread::~NetThread() = default;
asio::any_io_executor NetThread::executor() { return impl_->io().get_executor(); }
void NetThread::serve(asio::ip::tcp::socket socket, TlsContextPtr tls) {
  impl_->serve(std::move(socket), std::move(tls));
}
std::size_t NetThread::connections() const { return impl_->connections(); }
void NetThread::wake() { impl_->wake(); }
void NetThread::drain(std::function<void()> done) { impl_->drain(std::move(done)); }
void NetThread::stop() { impl_->stop(); }
ServerStats NetThread::stats() const { return impl_->snapshot(); }

}  // namespace standpipe::replay
