#include "archiver/firehose/ws_connection.h"

#include <fmt/format.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <exception>
#include <utility>

#include "archiver/firehose/control_writer.h"
#include "archiver/firehose/resolver.h"
#include "archiver/firehose/server_frames.h"
#include "archiver/firehose/tls_client.h"
#include "archiver/firehose/ws_handshake.h"

namespace standpipe::firehose {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using SteadyClock = std::chrono::steady_clock;
using Tcp = asio::ip::tcp;
using PlainStream = beast::tcp_stream;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;
using Response = http::response<http::empty_body>;

constexpr auto kNet = asio::as_tuple(asio::use_awaitable);
constexpr std::uint32_t kAnswerHeadMax = 16 << 10;    // bytes
constexpr std::size_t kHandshakeBytesMax = 64 << 10;  // with what comes behind it
constexpr std::uint16_t kProtocolError = 1002;

// Beast's views, strings and fixed strings alike.
template <typename Text>
std::string_view as_view(const Text& text) {
  return {text.data(), text.size()};
}

UpgradeAnswer answer_of(const Response& response) {
  const auto text = [&](http::field name) { return as_view(response[name]); };
  const auto has = [&](http::field name) { return response.count(name) > 0; };
  return {response.version(),
          text(http::field::upgrade),
          text(http::field::connection),
          text(http::field::sec_websocket_accept),
          has(http::field::sec_websocket_extensions),
          has(http::field::sec_websocket_protocol)};
}

}  // namespace

// All of it belongs to the executor, but is_stopped_ and posting. Handlers that can outlive run()
// hold this object.
class WsConnection::Impl : public std::enable_shared_from_this<WsConnection::Impl> {
 public:
  Impl(const asio::any_io_executor& executor, WsOptions options)
      : options_(std::move(options)), executor_(executor) {}

  static asio::awaitable<WsEnd> run(std::shared_ptr<Impl> self, UpstreamUrl url,
                                    std::optional<Seq> cursor, WsHandler* handler) {
    self->handler_ = handler;
    self->cursor_ = cursor;
    WsEnd end;
    try {
      end = co_await self->converse(std::move(url));
    } catch (const std::exception& error) {
      end = end_of(WsEndKind::protocol, error.what());
    }
    self->deadline_.cancel();
    self->close_timer_.cancel();
    if (self->was_open_) {
      end.was_open = true;
      end.up_for = std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now() -
                                                                         self->opened_at_);
    }
    co_return end;
  }

  void stop() {
    is_stopped_ = true;
    asio::post(executor_, [self = shared_from_this()] { self->abort(); });
  }

  void resume() {
    asio::post(executor_, [self = shared_from_this()] {
      self->is_paused_ = false;
      self->resumed_.cancel();
    });
  }

 private:
  using Addresses = Result<std::vector<std::string>>;

  // What is awaited ends with an error; ended_by() says why.
  void abort() {
    if (stream_ != nullptr) stream_->close();
    lookup_done_.cancel();
    resumed_.cancel();
  }

  // `kind` and `detail`, unless it was we who made it fail.
  WsEnd ended_by(WsEndKind kind, std::string detail) const {
    if (is_stopped_) return end_of(WsEndKind::stopped, "stopped");
    if (is_too_late_) {
      return end_of(WsEndKind::timeout, fmt::format("no stream within {} ms, at: {}",
                                                    options_.connect_deadline.count(), doing_));
    }
    return end_of(kind, std::move(detail));
  }

  // -- Dialling ---------------------------------------------------------------------------------

  asio::awaitable<WsEnd> converse(UpstreamUrl url) {
    deadline_.expires_after(options_.connect_deadline);
    deadline_.async_wait([self = shared_from_this()](beast::error_code ec) {
      if (ec || self->was_open_) return;
      self->is_too_late_ = true;
      self->abort();
    });
    for (int redirects = 0;; ++redirects) {
      redirects_ = redirects;
      location_.reset();
      WsEnd end = co_await visit(url);
      if (!location_) co_return end;
      if (redirects >= options_.redirects_max) {
        co_return end_of(WsEndKind::redirect_loop,
                         fmt::format("more than {} redirects, the last one to {}",
                                     options_.redirects_max, location_->substr(0, 200)));
      }
      Result<UpstreamUrl> next = redirect_url(url, *location_);
      if (!next) co_return end_of(WsEndKind::redirect, next.error().detail);
      url = std::move(*next);
    }
  }

  // One host: sets location_ where it sends us on.
  asio::awaitable<WsEnd> visit(UpstreamUrl url) {
    url_ = url;
    doing_ = "resolving " + url.host;
    Addresses addresses = co_await resolve(url.host);
    if (is_stopped_ || is_too_late_) co_return ended_by(WsEndKind::stopped, {});
    if (!addresses) co_return end_of(WsEndKind::resolve, addresses.error().detail);
    if (url.is_tls) {
      WsEnd end = co_await visit_tls(std::move(*addresses));
      co_return end;
    }
    PlainStream stream(executor_);
    const Aborted aborted(*this, stream);
    std::string failed = co_await connect(stream, std::move(*addresses));
    if (!failed.empty()) co_return ended_by(WsEndKind::connect, std::move(failed));
    WsEnd end = co_await upgrade(stream);
    co_return end;
  }

  asio::awaitable<WsEnd> visit_tls(std::vector<std::string> addresses) {
    asio::ssl::context context(asio::ssl::context::tls_client);
    const Result<void> is_set_up = set_up_tls(context.native_handle(), options_.tls_ca_file);
    if (!is_set_up) co_return end_of(WsEndKind::tls, is_set_up.error().detail);
    TlsStream stream(executor_, context);
    const Aborted aborted(*this, beast::get_lowest_layer(stream));
    std::string failed = co_await connect(beast::get_lowest_layer(stream), std::move(addresses));
    if (!failed.empty()) co_return ended_by(WsEndKind::connect, std::move(failed));
    SSL* const ssl = stream.native_handle();
    if (!set_tls_host(ssl, url_.host)) {
      co_return end_of(WsEndKind::tls, "no certificate can be for " + url_.host);
    }
    doing_ = "the TLS handshake with " + url_.host;
    auto [ec] = co_await stream.async_handshake(asio::ssl::stream_base::client, kNet);
    if (ec) {
      const long verified = SSL_get_verify_result(ssl);
      const std::string why =
          verified == X509_V_OK ? ec.message() : X509_verify_cert_error_string(verified);
      co_return ended_by(WsEndKind::tls, fmt::format("TLS with {}: {}", url_.host, why));
    }
    WsEnd end = co_await upgrade(stream);
    co_return end;
  }

  asio::awaitable<Addresses> resolve(std::string host) {
    Addresses nothing = Error{Errc::closed, "not waited for"};
    beast::error_code ec;
    asio::ip::make_address(host, ec);
    if (!ec) {
      std::vector<std::string> itself(1, std::move(host));
      co_return itself;
    }
    found_.reset();
    lookup_done_.expires_at(SteadyClock::time_point::max());
    const Lookup lookup(std::move(host), options_.resolve,
                        [self = shared_from_this()](Addresses found) {
                          asio::post(self->executor_, [self, moved = std::move(found)]() mutable {
                            self->found_ = std::move(moved);
                            self->lookup_done_.cancel();
                          });
                        });
    // Where stop() or the deadline was first, its abort() found nothing to end.
    if (is_stopped_ || is_too_late_) co_return nothing;
    [[maybe_unused]] auto waited = co_await lookup_done_.async_wait(kNet);
    if (!found_) co_return nothing;
    co_return std::move(*found_);
  }

  // Empty once connected, else why not.
  asio::awaitable<std::string> connect(beast::tcp_stream& tcp, std::vector<std::string> addresses) {
    std::string failed;
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      beast::error_code ec;
      const auto ip = asio::ip::make_address(addresses[i], ec);
      if (ec) continue;
      const Tcp::endpoint peer(ip, url_.port);
      address_ = ip.is_v6() ? fmt::format("[{}]:{}", addresses[i], url_.port)
                            : fmt::format("{}:{}", addresses[i], url_.port);
      doing_ = "connecting to " + address_;
      if (is_stopped_ || is_too_late_) co_return "ended";
      // An address that swallows what is sent to it leaves the others their share of the time.
      const auto left = deadline_.expiry() - SteadyClock::now();
      tcp.expires_after(left / static_cast<int>(addresses.size() - i));
      auto [connect_ec] = co_await tcp.async_connect(peer, kNet);
      if (!connect_ec) {
        tcp.expires_never();
        tcp.socket().set_option(Tcp::no_delay(true), ec);
        co_return std::string();
      }
      if (!failed.empty()) failed += "; ";
      failed += fmt::format("{}: {}", address_, connect_ec.message());
    }
    co_return failed.empty() ? "the host has no address that can be used" : failed;
  }

  // The deadline of the dial holds until the stream is open.
  template <typename Stream>
  asio::awaitable<WsEnd> upgrade(Stream& stream) {
    doing_ = "the handshake with " + address_;
    const std::string key = fresh_websocket_key();
    http::request<http::empty_body> request(http::verb::get, target(url_, cursor_), 11);
    request.set(http::field::host, host_header(url_));
    request.set(http::field::upgrade, "websocket");
    request.set(http::field::connection, "Upgrade");
    request.set(http::field::sec_websocket_key, key);
    request.set(http::field::sec_websocket_version, "13");
    request.set(http::field::user_agent, options_.user_agent);
    auto [write_ec, written] = co_await http::async_write(stream, request, kNet);
    if (write_ec) co_return failed_handshake(write_ec);
    beast::flat_buffer buffer(kHandshakeBytesMax);
    http::response_parser<http::empty_body> parser;
    parser.header_limit(kAnswerHeadMax);
    parser.body_limit(boost::none);  // it is not read
    auto [read_ec, read] = co_await http::async_read_header(stream, buffer, parser, kNet);
    if (read_ec) co_return failed_handshake(read_ec);
    const Response& response = parser.get();
    if (response.result_int() != 101) co_return not_upgraded(response);
    if (const auto fault = fault_of(answer_of(response), key); !fault.empty()) {
      co_return ended_by(WsEndKind::protocol,
                         fmt::format("handshake with {}: {}", address_, fault));
    }
    if (is_stopped_ || is_too_late_) co_return ended_by(WsEndKind::stopped, {});
    ServerFrameReader frames(options_.message_bytes_max,
                             std::min(options_.head_bytes, options_.message_bytes_max));
    asio::buffer_copy(asio::buffer(frames.room().data(), frames.room().size()), buffer.data());
    frames.add(buffer.size());
    buffer.clear();
    // Whatever it throws must not pass by what uses `stream`: the timer, and what is being written.
    WsEnd end;
    try {
      end = co_await read_all(stream, frames);
    } catch (const std::exception& error) {
      end = end_of(WsEndKind::protocol, error.what());
    }
    is_watching_ = false;
    idle_timer_.cancel();
    if (writer_.is_writing()) stream_->close();
    co_await writer_.wait();
    co_return end;
  }

  WsEnd failed_handshake(beast::error_code ec) const {
    const bool is_gone = ec == http::error::end_of_stream || ec == asio::error::eof ||
                         ec.category() == asio::error::get_system_category();
    return ended_by(is_gone ? WsEndKind::lost : WsEndKind::protocol,
                    fmt::format("handshake with {}: {}", address_, ec.message()));
  }

  // Sets location_ where it is to go on.
  WsEnd not_upgraded(const Response& response) {
    if (!is_redirect(response.result_int())) {
      return refusal_of(response.result_int(), as_view(response.reason()),
                        as_view(response[http::field::retry_after]));
    }
    const auto location = response.find(http::field::location);
    if (location == response.end()) {
      return end_of(WsEndKind::redirect,
                    fmt::format("HTTP {} without a Location", response.result_int()));
    }
    location_ = std::string(as_view(location->value()));
    return {};
  }

  // -- Reading ----------------------------------------------------------------------------------

  template <typename Stream>
  asio::awaitable<WsEnd> read_all(Stream& stream, ServerFrameReader& frames) {
    was_open_ = true;
    opened_at_ = SteadyClock::now();
    deadline_.cancel();
    is_watching_ = options_.idle_timeout.count() > 0;
    has_received();
    watch_idle(stream);
    Flow flow = call_handler([this] { return handler_->on_open({url_, address_, redirects_}); });
    for (;;) {
      if (flow == Flow::wait) {
        co_await pause();
      }
      if (flow == Flow::end) co_return ended_by_handler();
      if (is_stopped_) co_return end_of(WsEndKind::stopped, "stopped");
      flow = Flow::go_on;
      const ServerEvent event = frames.next();
      if (event == ServerEvent::message) {
        flow = deliver(frames);
      } else if (event == ServerEvent::ping) {
        writer_.send(stream, client_control_frame(kOpcodePong, frames.payload()));
      } else if (event == ServerEvent::none) {
        const asio::mutable_buffer room(frames.room().data(), frames.room().size());
        auto [ec, size] = co_await stream.async_read_some(room, kNet);
        if (ec) co_return end_of_reading(ec);
        frames.add(size);
        has_received();
      } else if (event == ServerEvent::close) {
        WsEnd end = closed_by(frames.close_code(), as_text(frames.payload()));
        writer_.send(stream, client_close_frame(end.close_code));
        co_await expect_end(stream, frames);
        if (is_stopped_) co_return end_of(WsEndKind::stopped, "stopped");
        co_return end;
      } else if (event == ServerEvent::violation) {
        writer_.send(stream, client_close_frame(kProtocolError));
        co_return end_of(WsEndKind::protocol,
                         fmt::format("reading from {}: {}", address_, frames.why()));
      }
    }
  }

  Flow deliver(const ServerFrameReader& frames) {
    const WsMessage message{frames.message(), frames.message_bytes(), frames.is_text()};
    return call_handler([this, &message] { return handler_->on_message(message); });
  }

  // What it throws must not pass by what is being written.
  template <typename Call>
  Flow call_handler(const Call& call) {
    is_paused_ = true;  // resume() may come before we wait
    try {
      return call();
    } catch (const std::exception& error) {
      thrown_ = error.what();
    } catch (...) {
      thrown_ = "a handler threw something that is no std::exception";
    }
    return Flow::end;
  }

  WsEnd ended_by_handler() const {
    if (!thrown_.empty()) return end_of(WsEndKind::protocol, thrown_);
    return ended_by(WsEndKind::handler, "not wanted any more");
  }

  // While nobody wants more, nothing is read, and the peer's pongs cannot be seen.
  asio::awaitable<void> pause() {
    if (!is_paused_ || is_stopped_) co_return;
    is_put_off_ = true;
    resumed_.expires_at(SteadyClock::time_point::max());
    [[maybe_unused]] auto waited = co_await resumed_.async_wait(kNet);
    is_put_off_ = false;
    has_received();
  }

  // After both close frames the peer ends the connection, which it need not do.
  template <typename Stream>
  asio::awaitable<void> expect_end(Stream& stream, ServerFrameReader& frames) {
    is_watching_ = false;
    close_timer_.expires_after(options_.close_timeout);
    close_timer_.async_wait([self = shared_from_this()](beast::error_code ec) {
      if (!ec) self->abort();
    });
    for (;;) {
      const asio::mutable_buffer room(frames.room().data(), frames.room().size());
      auto [ec, size] = co_await stream.async_read_some(room, kNet);
      if (ec) co_return;
    }
  }

  WsEnd end_of_reading(beast::error_code ec) const {
    if (is_stopped_) return end_of(WsEndKind::stopped, "stopped");
    if (is_idle_) {
      return end_of(WsEndKind::idle,
                    fmt::format("nothing received for {} ms", options_.idle_timeout.count()));
    }
    return end_of(WsEndKind::lost, fmt::format("reading from {}: {}", address_, ec.message()));
  }

  // -- Liveness ---------------------------------------------------------------------------------

  void has_received() {
    received_at_ = SteadyClock::now();
    is_pinged_ = false;
  }

  // At half of idle_timeout without a byte we ping; the peer has the other half, whatever a handler
  // has kept us from seeing.
  template <typename Stream>
  void watch_idle(Stream& stream) {
    if (!is_watching_) return;
    const auto half = std::chrono::duration_cast<SteadyClock::duration>(options_.idle_timeout) / 2;
    const auto silence = SteadyClock::now() - received_at_;
    auto next_look = half;
    if (is_put_off_ || silence < half) {
      if (!is_put_off_) next_look = half - silence;
    } else if (!is_pinged_) {
      is_pinged_ = true;
      writer_.send(stream, client_control_frame(kOpcodePing, {}));
    } else {
      is_idle_ = true;
      abort();
      return;
    }
    idle_timer_.expires_after(next_look);
    idle_timer_.async_wait([self = shared_from_this(), &stream](beast::error_code ec) {
      if (!ec) self->watch_idle(stream);
    });
  }

  // While it lives, abort() closes `stream`.
  class Aborted {
   public:
    Aborted(Impl& impl, beast::tcp_stream& stream) : impl_(impl) { impl_.stream_ = &stream; }
    ~Aborted() { impl_.stream_ = nullptr; }
    Aborted(const Aborted&) = delete;
    Aborted& operator=(const Aborted&) = delete;

   private:
    Impl& impl_;
  };

  const WsOptions options_;
  const asio::any_io_executor executor_;
  asio::steady_timer deadline_{executor_};
  asio::steady_timer lookup_done_{executor_};
  asio::steady_timer close_timer_{executor_};
  asio::steady_timer resumed_{executor_};
  asio::steady_timer idle_timer_{executor_};
  ControlWriter writer_{executor_};
  WsHandler* handler_ = nullptr;  // not ours
  std::optional<Seq> cursor_;
  UpstreamUrl url_;      // what is being visited
  std::string address_;  // of it
  int redirects_ = 0;
  std::optional<Addresses> found_;       // by the lookup
  std::optional<std::string> location_;  // where it sends us on
  std::string doing_;                    // for the deadline's error
  beast::tcp_stream* stream_ = nullptr;  // what abort() closes
  bool is_too_late_ = false;
  bool was_open_ = false;
  SteadyClock::time_point opened_at_;
  std::string thrown_;       // by the handler
  bool is_paused_ = false;   // resume() has not been called since the handler was ...
  bool is_put_off_ = false;  // ... and is waited for
  bool is_watching_ = false;
  bool is_pinged_ = false;  // since we last received anything
  bool is_idle_ = false;    // for too long
  SteadyClock::time_point received_at_;
  std::atomic<bool> is_stopped_ = false;
};

WsConnection::WsConnection(const asio::any_io_executor& executor, WsOptions options)
    : impl_(std::make_shared<Impl>(executor, std::move(options))) {}
WsConnection::~WsConnection() = default;

asio::awaitable<WsEnd> WsConnection::run(UpstreamUrl url, std::optional<Seq> cursor,
                                         WsHandler& handler) {
  return Impl::run(impl_, std::move(url), cursor, &handler);
}
void WsConnection::stop() { impl_->stop(); }
void WsConnection::resume() { impl_->resume(); }

}  // namespace standpipe::firehose
