#include "tools/http_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <exception>
#include <list>
#include <optional>
#include <thread>
#include <utility>

#include "schema/base/log.h"
#include "schema/base/thread_name.h"

namespace standpipe::tools {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Protocol = asio::generic::stream_protocol;
using Stream = beast::basic_stream<Protocol>;
using Acceptor = asio::basic_socket_acceptor<Protocol>;

constexpr auto kNet = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds kEndGrace{5};
constexpr std::chrono::milliseconds kAcceptPause{100};  // after the descriptors have run out

HttpAnswer error_answer(int status, std::string_view code, std::string_view detail) {
  return {status, "application/json",
          fmt::format(R"({{"code":"{}","detail":"{}"}})", code, detail)};
}

// The bytes were no HTTP, as against bytes that did not come.
bool is_not_http(const beast::error_code& ec) {
  return ec.category() == http::make_error_code(http::error::bad_method).category() &&
         ec != http::error::end_of_stream && ec != http::error::partial_message;
}

HttpRequest request_of(http::request<http::string_body> parsed) {
  HttpRequest request;
  request.method = std::string(parsed.method_string());
  request.target = std::string(parsed.target());
  request.fields.host = std::string(parsed[http::field::host]);
  request.fields.origin = std::string(parsed[http::field::origin]);
  request.fields.sec_fetch_site = std::string(parsed["Sec-Fetch-Site"]);
  request.fields.authorization = std::string(parsed[http::field::authorization]);
  request.body = std::move(parsed.body());
  return request;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(int descriptor, int family, HttpServerHandler handler, HttpServerOptions options)
      : handler_(std::move(handler)),
        options_(std::move(options)),
        acceptor_(io_),
        handlers_(options_.handler_threads) {
    acceptor_.assign(Protocol(family, 0), descriptor);
    asio::co_spawn(io_, accept_loop(), end_of_coroutine());
    thread_ = std::thread([this] {
      name_this_thread("http");
      io_.run();
    });
  }

  ~Impl() {
    asio::post(io_, [this] { begin_to_end(); });
    thread_.join();
    handlers_.join();
    is_over_ = true;
  }

 private:
  std::function<void(std::exception_ptr)> end_of_coroutine() const {
    return [this](std::exception_ptr thrown) {
      if (!thrown) return;
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& error) {
        log_error(fmt::format("{}: {}", options_.name, error.what()));
      }
    };
  }

  // Nobody new, and nobody who has not asked yet; who has asked gets an answer, as long as that
  // does not take long. The thread ends with the last connection.
  void begin_to_end() {
    is_ending_ = true;
    beast::error_code ignored;
    acceptor_.close(ignored);
    for (const Waiting& one : waiting_) {
      if (one.is_asking) one.stream->close();
    }
    if (connections_ == 0) return;
    grace_.expires_after(kEndGrace);
    grace_.async_wait([this](beast::error_code ec) {
      if (!ec) io_.stop();
    });
  }

  asio::awaitable<void> accept_loop() {
    for (;;) {
      auto [ec, socket] = co_await acceptor_.async_accept(kNet);
      if (is_ending_) co_return;
      if (ec) {
        // Out of descriptors, most likely: others must close first.
        asio::basic_waitable_timer<std::chrono::steady_clock> timer(io_);
        timer.expires_after(kAcceptPause);
        auto [timer_ec] = co_await timer.async_wait(kNet);
        if (timer_ec || is_ending_) co_return;
        continue;
      }
      asio::co_spawn(io_, serve(Stream(std::move(socket))), end_of_coroutine());
    }
  }

  // Counts the connections that are open.
  class Slot {
   public:
    explicit Slot(Impl& server) : server_(server) { ++server_.connections_; }
    ~Slot() {
      const bool is_last = --server_.connections_ == 0;
      if (is_last && server_.is_ending_ && !server_.is_over_) server_.grace_.cancel();
    }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

   private:
    Impl& server_;
  };

  // A connection whose peer has the next move: to ask, or to take the answer.
  struct Waiting {
    Stream* stream = nullptr;
    bool is_asking = false;
  };
  class Wait {
   public:
    Wait(Impl& server, Stream& stream, bool is_asking) : server_(server), stream_(stream) {
      server_.waiting_.push_back({&stream, is_asking});
    }
    ~Wait() {
      server_.waiting_.remove_if([this](const Waiting& one) { return one.stream == &stream_; });
    }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

   private:
    Impl& server_;
    Stream& stream_;
  };

  // Whether there is room for the connection that was counted last.
  bool has_room() {
    if (connections_ <= options_.connections_max) return true;
    if (options_.when_full == WhenFull::refuse || waiting_.empty()) return false;
    waiting_.front().stream->close();
    waiting_.pop_front();
    return true;
  }

  asio::awaitable<void> serve(Stream stream) {
    if (is_ending_) co_return;
    const Slot slot(*this);
    HttpAnswer answer;
    bool is_to_head = false;
    if (!has_room()) {
      answer = error_answer(
          503, "limit", fmt::format("too many connections to the {}: try again", options_.name));
    } else {
      beast::flat_buffer buffer;
      http::request_parser<http::string_body> parser;
      parser.header_limit(static_cast<std::uint32_t>(options_.head_bytes_max));
      parser.body_limit(options_.body_bytes_max);
      stream.expires_after(options_.io_timeout);
      std::optional<Wait> wait(std::in_place, *this, stream, /*is_asking=*/true);
      auto [ec, size] = co_await http::async_read(stream, buffer, parser, kNet);
      wait.reset();
      if (ec == http::error::header_limit || ec == http::error::body_limit) {
        answer = error_answer(413, "limit", "the request is too large");
      } else if (is_not_http(ec)) {
        answer = error_answer(400, "malformed", "the request is not HTTP");
      } else if (ec) {
        co_return;  // gone, or too slow
      } else {
        stream.expires_never();
        HttpRequest request = request_of(parser.release());
        is_to_head = request.method == "HEAD";
        answer =
            co_await asio::co_spawn(handlers_, handle(std::move(request)), asio::use_awaitable);
      }
    }
    http::response<http::string_body> response = response_of(std::move(answer));
    if (is_to_head) response.body().clear();  // its length has been stated
    const Wait wait(*this, stream, /*is_asking=*/false);
    stream.expires_after(options_.io_timeout);
    auto [ec, size] = co_await http::async_write(stream, response, kNet);
    if (!ec) stream.socket().shutdown(Protocol::socket::shutdown_send, ec);
  }

  // Runs on a handler thread: it reads disks.
  asio::awaitable<HttpAnswer> handle(HttpRequest request) { co_return handler_(request); }

  static http::response<http::string_body> response_of(HttpAnswer answer) {
    http::response<http::string_body> response;
    response.version(11);
    response.result(static_cast<unsigned>(answer.status));
    response.set(http::field::content_type, answer.content_type);
    for (const auto& [name, value] : answer.headers) response.set(name, value);
    response.keep_alive(false);
    response.body() = std::move(answer.body);
    response.prepare_payload();
    return response;
  }

  const HttpServerHandler handler_;
  const HttpServerOptions options_;
  // Of the server's thread alone. Before io_, with which the last coroutines may go.
  std::size_t connections_ = 0;
  std::list<Waiting> waiting_;  // who has waited longest first
  bool is_ending_ = false;
  bool is_over_ = false;  // the thread has ended

  asio::io_context io_{1};
  Acceptor acceptor_;
  asio::basic_waitable_timer<std::chrono::steady_clock> grace_{io_};

  asio::thread_pool handlers_;
  std::thread thread_;
};

HttpServer::HttpServer(int descriptor, int family, HttpServerHandler handler,
                       HttpServerOptions options)
    : impl_(std::make_unique<Impl>(descriptor, family, std::move(handler), std::move(options))) {}
HttpServer::~HttpServer() = default;

}  // namespace standpipe::tools
