#include "replay/server.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <map>
#include <thread>
#include <utility>

#include "replay/address_places.h"
#include "replay/listen_address.h"
#include "replay/net_thread.h"
#include "replay/pages.h"
#include "schema/base/descriptors.h"
#include "schema/base/log.h"
#include "schema/base/thread_name.h"

namespace standpipe::replay {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::milliseconds kAcceptPause{100};  // after the descriptors have run out
constexpr std::size_t kNetworkThreadsMax = 8;
// Connections beyond the limit that may wait for their 503; more are closed unheard.
constexpr std::size_t kRefusalsMax = 64;
// Descriptors that are not for connections: RocksDB's tables, logs, listeners.
constexpr std::size_t kDescriptorsReserved = 512;
constexpr std::size_t kSegmentsMin = 16;  // of a live log
constexpr std::size_t kSegmentBytesMin = 16 << 10;
constexpr int kBacklog = 4096;
constexpr std::string_view kRetryAfterSeconds = "5";

// A short log has short segments, or the newest one alone would be all of it.
LiveLog::Limits with_short_segments(LiveLog::Limits limits) {
  const std::size_t share = std::max(limits.bytes_max / kSegmentsMin, kSegmentBytesMin);
  limits.segment_bytes = std::min(limits.segment_bytes, share);
  return limits;
}

std::int64_t monotonic_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

class Server::Impl final : public ServerContext {
 public:
  Impl(const storage::Archive& archive, ServerOptions options, ServerHooks hooks,
       std::string_view version)
      : archive_(archive),
        options_(std::move(options)),
        hooks_(std::move(hooks)),
        version_(version),
        places_(connections_possible(), options_.connections_per_address_max),
        forward_places_(std::make_shared<AddressPlaces>(options_.forwards_max,
                                                        options_.forwards_per_address_max)),
        feeds_(archive, with_short_segments(options_.live_log)),
        egress_(options_.egress_max, monotonic_ms()),
        pool_(std::make_unique<ReadPool>(options_.read_threads)) {
    if (options_.network_threads == 0) {
      options_.network_threads =
          std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kNetworkThreadsMax);
    }
  }

  Result<void> listen(const ListenAddresses& addresses) {
    if (addresses.has_tls()) {
      STANDPIPE_TRY(certificate_, TlsCertificate::load(options_.tls_files));
    }
    for (const std::string& text : addresses.plain) {
      STANDPIPE_TRY(std::string taken, listen_at(text, /*is_tls=*/false));
      addresses_.plain.push_back(std::move(taken));
    }
    for (const std::string& text : addresses.tls) {
      STANDPIPE_TRY(std::string taken, listen_at(text, /*is_tls=*/true));
      addresses_.tls.push_back(std::move(taken));
    }
    for (const int fd : addresses.plain_inherited) {
      STANDPIPE_TRY(std::string taken, listen_on(fd, /*is_tls=*/false));
      addresses_.plain.push_back(std::move(taken));
    }
    for (const int fd : addresses.tls_inherited) {
      STANDPIPE_TRY(std::string taken, listen_on(fd, /*is_tls=*/true));
      addresses_.tls.push_back(std::move(taken));
    }
    return {};
  }

  void run() {
    for (std::size_t i = 0; i < options_.network_threads; ++i) {
      threads_.push_back(std::make_unique<NetThread>(*this));
    }
    for (Listener& listener : listeners_) accept(listener);
    accept_thread_ = std::thread([this] {
      name_this_thread("accept");
      accept_io_.run();
    });
  }

  void stop() {
    if (is_stopped_.exchange(true)) return;
    asio::post(accept_io_, [this] {
      error_code ignored;
      for (Listener& listener : listeners_) listener.acceptor.close(ignored);
      accept_io_.stop();
    });
    if (accept_thread_.joinable()) accept_thread_.join();
    std::vector<std::future<void>> drained;
    for (const auto& thread : threads_) {
      auto done = std::make_shared<std::promise<void>>();
      drained.push_back(done->get_future());
      thread->drain([done] { done->set_value(); });
    }
    const auto end = std::chrono::steady_clock::now() + options_.drain_timeout + options_.linger;
    for (const auto& one : drained) one.wait_until(end);
    for (const auto& thread : threads_) thread->stop();
    pool_.reset();  // its last reads still report to the threads, which are there and do not listen
  }

  void publish(storage::StreamId stream, storage::EpochNumber epoch,
               const std::vector<storage::WireRunPtr>& runs) {
    if (runs.empty()) return;
    const FeedPtr feed = feeds_.of_writer(stream, epoch, previous(runs.front()->first()));
    if (feed == nullptr) return;
    for (const storage::WireRunPtr& run : runs) feed->log.publish(*run);
    wake();
  }

  void refresh_streams() {
    feeds_.refresh();
    wake();
  }

  const ListenAddresses& addresses() const { return addresses_; }

  Result<bool> reload_certificate() {
    return certificate_ ? certificate_->reload_if_changed() : Result<bool>(false);
  }

  ServerStats stats() const {
    ServerStats sum;
    if (is_stopped_) return sum;
    for (const auto& thread : threads_) add(sum, thread->stats());
    sum.reads_pending = pool_->pending();
    const AddressPlaces::Stats places = places_.stats();
    sum.accepted = accepted_;
    sum.refused_address = places.refused_address;
    sum.refused_total = places.refused_total + refused_unheard_;
    const AddressPlaces::Stats forwards = forward_places_->stats();
    sum.forwards_open = forwards.taken;
    sum.forwards_refused = forwards.refused_address + forwards.refused_total;
    return sum;
  }

  std::map<std::string, std::size_t> live_bytes() const {
    std::map<std::string, std::size_t> bytes;
    for (const FeedPtr& feed : feeds_.newest()) bytes[feed->name] = feed->log.bytes();
    return bytes;
  }

  void show_status(const std::string& full, const std::string& tick) {
    board_->publish(full, tick);
  }

  // -- ServerContext ------------------------------------------------------------------------------
  const storage::Archive& archive() const override { return archive_; }
  const ServerOptions& options() const override { return options_; }
  Feeds& feeds() override { return feeds_; }
  ReadPool& read_pool() override { return *pool_; }
  SharedBucket& egress() override { return egress_; }
  std::string server_name() const override { return server_header(version_); }

  HttpReply answer(const PlainRoute& route) override {
    if (const auto* gaps = std::get_if<GapsRequest>(&route)) return answer_gaps(*gaps);
    if (const auto* health = std::get_if<HealthRequest>(&route)) {
      return health_reply(hooks_.health(), health->max_lag_s);
    }
    if (std::get<BannerRequest>(route).wants_page) return status_page_reply();
    std::vector<ServedStream> served;
    for (const storage::StreamInfo& stream : archive_.streams()) {
      served.push_back({stream.spec.name, stream.spec.kind});
    }
    return banner_reply(version_, served);
  }

  std::optional<HttpReply> page(std::string_view target) override {
    if (target.substr(0, target.find('?')) != kStatusEventsPath) return std::nullopt;
    return status_events_reply(board_);
  }

  bool is_catching_up(const std::string& stream) override {
    return hooks_.is_catching_up && hooks_.is_catching_up(stream);
  }

  std::optional<Refusal> take_place(const asio::ip::address& address) override {
    return refusal_of(places_.take(address), "serves", "connections", options_.connections_max,
                      options_.connections_per_address_max);
  }

  void give_place_back(const asio::ip::address& address) override { places_.give_back(address); }

  ForwardStart forward(const asio::any_io_executor& executor, ForwardCall call) override {
    const auto feed = feeds_.find(call.request.stream, storage::StreamKind::repos, std::nullopt);
    if (!feed && feed.error().code != Errc::unsupported) {
      return Refusal{404, {}, "NotFound", feed.error().detail};
    }
    if (!feed || !hooks_.forward) {
      return Refusal{501,
                     {},
                     "MethodNotImplemented",
                     fmt::format("{} is for an upstream to answer, and this host passes nothing on",
                                 call.request.nsid)};
    }
    call.request.stream = (*feed)->name;
    const asio::ip::address address = call.address;
    const auto taken = forward_places_->take(address);
    if (auto refused = refusal_of(taken, "passes on", "requests", options_.forwards_max,
                                  options_.forwards_per_address_max)) {
      return std::move(*refused);
    }
    std::shared_ptr<void> place(
        nullptr, [places = forward_places_, address](void*) { places->give_back(address); });
    return hooks_.forward(executor, std::move(call), std::move(place));
  }

 private:
  // Lowers options_.connections_max to what there are descriptors for.
  std::size_t connections_possible() {
    const std::size_t descriptors = raise_descriptor_limit();
    const std::size_t room = descriptors > 2 * kDescriptorsReserved
                                 ? descriptors - kDescriptorsReserved
                                 : descriptors / 2;
    if (options_.connections_max > room) {
      log_warn(
          fmt::format("connections are limited to {} instead of {}: {} descriptors are allowed "
                      "(ulimit -n)",
                      room, options_.connections_max, descriptors));
      options_.connections_max = room;
    }
    return options_.connections_max;
  }

  static std::optional<Refusal> refusal_of(AddressPlaces::Taken taken, std::string_view does,
                                           std::string_view what, std::size_t total_max,
                                           std::size_t per_address_max) {
    if (taken == AddressPlaces::Taken::place) return std::nullopt;
    const HttpHeaders retry{{"Retry-After", std::string(kRetryAfterSeconds)}};
    if (taken == AddressPlaces::Taken::full) {
      return Refusal{503, retry, "ServiceUnavailable",
                     fmt::format("this host {} at most {} {}", does, total_max, what)};
    }
    return Refusal{
        429, retry, "RateLimitExceeded",
        fmt::format("this host {} at most {} {} from one address", does, per_address_max, what)};
  }

  static void add(ServerStats& sum, const ServerStats& one) {
    sum.connections += one.connections;
    sum.subscribers += one.subscribers;
    sum.live += one.live;
    sum.backfill += one.backfill;
    sum.waiting += one.waiting;
    sum.blocked += one.blocked;
    sum.filtered += one.filtered;
    sum.subscribed += one.subscribed;
    sum.bytes_sent += one.bytes_sent;
    sum.frames_sent += one.frames_sent;
    sum.sends += one.sends;
    sum.cutovers += one.cutovers;
    sum.fallbacks += one.fallbacks;
    sum.pongs += one.pongs;
    for (std::size_t i = 0; i < kEndReasons; ++i) sum.ended[i] += one.ended[i];
    sum.request_bytes += one.request_bytes;
    sum.requests += one.requests;
    sum.requests_refused += one.requests_refused;
    sum.request_timeouts += one.request_timeouts;
    sum.forwards += one.forwards;
    sum.forwards_failed += one.forwards_failed;
    sum.forwarded_bytes += one.forwarded_bytes;
  }

  void wake() {
    for (const auto& thread : threads_) thread->wake();
  }

  HttpReply answer_gaps(const GapsRequest& request) {
    const auto info = archive_.find_stream(request.stream);
    if (!info) {
      return reply_of({404, {}, "NotFound", fmt::format("no stream '{}' here", request.stream)});
    }
    const storage::EpochNumber epoch = request.epoch.value_or(info->epochs.back().number);
    const auto gaps =
        archive_.gaps(info->id, epoch, request.after, request.before, request.limit + 1);
    if (!gaps) return reply_of({404, {}, "NotFound", gaps.error().detail});
    return gaps_reply(request.stream, epoch, *gaps, request.limit);
  }

  // The one with the fewest connections; of equals the next in turn.
  NetThread& next_thread() {
    NetThread* best = nullptr;
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      NetThread* one = threads_[(turn_ + i) % threads_.size()].get();
      if (best == nullptr || one->connections() < best->connections()) best = one;
    }
    ++turn_;
    return *best;
  }

  bool is_crowded() const {
    std::size_t connections = 0;
    for (const auto& thread : threads_) connections += thread->connections();
    return connections >= options_.connections_max + kRefusalsMax;
  }

  struct Listener {
    tcp::acceptor acceptor;
    bool is_tls = false;
  };

  // Returns the address with the port that was taken.
  Result<std::string> listen_at(const std::string& text, bool is_tls) {
    STANDPIPE_TRY(const tcp::endpoint endpoint, parse_listen_address(text));
    tcp::acceptor acceptor(accept_io_);
    error_code ec;
    acceptor.open(endpoint.protocol(), ec);
    if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec) acceptor.bind(endpoint, ec);
    if (!ec) acceptor.listen(kBacklog, ec);
    if (ec) {
      return Error{Errc::io, fmt::format("cannot listen at {}: {}", text, ec.message())};
    }
    listeners_.push_back({std::move(acceptor), is_tls});
    return to_text(listeners_.back().acceptor.local_endpoint());
  }

  // Of a socket that somebody else has opened, and keeps open when we are gone.
  Result<std::string> listen_on(int fd, bool is_tls) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    error_code ec;
    tcp::acceptor acceptor(accept_io_);
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
      acceptor.assign(address.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), fd, ec);
    }
    if (ec || !acceptor.is_open()) {
      return Error{Errc::io, fmt::format("cannot listen on descriptor {}: {}", fd, ec.message())};
    }
    listeners_.push_back({std::move(acceptor), is_tls});
    return to_text(listeners_.back().acceptor.local_endpoint());
  }

  void accept(Listener& listener) {
    NetThread& thread = next_thread();
    listener.acceptor.async_accept(
        thread.executor(), [this, &listener, &thread](const error_code& ec, tcp::socket socket) {
          if (ec == asio::error::operation_aborted) return;
          if (ec) {
            // Out of descriptors, most likely: others must close first.
            auto pause = std::make_shared<asio::steady_timer>(accept_io_, kAcceptPause);
            pause->async_wait([this, &listener, pause](const error_code& stopped) {
              if (!stopped) accept(listener);
            });
            return;
          }
          const bool is_too_many = is_crowded();
          ++(is_too_many ? refused_unheard_ : accepted_);
          if (!is_too_many) {
            TlsContextPtr tls = listener.is_tls ? certificate_->context() : nullptr;
            thread.serve(std::move(socket), std::move(tls));
          }
          accept(listener);
        });
  }

  const storage::Archive& archive_;
  ServerOptions options_;
  const ServerHooks hooks_;
  const std::string version_;
  const std::shared_ptr<StatusBoard> board_ = std::make_shared<StatusBoard>();

  // Given back up to the end of the threads.
  AddressPlaces places_;
  // These perhaps later: see ServerHooks::forward.
  const std::shared_ptr<AddressPlaces> forward_places_;
  std::atomic<std::uint64_t> accepted_ = 0, refused_unheard_ = 0;  // counted by the accept thread

  Feeds feeds_;
  SharedBucket egress_;
  std::unique_ptr<ReadPool> pool_;
  std::vector<std::unique_ptr<NetThread>> threads_;

  asio::io_context accept_io_{1};
  std::vector<Listener> listeners_;
  std::unique_ptr<TlsCertificate> certificate_;  // null: no listener has TLS
  ListenAddresses addresses_;
  std::size_t turn_ = 0;  // of the accept thread
  std::thread accept_thread_;
  std::atomic<bool> is_stopped_ = false;
};

std::vector<std::string> ListenAddresses::all() const {
  std::vector<std::string> both = plain;
  both.insert(both.end(), tls.begin(), tls.end());
  return both;
}

Result<void> check_listen_address(std::string_view text) {
  STANDPIPE_CHECK(parse_listen_address(text));
  return {};
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { impl_->stop(); }

Result<std::unique_ptr<Server>> Server::start(const storage::Archive& archive,
                                              const ListenAddresses& addresses,
                                              ServerOptions options, ServerHooks hooks,
                                              std::string_view version) {
  auto impl = std::make_unique<Impl>(archive, std::move(options), std::move(hooks), version);
  STANDPIPE_CHECK(impl->listen(addresses));
  impl->run();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

const ListenAddresses& Server::addresses() const { return impl_->addresses(); }
Result<bool> Server::reload_certificate() { return impl_->reload_certificate(); }
void Server::publish(storage::StreamId stream, storage::EpochNumber epoch,
                     const std::vector<storage::WireRunPtr>& runs) {
  impl_->publish(stream, epoch, runs);
}
void Server::refresh_streams() { impl_->refresh_streams(); }
ServerStats Server::stats() const { return impl_->stats(); }
std::map<std::string, std::size_t> Server::live_bytes() const { return impl_->live_bytes(); }
void Server::show_status(const std::string& full, const std::string& tick) {
  impl_->show_status(full, tick);
}
const ServerOptions& Server::options() const { return impl_->options(); }
void Server::stop() { impl_->stop(); }

}  // namespace standpipe::replay
