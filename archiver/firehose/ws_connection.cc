#include "archiver/firehose/ws_connection.h"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

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
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <exception>
#include <utility>

#include "archiver/firehose/resolver.h"
#include "schema/base/clock.h"

namespace standpipe::firehose {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using SteadyClock = std::chrono::steady_clock;
using Tcp = asio::ip::tcp;
using PlainStream = websocket::stream<beast::tcp_stream>;
using TlsStream = websocket::stream<beast::ssl_stream<beast::tcp_stream>>;
using Response = websocket::response_type;

constexpr auto kNet = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kPieceBytes = 64 << 10;  // to read into, at first and beyond the head

bool is_redirect(unsigned status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Beast's views, strings and fixed strings alike.
template <typename Text>
std::string_view as_view(const Text& text) {
  return {text.data(), text.size()};
}

WsEnd end_of(WsEndKind kind, std::string detail) {
  WsEnd end;
  end.kind = kind;
  end.detail = std::move(detail);
  return end;
}

// What the upstream answered to a request that it did not upgrade.
WsEnd refusal(const Response& response) {
  WsEnd end = end_of(WsEndKind::http_status,
                     fmt::format("HTTP {} {}", response.result_int(), as_view(response.reason())));
  end.http_status = static_cast<int>(response.result_int());
  const auto field = response.find(http::field::retry_after);
  if (field != response.end()) {
    end.retry_after = parse_retry_after(as_view(field->value()), SystemClock::instance().now_ms());
  }
  return end;
}

// Trusts what the system trusts and `tls_ca_file`; TLS 1.2 and newer.
Result<void> set_up(asio::ssl::context& context, const WsOptions& options) {
  beast::error_code ec;
  context.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_compression,
                      ec);
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  context.set_default_verify_paths(ec);
  if (ec) return Error{Errc::io, "the system's trusted certificates: " + ec.message()};
  if (!options.tls_ca_file.empty()) {
    context.load_verify_file(options.tls_ca_file, ec);
    if (ec) return Error{Errc::io, options.tls_ca_file + ": " + ec.message()};
  }
  context.set_verify_mode(asio::ssl::verify_peer, ec);
  return {};
}

// SNI, and the name that the certificate must be for.
bool set_host(SSL* ssl, const std::string& host) {
  X509_VERIFY_PARAM* const param = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  beast::error_code ec;
  asio::ip::make_address(host, ec);
  if (!ec) return X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1;
  const long is_set = SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                               const_cast<char*>(host.c_str()));  // OpenSSL copies it
  return is_set == 1 && X509_VERIFY_PARAM_set1_host(param, host.c_str(), host.size()) == 1;
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

  // Whatever is awaited ends with an error; ended_by() then says why.
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
    PlainStream ws(executor_);
    const Aborted aborted(*this, beast::get_lowest_layer(ws));
    std::string failed = co_await connect(beast::get_lowest_layer(ws), std::move(*addresses));
    if (!failed.empty()) co_return ended_by(WsEndKind::connect, std::move(failed));
    WsEnd end = co_await upgrade(ws);
    co_return end;
  }

  asio::awaitable<WsEnd> visit_tls(std::vector<std::string> addresses) {
    asio::ssl::context context(asio::ssl::context::tls_client);
    const Result<void> is_set_up = set_up(context, options_);
    if (!is_set_up) co_return end_of(WsEndKind::tls, is_set_up.error().detail);
    TlsStream ws(executor_, context);
    const Aborted aborted(*this, beast::get_lowest_layer(ws));
    std::string failed = co_await connect(beast::get_lowest_layer(ws), std::move(addresses));
    if (!failed.empty()) co_return ended_by(WsEndKind::connect, std::move(failed));
    SSL* const ssl = ws.next_layer().native_handle();
    if (!set_host(ssl, url_.host)) {
      co_return end_of(WsEndKind::tls, "no certificate can be for " + url_.host);
    }
    doing_ = "the TLS handshake with " + url_.host;
    auto [ec] = co_await ws.next_layer().async_handshake(asio::ssl::stream_base::client, kNet);
    if (ec) {
      const long verified = SSL_get_verify_result(ssl);
      const std::string why =
          verified == X509_V_OK ? ec.message() : X509_verify_cert_error_string(verified);
      co_return ended_by(WsEndKind::tls, fmt::format("TLS with {}: {}", url_.host, why));
    }
    WsEnd end = co_await upgrade(ws);
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
    // Where stop() was first, its abort() found nothing to end.
    if (is_stopped_) co_return nothing;
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

  template <typename Ws>
  asio::awaitable<WsEnd> upgrade(Ws& ws) {
    // The deadline of the dial holds until the stream is open. Half of idle_timeout without a byte
    // brings a ping.
    ws.set_option(websocket::stream_base::timeout{websocket::stream_base::none(),
                                                  websocket::stream_base::none(), false});
    ws.set_option(websocket::stream_base::decorator([this](websocket::request_type& request) {
      request.set(http::field::user_agent, options_.user_agent);
    }));
    doing_ = "the handshake with " + address_;
    Response response;
    const std::string host = host_header(url_);
    const std::string place = target(url_, cursor_);
    auto [ec] = co_await ws.async_handshake(response, host, place, kNet);
    if (ec == websocket::error::upgrade_declined) {
      const auto location = response.find(http::field::location);
      if (!is_redirect(response.result_int())) co_return refusal(response);
      if (location == response.end()) {
        co_return end_of(WsEndKind::redirect,
                         fmt::format("HTTP {} without a Location", response.result_int()));
      }
      location_ = std::string(as_view(location->value()));
      co_return WsEnd{};
    }
    if (ec) {
      const bool is_gone = ec == http::error::end_of_stream || ec == asio::error::eof ||
                           ec.category() == asio::error::get_system_category();
      co_return ended_by(is_gone ? WsEndKind::lost : WsEndKind::protocol,
                         fmt::format("handshake with {}: {}", address_, ec.message()));
    }
    if (is_stopped_) co_return end_of(WsEndKind::stopped, "stopped");
    if (is_too_late_) co_return ended_by(WsEndKind::timeout, {});
    WsEnd end = co_await read_all(ws);
    co_return end;
  }

  // -- Reading ----------------------------------------------------------------------------------

  template <typename Ws>
  asio::awaitable<WsEnd> read_all(Ws& ws) {
    was_open_ = true;
    opened_at_ = SteadyClock::now();
    deadline_.cancel();
    watch_idle(ws);
    ws.read_message_max(0);  // the limit is ours: what exceeds it is passed over, not an error
    ws.control_callback([this](websocket::frame_type kind, beast::string_view) {
      if (kind == websocket::frame_type::close) expect_end();
    });
    is_paused_ = true;  // resume() may come before we wait
    Flow flow = handler_->on_open({url_, address_, redirects_});
    for (;;) {
      if (flow == Flow::wait) {
        co_await pause(ws);
      }
      if (flow == Flow::end) co_return ended_by(WsEndKind::handler, "not wanted any more");
      if (is_stopped_) co_return end_of(WsEndKind::stopped, "stopped");
      std::uint64_t total = 0;
      std::size_t kept = 0;
      do {
        const asio::mutable_buffer room = room_after(kept);
        auto [ec, size] = co_await ws.async_read_some(room, kNet);
        if (ec) co_return end_of_reading(ws, ec);
        total += size;
        kept += size;
        if (total > options_.message_bytes_max) kept = std::min(kept, options_.head_bytes);
      } while (!ws.is_message_done());
      WsMessage message;
      message.bytes = ByteView(buffer_).first(kept);
      message.bytes_total = total;
      message.is_text = ws.got_text();
      is_paused_ = true;
      flow = handler_->on_message(message);
    }
  }

  template <typename Ws>
  void watch_idle(Ws& ws) {
    const bool is_on = options_.idle_timeout.count() > 0;
    websocket::stream_base::timeout timeout{websocket::stream_base::none(),
                                            websocket::stream_base::none(), is_on};
    if (is_on) timeout.idle_timeout = options_.idle_timeout;
    ws.set_option(timeout);
  }

  // While nobody wants more, nothing is read, and the peer's pongs cannot be seen.
  template <typename Ws>
  asio::awaitable<void> pause(Ws& ws) {
    if (!is_paused_ || is_stopped_) co_return;
    ws.set_option(websocket::stream_base::timeout{websocket::stream_base::none(),
                                                  websocket::stream_base::none(), false});
    resumed_.expires_at(SteadyClock::time_point::max());
    [[maybe_unused]] auto waited = co_await resumed_.async_wait(kNet);
    watch_idle(ws);
  }

  // Beast answers a close frame and then reads on until the peer ends the connection, which a peer
  // need not do.
  void expect_end() {
    has_close_frame_ = true;
    close_timer_.expires_after(options_.close_timeout);
    close_timer_.async_wait([self = shared_from_this()](beast::error_code ec) {
      if (!ec) self->abort();
    });
  }

  // Where the next piece of a message goes, of which `kept` bytes are in buffer_ already. Once it
  // is too large, `kept` stays at the head, and every piece goes behind that.
  asio::mutable_buffer room_after(std::size_t kept) {
    const std::size_t most = std::max(options_.message_bytes_max + 1, options_.head_bytes + 1);
    if (buffer_.size() - kept < kPieceBytes && buffer_.size() < most + kPieceBytes) {
      buffer_.resize(
          std::min(std::max(2 * buffer_.size(), kept + kPieceBytes), most + kPieceBytes));
    }
    return asio::buffer(buffer_.data() + kept, buffer_.size() - kept);
  }

  template <typename Ws>
  WsEnd end_of_reading(Ws& ws, beast::error_code ec) const {
    if (is_stopped_) return end_of(WsEndKind::stopped, "stopped");
    // After its close frame the peer may be slow to finish: it is the frame that counts.
    if (ec == websocket::error::closed || has_close_frame_) {
      const websocket::close_reason& reason = ws.reason();
      WsEnd end = end_of(WsEndKind::closed, fmt::format("closed by upstream: {} {}", reason.code,
                                                        as_view(reason.reason)));
      end.close_code = reason.code == websocket::close_code::none
                           ? std::uint16_t{websocket::close_code::no_status}
                           : reason.code;
      end.close_reason = std::string(as_view(reason.reason));
      return end;
    }
    if (ec == beast::error::timeout) {
      return end_of(WsEndKind::idle,
                    fmt::format("nothing received for {} ms", options_.idle_timeout.count()));
    }
    const bool is_protocol =
        ec.category() == websocket::make_error_code(websocket::error::closed).category();
    return end_of(is_protocol ? WsEndKind::protocol : WsEndKind::lost,
                  fmt::format("reading from {}: {}", address_, ec.message()));
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
  bool is_paused_ = false;
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
  bool has_close_frame_ = false;
  SteadyClock::time_point opened_at_;
  Bytes buffer_ = Bytes(kPieceBytes);
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
