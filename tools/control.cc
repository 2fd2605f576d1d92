#include "tools/control.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <cstring>
#include <exception>
#include <optional>
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

}  // namespace

class ControlServer::Impl {
 public:
  explicit Impl(SocketAddress address) : address_(std::move(address)) {}

  // Off the file system first: whoever asks from now on finds nobody, not a closed door.
  ~Impl() {
    if (is_bound_) ::unlink(address_.path().c_str());
  }

  Result<void> start(ControlHandler handler, ControlOptions options) {
    const LocalProtocol::endpoint endpoint = address_.endpoint();
    const int backlog = static_cast<int>(options.connections_max);
    beast::error_code ec;
    asio::io_context io{1};
    Acceptor acceptor(io);
    acceptor.open(endpoint.protocol(), ec);
    if (ec) return system_error("make", address_.path(), ec.value());
    ::unlink(address_.path().c_str());
    // The mode of the socket becomes that of its file: there is no moment at which it is wider.
    if (::fchmod(acceptor.native_handle(), S_IRUSR | S_IWUSR) != 0) {
      return system_error("set the mode of", address_.path(), errno);
    }
    acceptor.bind(endpoint, ec);
    if (ec) return system_error("bind", address_.path(), ec.value());
    is_bound_ = true;
    acceptor.listen(backlog, ec);
    if (ec) return system_error("listen at", address_.path(), ec.value());
    server_.emplace(acceptor.release(), endpoint.protocol().family(), std::move(handler),
                    std::move(options));
    return {};
  }

 private:
  const SocketAddress address_;
  bool is_bound_ = false;
  std::optional<HttpServer> server_;
};

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ControlServer::~ControlServer() = default;

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::filesystem::path& dir,
                                                            ControlHandler handler,
                                                            ControlOptions options) {
  STANDPIPE_TRY(SocketAddress address, SocketAddress::of(dir));
  auto impl = std::make_unique<Impl>(std::move(address));
  STANDPIPE_CHECK(impl->start(std::move(handler), std::move(options)));
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
