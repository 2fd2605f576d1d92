#include "archiver/http_getter.h"

#include <fmt/format.h>
#include <openssl/ssl.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <exception>
#include <utility>

#include "archiver/firehose/resolver.h"
#include "archiver/firehose/tls_client.h"
#include "schema/base/clock.h"

namespace standpipe::archiver {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using SteadyClock = std::chrono::steady_clock;
using Tcp = asio::ip::tcp;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;

constexpr auto kNet = asio::as_tuple(asio::use_awaitable);

std::string_view as_view(beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

// All of it belongs to the thread that is in get(), but is_stopped_ and posting to io_.
class HttpGetter::Impl {
 public:
  Impl(firehose::UpstreamUrl server, HttpGetOptions options)
      : server_(std::move(server)), options_(std::move(options)) {}

  Result<HttpAnswer> get(const std::string& path) {
    Result<HttpAnswer> answer = ask(path);
    // A server ends a connection that was quiet when it likes, also while we ask.
    if (!answer && was_kept_ && answer.error().code == Errc::io && !is_too_late_) {
      answer = ask(path);
    }
    return answer;
  }

  void stop() {
    is_stopped_ = true;
    asio::post(io_, [this] { abort(); });
  }

 private:
  Result<HttpAnswer> ask(const std::string& path) {
    was_kept_ = tcp() != nullptr;
    is_too_late_ = false;
    answer_.reset();
    std::exception_ptr thrown;
    std::string moved = path;
    io_.restart();
    deadline_.expires_after(options_.deadline);
    deadline_.async_wait([this](beast::error_code ec) {
      if (ec) return;
      is_too_late_ = true;
      abort();
    });
    asio::co_spawn(io_, converse(std::move(moved)), [&](std::exception_ptr error) {
      thrown = std::move(error);
      deadline_.cancel();
    });
    io_.run();
    const bool is_last = std::exchange(drop_after_, false);
    if (is_last || thrown || !answer_ || !*answer_) drop();
    if (thrown) return failed(describe(thrown));
    if (!answer_) return failed("no answer");
    return *std::move(answer_);
  }

  static std::string describe(const std::exception_ptr& thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
      return error.what();
    }
  }

  beast::tcp_stream* tcp() {
    if (tls_) return &beast::get_lowest_layer(*tls_);
    return plain_ ? &*plain_ : nullptr;
  }

  void drop() {
    tls_.reset();
    plain_.reset();
    buffer_.clear();
  }

  // Whatever is awaited ends with an error; failed() then says why.
  void abort() {
    if (beast::tcp_stream* const stream = tcp()) stream->close();
    lookup_done_.cancel();
  }

  Error failed(const std::string& why) const {
    if (is_stopped_) return {Errc::closed, "stopped"};
    if (is_too_late_) {
      return {Errc::io, fmt::format("no answer within {} ms", options_.deadline.count())};
    }
    return {Errc::io, why};
  }

  // Sets answer_.
  asio::awaitable<void> converse(std::string path) {
    if (is_stopped_) co_return;
    if (tcp() == nullptr) {
      std::string why = co_await connect();
      if (!why.empty()) {
        answer_ = failed(why);
        co_return;
      }
    }
    if (tls_) {
      Result<HttpAnswer> answer = co_await exchange(*tls_, std::move(path));
      answer_ = std::move(answer);
    } else {
      Result<HttpAnswer> answer = co_await exchange(*plain_, std::move(path));
      answer_ = std::move(answer);
    }
  }

  // Empty once connected, else why not.
  asio::awaitable<std::string> connect() {
    Result<std::vector<std::string>> addresses = co_await resolve();
    if (!addresses) co_return addresses.error().detail;
    if (server_.is_tls) {
      context_.emplace(asio::ssl::context::tls_client);
      const Result<void> is_set_up =
          firehose::set_up_tls(context_->native_handle(), options_.tls_ca_file);
      if (!is_set_up) co_return is_set_up.error().detail;
      tls_.emplace(io_, *context_);
    } else {
      plain_.emplace(io_);
    }
    std::string why = "the host has no address that can be used";
    bool is_connected = false;
    for (std::size_t i = 0; i < addresses->size() && !is_connected; ++i) {
      beast::error_code ec;
      const auto ip = asio::ip::make_address((*addresses)[i], ec);
      if (ec) continue;
      if (is_stopped_ || is_too_late_) co_return "ended";
      const auto left = deadline_.expiry() - SteadyClock::now();
      tcp()->expires_after(left / static_cast<int>(addresses->size() - i));
      const Tcp::endpoint peer(ip, server_.port);
      auto [connect_ec] = co_await tcp()->async_connect(peer, kNet);
      is_connected = !connect_ec;
      why = connect_ec.message();
    }
    if (!is_connected) co_return why;
    tcp()->expires_never();
    if (!tls_) co_return std::string();
    SSL* const ssl = tls_->native_handle();
    if (!firehose::set_tls_host(ssl, server_.host))
      co_return "no certificate can be for " + server_.host;
    auto [ec] = co_await tls_->async_handshake(asio::ssl::stream_base::client, kNet);
    if (!ec) co_return std::string();
    const long verified = SSL_get_verify_result(ssl);
    co_return "TLS: " +
        (verified == X509_V_OK ? ec.message() : X509_verify_cert_error_string(verified));
  }

  asio::awaitable<Result<std::vector<std::string>>> resolve() {
    beast::error_code ec;
    asio::ip::make_address(server_.host, ec);
    if (!ec) {
      std::vector<std::string> itself(1, server_.host);
      co_return itself;
    }
    found_.reset();
    lookup_done_.expires_at(SteadyClock::time_point::max());
    std::string host = server_.host;
    const firehose::Lookup lookup(std::move(host), options_.resolve,
                                  [this](Result<std::vector<std::string>> found) {
                                    asio::post(io_, [this, moved = std::move(found)]() mutable {
                                      found_ = std::move(moved);
                                      lookup_done_.cancel();
                                    });
                                  });
    // Where stop() was first, its abort() found nothing to end.
    if (is_stopped_) co_return Error{Errc::closed, "stopped"};
    [[maybe_unused]] auto waited = co_await lookup_done_.async_wait(kNet);
    if (!found_) co_return Error{Errc::closed, "not waited for"};
    co_return std::move(*found_);
  }

  template <typename Stream>
  asio::awaitable<Result<HttpAnswer>> exchange(Stream& stream, std::string path) {
    http::request<http::empty_body> request(http::verb::get, server_.path + path, 11);
    request.set(http::field::host, firehose::host_header(server_));
    request.set(http::field::user_agent, options_.user_agent);
    request.set(http::field::accept, "application/json");
    auto [write_ec, written] = co_await http::async_write(stream, request, kNet);
    if (write_ec) co_return failed("asking: " + write_ec.message());
    http::response_parser<http::string_body> parser;
    parser.body_limit(kHttpGetBodyBytesMax);
    parser.header_limit(kHttpGetHeadBytesMax);
    auto [read_ec, read] = co_await http::async_read(stream, buffer_, parser, kNet);
    if (read_ec == http::error::body_limit || read_ec == http::error::header_limit) {
      co_return Error{Errc::limit, "an answer that is too large: " + read_ec.message()};
    }
    if (read_ec) co_return failed("reading the answer: " + read_ec.message());
    http::response<http::string_body> response = parser.release();
    HttpAnswer answer;
    answer.status = static_cast<int>(response.result_int());
    const auto retry_after = response.find(http::field::retry_after);
    if (retry_after != response.end()) {
      answer.retry_after = firehose::parse_retry_after(as_view(retry_after->value()),
                                                       SystemClock::instance().now_ms());
    }
    answer.body = std::move(response.body());
    if (!response.keep_alive()) drop_after_ = true;
    co_return answer;
  }

  const firehose::UpstreamUrl server_;
  const HttpGetOptions options_;
  asio::io_context io_{1};
  asio::steady_timer deadline_{io_};
  asio::steady_timer lookup_done_{io_};
  std::optional<Result<std::vector<std::string>>> found_;
  std::optional<Result<HttpAnswer>> answer_;   // to the newest request
  std::optional<asio::ssl::context> context_;  // before what is made with it
  std::optional<TlsStream> tls_;
  std::optional<beast::tcp_stream> plain_;
  beast::flat_buffer buffer_;
  bool was_kept_ = false;     // the connection was there before the newest request
  bool drop_after_ = false;   // the server ends the connection after its answer
  bool is_too_late_ = false;  // the deadline has passed
  std::atomic<bool> is_stopped_ = false;
};

HttpGetter::HttpGetter(firehose::UpstreamUrl server, HttpGetOptions options)
    : impl_(std::make_unique<Impl>(std::move(server), std::move(options))) {}
HttpGetter::~HttpGetter() = default;

Result<HttpAnswer> HttpGetter::get(const std::string& path) { return impl_->get(path); }
void HttpGetter::stop() { impl_->stop(); }

}  // namespace standpipe::archiver
