#include "tools/sim/host.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "replay/http_session.h"
#include "replay/listen_address.h"
#include "replay/pages.h"
#include "schema/base/log.h"
#include "tools/sim/host_state.h"
#include "tools/sim/host_subscriber.h"

namespace standpipe::tools::sim {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using storage::StreamKind;

constexpr std::chrono::milliseconds kAcceptPause{100};  // after the descriptors have run out
constexpr std::uint64_t kRequestersMax = 256;           // connections beside the subscribers'

std::string json_text(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

class Host::Impl final : public replay::HttpHandler {
 public:
  explicit Impl(const HostOptions& options)
      : options_(options),
        state_(options.spec),
        acceptor_(io_),
        pause_(io_),
        sessions_(*this, http_options(options.version)) {}

  ~Impl() override { stop(); }

  Result<void> begin() {
    return state_.begin(options_.repos_after, options_.labels_after, options_.is_stopping);
  }

  Result<void> listen() {
    STANDPIPE_TRY(const tcp::endpoint endpoint, replay::parse_listen_address(options_.listen));
    error_code ec;
    acceptor_.open(endpoint.protocol(), ec);
    if (!ec) acceptor_.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec) acceptor_.bind(endpoint, ec);
    if (!ec) acceptor_.listen(asio::socket_base::max_listen_connections, ec);
    if (ec) {
      return Error{Errc::io, fmt::format("cannot listen at {}: {}", options_.listen, ec.message())};
    }
    address_ = replay::to_text(acceptor_.local_endpoint());
    accept();
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void stop() {
    if (!thread_.joinable()) return;
    asio::post(io_, [this] {
      is_stopped_ = true;
      error_code ignored;
      acceptor_.close(ignored);
      pause_.cancel();
      sessions_.stop();
    });
    thread_.join();
    for (HostSubscriber& subscriber : subscribers_) subscriber.stop();
    subscribers_.clear();
  }

  const std::string& address() const { return address_; }
  HostState& state() { return state_; }

  // -- HttpHandler --------------------------------------------------------------------------------
  asio::awaitable<replay::HttpReply> handle(replay::PlainRoute route) override {
    replay::HttpReply reply;
    if (std::holds_alternative<replay::GapsRequest>(route)) {
      reply = replay::reply_of({404, {}, "NotFound", "a simulated host has no gaps"});
    } else if (std::holds_alternative<replay::HealthRequest>(route)) {
      reply.body = json_text({{"status", "ok"},
                              {"repos", to_int(state_.newest(StreamKind::repos))},
                              {"labels", to_int(state_.newest(StreamKind::labels))}});
    } else {
      reply.content_type = "text/plain; charset=utf-8";
      reply.body = fmt::format(
          "A simulated network: {}\n\n  ws://{}{}\n  ws://{}{}\n  http://{}/did:plc:...\n",
          to_string(options_.spec), address_, replay::subscribe_path(StreamKind::repos), address_,
          replay::subscribe_path(StreamKind::labels), address_);
    }
    co_return reply;
  }

  std::optional<replay::HttpReply> page(std::string_view target) override {
    if (!target.starts_with("/did:")) return std::nullopt;
    const std::string_view did = target.substr(1, target.find('?') - 1);
    replay::HttpReply reply;
    if (auto document = state_.did_document(did)) {
      reply.content_type = "application/did+ld+json";
      reply.body = std::move(*document);
    } else {
      reply.status = 404;
      reply.body = json_text({{"message", "DID not registered: " + std::string(did)}});
    }
    return reply;
  }

  std::optional<replay::Refusal> admit(const replay::SubscribeRequest& request,
                                       replay::Peer& peer) override {
    if (!request.stream.empty()) {
      return replay::Refusal{404, {}, "NotFound", "a simulated host has two streams, at its root"};
    }
    subscribers_.remove_if([](const HostSubscriber& one) { return one.has_ended(); });
    if (places_taken() < options_.subscribers_max) {
      peer.place = places_;
      return std::nullopt;
    }
    return replay::Refusal{
        503,
        {{"Retry-After", "5"}},
        "ServiceUnavailable",
        fmt::format("this host makes frames for at most {} subscribers", options_.subscribers_max)};
  }

  void on_upgrade(replay::Channel channel, replay::SubscribeRequest request, Bytes leftover,
                  replay::Peer peer) override {
    error_code ec;
    const int fd = channel.socket().release(ec);
    if (ec) return;
    try {
      subscribers_.emplace_back(fd, std::move(leftover),
                                HostSubscription{request.kind, request.cursor}, state_,
                                std::move(peer.place));
    } catch (const std::exception& error) {
      ::close(fd);
      log_error(fmt::format("no subscriber more of the simulated network: {}", error.what()));
    }
  }

 private:
  static replay::HttpOptions http_options(std::string_view version) {
    replay::HttpOptions http;
    http.server = replay::server_header(version);
    return http;
  }

  // By subscribers, and by who is about to be one.
  std::size_t places_taken() const { return static_cast<std::size_t>(places_.use_count()) - 1; }

  void run() {
    for (;;) {
      try {
        io_.run();
        return;
      } catch (const std::exception& error) {
        log_error(std::string("simulated host: ") + error.what());
      }
    }
  }

  void accept() {
    acceptor_.async_accept([this](const error_code& ec, tcp::socket socket) {
      if (is_stopped_) return;
      if (!ec) {
        // One too many is closed unheard.
        if (sessions_.stats().open < kRequestersMax)
          sessions_.serve(replay::Channel(std::move(socket)));
        return accept();
      }
      pause_.expires_after(kAcceptPause);
      pause_.async_wait([this](const error_code&) {
        if (!is_stopped_) accept();
      });
    });
  }

  const HostOptions options_;
  HostState state_;
  std::string address_;
  asio::io_context io_{1};
  // Of the thread alone while it runs, all that follows:
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  replay::HttpSessions sessions_;
  const std::shared_ptr<void> places_ = std::make_shared<char>();  // shared by all who have one
  std::list<HostSubscriber> subscribers_;
  bool is_stopped_ = false;
  std::thread thread_;
};

Result<std::unique_ptr<Host>> Host::start(const HostOptions& options) {
  STANDPIPE_CHECK(check_options(options.spec.network));
  auto impl = std::make_unique<Impl>(options);
  STANDPIPE_CHECK(impl->begin());
  STANDPIPE_CHECK(impl->listen());
  return std::unique_ptr<Host>(new Host(std::move(impl)));
}

Host::Host(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Host::~Host() = default;

const std::string& Host::address() const { return impl_->address(); }
std::string Host::url(StreamKind kind) const {
  return fmt::format("ws://{}{}", impl_->address(), replay::subscribe_path(kind));
}
const Clock& Host::clock() const { return impl_->state().clock(); }
Seq Host::newest(StreamKind kind) const { return impl_->state().handed_out(kind); }
void Host::stop() { impl_->stop(); }

}  // namespace standpipe::tools::sim
