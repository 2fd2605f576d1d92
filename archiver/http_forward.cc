#include "archiver/http_forward.h"

#include <fmt/format.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include "archiver/firehose/resolver.h"
#include "archiver/firehose/tls_client.h"

namespace standpipe::archiver {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using SteadyClock = std::chrono::steady_clock;
using Tcp = asio::ip::tcp;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;
using Addresses = std::vector<std::string>;
using Parser = http::response_parser<http::buffer_body>;

constexpr auto kNet = asio::as_tuple(asio::use_awaitable);
constexpr std::uint32_t kHeadBytesMax = 64 << 10;
constexpr std::size_t kPieceBytes = 64 << 10;
constexpr int kInterimAnswersMax = 8;  // 100 Continue, 103 Early Hints
constexpr const char* kViaUs = "1.1 atproto-relay";

// What the lookup's thread tells the exchange's. Both hold it, for either may go first.
struct Finding {
  explicit Finding(const asio::any_io_executor& executor) : done(executor) {
    done.expires_at(SteadyClock::time_point::max());
  }
  asio::steady_timer done;                  // of the exchange's thread
  std::optional<Result<Addresses>> result;  // likewise
};

}  // namespace

struct HttpForwarder::Shared {
  explicit Shared(HttpForwardOptions of)
      : options(std::move(of)), tls(asio::ssl::context::tls_client) {}

  const HttpForwardOptions options;
  asio::ssl::context tls;  // set up once: reading the system's certificates takes a while
};

class HttpForward::Impl {
 public:
  Impl(std::shared_ptr<const HttpForwarder> forwarder, HttpForwarder::Shared& shared,
       const asio::any_io_executor& executor, firehose::UpstreamUrl upstream,
       HttpForwardRequest request, std::shared_ptr<void> place)
      : forwarder_(std::move(forwarder)),
        shared_(shared),
        executor_(executor),
        upstream_(std::move(upstream)),
        request_(std::move(request)),
        whole_end_(SteadyClock::now() + shared.options.whole_timeout),
        place_(std::move(place)) {}

  asio::awaitable<Result<HttpForwardHead>> begin() {
    begin_step();
    std::string why = co_await connect();
    if (!why.empty()) co_return failed(why);
    std::optional<Error> error;
    if (tls_) {
      error = co_await ask(*tls_);
    } else {
      error = co_await ask(*plain_);
    }
    if (error) co_return *std::move(error);
    co_return head();
  }

  asio::awaitable<Result<std::string>> more() {
    std::string piece;
    if (parser_->is_done()) co_return piece;
    begin_step();
    piece.resize(kPieceBytes);
    auto& body = parser_->get().body();
    beast::error_code ec;
    // A read may bring the size of a chunk, and nothing of it.
    do {
      if (is_cancelled_) co_return failed("");
      body.data = piece.data();
      body.size = piece.size();
      body.more = true;
      if (tls_) {
        auto [read_ec, size] = co_await http::async_read_some(*tls_, buffer_, *parser_, kNet);
        ec = read_ec;
      } else {
        auto [read_ec, size] = co_await http::async_read_some(*plain_, buffer_, *parser_, kNet);
        ec = read_ec;
      }
      if (ec == http::error::need_buffer) ec = {};
    } while (!ec && body.size == piece.size() && !parser_->is_done());
    if (ec) co_return read_failed(ec);
    piece.resize(piece.size() - body.size);
    co_return piece;
  }

  void cancel() {
    is_cancelled_ = true;
    if (finding_) finding_->done.cancel();
    if (beast::tcp_stream* const stream = tcp()) stream->close();
  }

 private:
  beast::tcp_stream* tcp() {
    if (tls_) return &beast::get_lowest_layer(*tls_);
    return plain_ ? &*plain_ : nullptr;
  }

  void begin_step() {
    step_end_ = std::min(SteadyClock::now() + shared_.options.step_timeout, whole_end_);
    if (beast::tcp_stream* const stream = tcp()) stream->expires_at(step_end_);
  }

  Error failed(const std::string& why) const {
    if (is_cancelled_) return {Errc::closed, "cancelled"};
    if (SteadyClock::now() >= whole_end_) {
      return {Errc::io, fmt::format("the upstream has not finished its answer within {} ms",
                                    shared_.options.whole_timeout.count())};
    }
    if (SteadyClock::now() >= step_end_) {
      return {Errc::io, fmt::format("the upstream did not answer within {} ms",
                                    shared_.options.step_timeout.count())};
    }
    return {Errc::io, "the upstream does not answer: " + why};
  }

  Error read_failed(const beast::error_code& ec) const {
    if (ec == http::error::body_limit) {
      return {Errc::limit, fmt::format("the upstream's answer is larger than {} bytes",
                                       shared_.options.body_bytes_max)};
    }
    return failed(ec.message());
  }

  // Empty once connected, else why not.
  asio::awaitable<std::string> connect() {
    Result<Addresses> addresses = co_await resolve();
    if (!addresses) co_return addresses.error().detail;
    if (upstream_.is_tls) {
      tls_.emplace(executor_, shared_.tls);
    } else {
      plain_.emplace(executor_);
    }
    std::string why = "the host has no address that can be used";
    bool is_connected = false;
    for (std::size_t i = 0; i < addresses->size() && !is_connected; ++i) {
      beast::error_code ec;
      const auto ip = asio::ip::make_address((*addresses)[i], ec);
      if (ec) continue;
      if (is_cancelled_ || SteadyClock::now() >= step_end_) co_return "ended";
      const auto left = step_end_ - SteadyClock::now();
      tcp()->expires_after(left / static_cast<int>(addresses->size() - i));
      const Tcp::endpoint peer(ip, upstream_.port);
      auto [connect_ec] = co_await tcp()->async_connect(peer, kNet);
      is_connected = !connect_ec;
      why = connect_ec.message();
    }
    if (!is_connected) co_return why;
    tcp()->expires_at(step_end_);
    if (!tls_) co_return std::string();
    SSL* const ssl = tls_->native_handle();
    if (!firehose::set_tls_host(ssl, upstream_.host)) {
      co_return "no certificate can be for " + upstream_.host;
    }
    auto [ec] = co_await tls_->async_handshake(asio::ssl::stream_base::client, kNet);
    if (!ec) co_return std::string();
    const long verified = SSL_get_verify_result(ssl);
    co_return "TLS: " +
        (verified == X509_V_OK ? ec.message() : X509_verify_cert_error_string(verified));
  }

  asio::awaitable<Result<Addresses>> resolve() {
    beast::error_code ec;
    asio::ip::make_address(upstream_.host, ec);
    if (!ec) {
      Addresses itself(1, upstream_.host);
      co_return itself;
    }
    if (is_cancelled_) co_return Error{Errc::closed, "cancelled"};
    finding_ = std::make_shared<Finding>(executor_);
    finding_->done.expires_at(step_end_);
    std::string host = upstream_.host;
    // What runs on the lookup's thread holds our place until it has come back, waited for or not.
    firehose::ResolveHost resolve = [place = place_, asked = shared_.options.resolve](
                                        const std::string& name) -> Result<Addresses> {
      return asked ? asked(name) : firehose::resolve_by_system(name);
    };
    const firehose::Lookup lookup(
        std::move(host), std::move(resolve),
        [finding = finding_, executor = executor_](Result<Addresses> found) {
          asio::post(executor, [finding, moved = std::move(found)]() mutable {
            finding->result = std::move(moved);
            finding->done.cancel();
          });
        });
    [[maybe_unused]] auto waited = co_await finding_->done.async_wait(kNet);
    if (!finding_->result) co_return Error{Errc::closed, "its name is not found"};
    co_return std::move(*finding_->result);
  }

  // "/xrpc/com.atproto.sync.subscribeRepos" is where the stream is: the others are beside it.
  std::string target() const {
    std::string target = upstream_.path.substr(0, upstream_.path.rfind('/') + 1) + request_.nsid;
    if (!request_.query.empty()) target += "?" + request_.query;
    return target;
  }

  http::request<http::string_body> message() {
    http::request<http::string_body> message(request_.is_post ? http::verb::post : http::verb::get,
                                             target(), 11);
    message.set(http::field::host, firehose::host_header(upstream_));
    message.set(http::field::user_agent, shared_.options.user_agent);
    message.set(http::field::accept, "*/*");
    std::string via = kViaUs;
    for (auto& [name, value] : request_.fields) {
      if (name == "Via") {
        via = value + ", " + via;
      } else {
        message.set(name, value);
      }
    }
    message.set(http::field::via, via);
    message.keep_alive(false);
    if (request_.is_post) {
      message.body() = std::move(request_.body);
      message.prepare_payload();
    }
    return message;
  }

  // Up to the end of the head. nullopt: it is in parser_.
  template <typename Stream>
  asio::awaitable<std::optional<Error>> ask(Stream& stream) {
    std::optional<Error> error;
    const http::request<http::string_body> asked = message();
    auto [write_ec, written] = co_await http::async_write(stream, asked, kNet);
    if (write_ec) {
      error = failed("asking: " + write_ec.message());
      co_return error;
    }
    for (int i = 0; i < kInterimAnswersMax; ++i) {
      parser_.emplace();
      parser_->header_limit(kHeadBytesMax);
      parser_->body_limit(shared_.options.body_bytes_max);
      auto [read_ec, read] = co_await http::async_read_header(stream, buffer_, *parser_, kNet);
      if (read_ec) {
        error = read_failed(read_ec);
        co_return error;
      }
      const unsigned status = parser_->get().result_int();
      if (status >= 200) co_return error;
      if (status < 100 || status == 101) break;
    }
    error = Error{Errc::io, "the upstream's answer is none"};
    co_return error;
  }

  HttpForwardHead head() const {
    const auto& answer = parser_->get();
    HttpForwardHead head;
    head.status = static_cast<int>(answer.result_int());
    for (const http::field field : {http::field::content_type, http::field::content_encoding,
                                    http::field::location, http::field::retry_after}) {
      const auto found = answer.find(field);
      if (found == answer.end()) continue;
      head.fields.emplace_back(std::string(http::to_string(field)), std::string(found->value()));
    }
    if (const auto length = parser_->content_length()) head.body_bytes = *length;
    return head;
  }

  const std::shared_ptr<const HttpForwarder> forwarder_;  // owns what is shared
  HttpForwarder::Shared& shared_;
  const asio::any_io_executor executor_;
  const firehose::UpstreamUrl upstream_;
  HttpForwardRequest request_;
  const SteadyClock::time_point whole_end_;
  SteadyClock::time_point step_end_;
  std::shared_ptr<Finding> finding_;
  std::optional<TlsStream> tls_;  // one of the two, once there is an address
  std::optional<beast::tcp_stream> plain_;
  beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  bool is_cancelled_ = false;
  const std::shared_ptr<void> place_;  // given back before the connection ends
};

HttpForward::HttpForward(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpForward::~HttpForward() = default;
asio::awaitable<Result<HttpForwardHead>> HttpForward::begin() { return impl_->begin(); }
asio::awaitable<Result<std::string>> HttpForward::more() { return impl_->more(); }
void HttpForward::cancel() { impl_->cancel(); }

HttpForwarder::HttpForwarder(std::unique_ptr<Shared> shared) : shared_(std::move(shared)) {}
HttpForwarder::~HttpForwarder() = default;

Result<std::shared_ptr<const HttpForwarder>> HttpForwarder::make(HttpForwardOptions options) {
  auto shared = std::make_unique<Shared>(std::move(options));
  STANDPIPE_CHECK(firehose::set_up_tls(shared->tls.native_handle(), shared->options.tls_ca_file));
  return std::shared_ptr<const HttpForwarder>(new HttpForwarder(std::move(shared)));
}

std::unique_ptr<HttpForward> HttpForwarder::forward(std::shared_ptr<const HttpForwarder> self,
                                                    const asio::any_io_executor& executor,
                                                    firehose::UpstreamUrl upstream,
                                                    HttpForwardRequest request,
                                                    std::shared_ptr<void> place) {
  Shared& shared = *self->shared_;
  return std::unique_ptr<HttpForward>(new HttpForward(
      std::make_unique<HttpForward::Impl>(std::move(self), shared, executor, std::move(upstream),
                                          std::move(request), std::move(place))));
}

}  // namespace standpipe::archiver
