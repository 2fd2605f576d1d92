#include "tools/control.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>
#include <set>
#include <thread>
#include <utility>

namespace standpipe::tools {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using LocalProtocol = asio::local::stream_protocol;
using LocalStream = beast::basic_stream<LocalProtocol>;
using Acceptor = asio::basic_socket_acceptor<LocalProtocol>;

constexpr auto kNet = asio::as_tuple(asio::use_awaitable);
constexpr std::uint64_t kReplyBytesMax = 256ULL << 20;
constexpr std::chrono::seconds kEndGrace{5};
constexpr const char* kSocketName = "control.sock";

Error system_error(std::string_view what, const std::filesystem::path& path, int number) {
  return Error{number == ENOENT || number == ECONNREFUSED ? Errc::not_found : Errc::io,
               fmt::format("cannot {} {}: {}", what, path.string(), std::strerror(number))};
}

// The address of DIR/control.sock. A Unix socket's path has room for 107 bytes; a longer one is
// reached through the directory's descriptor, which must stay open while the address is used.
class SocketAddress {
 public:
  static Result<SocketAddress> of(const std::filesystem::path& dir) {
    SocketAddress address;
    address.path_ = dir / kSocketName;
    if (address.path_.string().size() < sizeof(sockaddr_un::sun_path)) return address;
    address.dir_fd_ = ::open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (address.dir_fd_ < 0) return system_error("open", dir, errno);
    return address;
  }
  SocketAddress(SocketAddress&& other) noexcept
      : path_(std::move(other.path_)), dir_fd_(std::exchange(other.dir_fd_, -1)) {}
  SocketAddress& operator=(SocketAddress&&) = delete;
  ~SocketAddress() {
    if (dir_fd_ >= 0) ::close(dir_fd_);
  }

  const std::filesystem::path& path() const { return path_; }
  LocalProtocol::endpoint endpoint() const {
    return LocalProtocol::endpoint(
        dir_fd_ < 0 ? path_.string() : fmt::format("/proc/self/fd/{}/{}", dir_fd_, kSocketName));
  }

 private:
  SocketAddress() = default;

  std::filesystem::path path_;
  int dir_fd_ = -1;
};

ControlReply error_reply(int status, std::string_view code, std::string_view detail) {
  return {status, "application/json",
          fmt::format(R"({{"code":"{}","detail":"{}"}})", code, detail)};
}

// The bytes were no HTTP, as against bytes that did not come.
bool is_not_http(const beast::error_code& ec) {
  return ec.category() == http::make_error_code(http::error::bad_method).category() &&
         ec != http::error::end_of_stream && ec != http::error::partial_message;
}

}  // namespace

class ControlServer::Impl {
 public:
  Impl(SocketAddress address, ControlHandler handler, ControlOptions options)
      : address_(std::move(address)),
        handler_(std::move(handler)),
        options_(options),
        acceptor_(io_),
        handlers_(options.handler_threads) {}

  ~Impl() {
    // Off the file system first: whoever asks from now on finds nobody, not a closed door.
    if (is_bound_) ::unlink(address_.path().c_str());
    asio::post(io_, [this] { begin_to_end(); });
    if (thread_.joinable()) thread_.join();
    handlers_.join();
  }

  Result<void> start() {
    const LocalProtocol::endpoint endpoint = address_.endpoint();
    beast::error_code ec;
    acceptor_.open(endpoint.protocol(), ec);
    if (ec) return system_error("make", address_.path(), ec.value());
    ::unlink(address_.path().c_str());
    // The mode of the socket becomes that of its file: there is no moment at which it is wider.
    if (::fchmod(acceptor_.native_handle(), S_IRUSR | S_IWUSR) != 0) {
      return system_error("set the mode of", address_.path(), errno);
    }
    acceptor_.bind(endpoint, ec);
    if (ec) return system_error("bind", address_.path(), ec.value());
    is_bound_ = true;
    acceptor_.listen(static_cast<int>(options_.connections_max), ec);
    if (ec) return system_error("listen at", address_.path(), ec.value());
    asio::co_spawn(io_, accept_loop(), &Impl::end_of_coroutine);
    thread_ = std::thread([this] { io_.run(); });
    return {};
  }

 private:
  static void end_of_coroutine(std::exception_ptr thrown) {
    if (!thrown) return;
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
      fmt::print(stderr, "standpipe: control socket: {}\n", error.what());
    }
  }

  // Nobody new, and nobody who has not asked yet; who has asked gets an answer, as long as that
  // does not take long. The thread ends with the last connection.
  void begin_to_end() {
    is_ending_ = true;
    beast::error_code ignored;
    acceptor_.close(ignored);
    for (LocalStream* stream : reading_) stream->close();
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
        timer.expires_after(std::chrono::milliseconds(100));
        auto [timer_ec] = co_await timer.async_wait(kNet);
        if (timer_ec || is_ending_) co_return;
        continue;
      }
      asio::co_spawn(io_, serve(LocalStream(std::move(socket))), &Impl::end_of_coroutine);
    }
  }

  // Counts the connections that are open; those above the limit are answered and closed.
  class Slot {
   public:
    explicit Slot(Impl& server) : server_(server) { ++server_.connections_; }
    ~Slot() {
      if (--server_.connections_ == 0 && server_.is_ending_) server_.grace_.cancel();
    }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

   private:
    Impl& server_;
  };

  asio::awaitable<void> serve(LocalStream stream) {
    if (is_ending_) co_return;
    const Slot slot(*this);
    ControlReply reply;
    if (connections_ > options_.connections_max) {
      reply = error_reply(503, "limit", "too many connections to the control socket: try again");
    } else {
      beast::flat_buffer buffer;
      http::request_parser<http::string_body> parser;
      parser.header_limit(static_cast<std::uint32_t>(options_.head_bytes_max));
      parser.body_limit(options_.body_bytes_max);
      stream.expires_after(options_.io_timeout);
      reading_.insert(&stream);
      auto [ec, size] = co_await http::async_read(stream, buffer, parser, kNet);
      reading_.erase(&stream);
      if (ec == http::error::header_limit || ec == http::error::body_limit) {
        reply = error_reply(413, "limit", "the request is too large");
      } else if (is_not_http(ec)) {
        reply = error_reply(400, "malformed", "the request is not HTTP");
      } else if (ec) {
        co_return;  // gone, or too slow
      } else {
        stream.expires_never();
        ControlRequest request{std::string(parser.get().method_string()),
                               std::string(parser.get().target()), std::move(parser.get().body())};
        reply = co_await asio::co_spawn(handlers_, answer(std::move(request)), asio::use_awaitable);
      }
    }
    co_await send(stream, std::move(reply));
  }

  // Runs on a handler thread: it reads disks.
  asio::awaitable<ControlReply> answer(ControlRequest request) { co_return handler_(request); }

  asio::awaitable<void> send(LocalStream& stream, ControlReply reply) {
    http::response<http::string_body> response;
    response.version(11);
    response.result(static_cast<unsigned>(reply.status));
    response.set(http::field::content_type, reply.content_type);
    response.keep_alive(false);
    response.body() = std::move(reply.body);
    response.prepare_payload();
    stream.expires_after(options_.io_timeout);
    auto [ec, size] = co_await http::async_write(stream, response, kNet);
    if (!ec) stream.socket().shutdown(LocalProtocol::socket::shutdown_send, ec);
  }

  const SocketAddress address_;
  const ControlHandler handler_;
  const ControlOptions options_;
  asio::io_context io_{1};
  Acceptor acceptor_;
  // Of the server's thread alone:
  std::size_t connections_ = 0;
  std::set<LocalStream*> reading_;  // no whole request yet
  bool is_ending_ = false;
  asio::basic_waitable_timer<std::chrono::steady_clock> grace_{io_};

  bool is_bound_ = false;
  asio::thread_pool handlers_;
  std::thread thread_;
};

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ControlServer::~ControlServer() = default;

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::filesystem::path& dir,
                                                            ControlHandler handler,
                                                            ControlOptions options) {
  STANDPIPE_TRY(SocketAddress address, SocketAddress::of(dir));
  auto impl = std::make_unique<Impl>(std::move(address), std::move(handler), options);
  STANDPIPE_CHECK(impl->start());
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

namespace {

struct Exchange {
  LocalProtocol::endpoint endpoint;
  const ControlRequest* request = nullptr;  // not ours
  std::chrono::milliseconds timeout{};
  std::optional<ControlReply> reply;
  beast::error_code failed;
};

void allow(LocalStream& stream, std::chrono::milliseconds timeout) {
  if (timeout.count() > 0) {
    stream.expires_after(timeout);
  } else {
    stream.expires_never();
  }
}

asio::awaitable<void> run_exchange(asio::io_context& io, Exchange& exchange) {
  LocalStream stream(io);
  allow(stream, exchange.timeout);
  auto [connect_ec] = co_await stream.async_connect(exchange.endpoint, kNet);
  exchange.failed = connect_ec;
  if (connect_ec) co_return;
  http::request<http::string_body> request;
  request.version(11);
  request.method_string(exchange.request->method);
  request.target(exchange.request->target);
  request.set(http::field::host, "standpipe");
  request.body() = exchange.request->body;
  request.prepare_payload();
  // A server that is full answers before it reads: its answer counts more than a failed write.
  [[maybe_unused]] auto written = co_await http::async_write(stream, request, kNet);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kReplyBytesMax);
  allow(stream, exchange.timeout);
  auto [read_ec, size] = co_await http::async_read(stream, buffer, parser, kNet);
  exchange.failed = read_ec;
  if (read_ec) co_return;
  http::response<http::string_body> response = parser.release();
  exchange.reply =
      ControlReply{static_cast<int>(response.result_int()),
                   std::string(response[http::field::content_type]), std::move(response.body())};
}

}  // namespace

Result<ControlReply> control_call(const std::filesystem::path& dir, const ControlRequest& request,
                                  std::chrono::milliseconds timeout) {
  STANDPIPE_TRY(const SocketAddress address, SocketAddress::of(dir));
  asio::io_context io{1};
  Exchange exchange;
  exchange.endpoint = address.endpoint();
  exchange.request = &request;
  exchange.timeout = timeout;
  std::exception_ptr thrown;
  asio::co_spawn(io, run_exchange(io, exchange),
                 [&thrown](std::exception_ptr error) { thrown = std::move(error); });
  io.run();
  if (thrown) std::rethrow_exception(thrown);
  if (exchange.reply) return std::move(*exchange.reply);
  if (exchange.failed == beast::error::timeout) {
    return Error{Errc::limit, fmt::format("no answer at {} within {} ms", address.path().string(),
                                          timeout.count())};
  }
  if (exchange.failed.category() ==
      beast::error_code(ENOENT, beast::system_category()).category()) {
    return system_error("ask at", address.path(), exchange.failed.value());
  }
  return Error{Errc::io, fmt::format("no whole answer at {}: {}", address.path().string(),
                                     exchange.failed.message())};
}

}  // namespace standpipe::tools
