#include "replay/http_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <exception>
#include <set>
#include <utility>
#include <variant>

#include "replay/forward.h"
#include "replay/http_reply.h"
#include "replay/http_stream.h"
#include "schema/base/log.h"

namespace standpipe::replay {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::ip::tcp;

constexpr auto kNet = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadBytesMin = 4 << 10;
constexpr std::size_t kReadBytesMax = 64 << 10;
constexpr std::size_t kSmallRequestBytes = 8 << 10;  // is always read
constexpr std::size_t kFieldsMax = 256;
constexpr std::size_t kUserAgentBytesMax = 256;
constexpr std::size_t kForwardedFieldBytesMax = 8 << 10;

// Beast's grammar, and of the fields only those that matter: what it has no use for it does not
// keep, nor the body of any request but a POST. (Beast's own container throws, on the thread of the
// io_context, where a field exceeds 64 KiB.)
class RequestParser final : public http::basic_parser<true> {
 public:
  explicit RequestParser(const HttpOptions& options) {
    eager(true);
    header_limit(static_cast<std::uint32_t>(options.head_bytes_max));
    body_limit(options.body_bytes_max);
  }

  RequestHead head() const {
    RequestHead head;
    head.method = method_;
    head.target = target_;
    head.is_http_1_1 = version_ >= 11;
    head.hosts = hosts_;
    head.connection = connection_;
    head.upgrade = upgrade_;
    head.websocket_version = websocket_version_;
    head.websocket_key = websocket_key_;
    head.accept = accept_;
    head.user_agent = user_agent_;
    head.via = via_;
    head.preflight_method = preflight_method_;
    head.preflight_headers = preflight_headers_;
    return head;
  }
  // Spec: protocol.md 7.3: what goes on to the upstream. Called once.
  ForwardCall take_forward_call(ForwardRequest request) {
    ForwardCall call;
    call.request = std::move(request);
    const auto pass_on = [&call](const char* name, std::string& value) {
      if (!value.empty()) call.headers.emplace_back(name, std::move(value));
    };
    pass_on("Accept", accept_);
    pass_on("User-Agent", user_agent_);
    pass_on("Authorization", authorization_);
    pass_on("Via", via_);
    pass_on("Content-Type", content_type_);
    call.body = std::move(body_);
    return call;
  }
  // 11 before the request line has been read.
  unsigned version() const { return version_; }
  const std::string& websocket_key() const { return websocket_key_; }
  const std::string& user_agent() const { return user_agent_; }
  const std::string& forwarded_for() const { return forwarded_for_; }
  std::size_t body_bytes() const { return body_.size(); }
  bool is_head() const { return method_ == "HEAD"; }
  bool asks_for_upgrade() const { return !upgrade_.empty(); }

 private:
  using Text = beast::string_view;

  static void join(std::string& joined, Text value) {
    if (!joined.empty()) joined += ", ";
    joined += value;
  }

  void on_request_impl(http::verb, Text method, Text target, int version,
                       beast::error_code&) override {
    method_ = method;
    target_ = target;
    version_ = static_cast<unsigned>(version);
  }
  void on_field_impl(http::field name, Text text, Text value, beast::error_code& ec) override {
    if (++fields_ > kFieldsMax) ec = http::error::header_limit;
    if (is_body_) return;  // behind a chunked body: says nothing any more
    switch (name) {
      case http::field::host:
        ++hosts_;
        break;
      case http::field::connection:
        join(connection_, value);
        break;
      case http::field::upgrade:
        join(upgrade_, value);
        break;
      case http::field::sec_websocket_version:
        join(websocket_version_, value);
        break;
      case http::field::sec_websocket_key:
        join(websocket_key_, value);
        break;
      case http::field::accept:
        join(accept_, value);
        break;
      case http::field::via:
        join(via_, value);
        break;
      case http::field::authorization:
        authorization_ = value;
        break;
      case http::field::content_type:
        content_type_ = value;
        break;
      case http::field::access_control_request_method:
        preflight_method_ = value;
        break;
      case http::field::access_control_request_headers:
        join(preflight_headers_, value);
        break;
      case http::field::user_agent:
        user_agent_ = value.substr(0, kUserAgentBytesMax);
        break;
      case http::field::unknown:  // to Beast
        if (beast::iequals(text, "X-Forwarded-For")) join(forwarded_for_, value);
        break;
      default:
        break;
    }
  }
  void on_header_impl(beast::error_code&) override { is_body_ = true; }
  std::size_t on_body_impl(Text body, beast::error_code&) override { return take_body(body); }
  std::size_t on_chunk_body_impl(std::uint64_t, Text body, beast::error_code&) override {
    return take_body(body);
  }
  std::size_t take_body(Text body) {
    if (method_ == "POST") body_ += body;
    return body.size();
  }
  void on_response_impl(int, Text, int, beast::error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
  void on_chunk_header_impl(std::uint64_t, Text, beast::error_code&) override {}
  void on_finish_impl(beast::error_code&) override {}

  std::string method_, target_, connection_, upgrade_, websocket_version_, websocket_key_;
  std::string accept_, user_agent_, forwarded_for_, via_, authorization_, content_type_;
  std::string preflight_method_, preflight_headers_, body_;
  std::size_t hosts_ = 0, fields_ = 0;
  unsigned version_ = 11;
  bool is_body_ = false;
};

Refusal too_large_head() {
  return {431, {}, "RequestHeaderFieldsTooLarge", "the request line and its fields are too large"};
}

Refusal too_large_body() { return {413, {}, "PayloadTooLarge", "no body is expected"}; }

Refusal overloaded() {
  return {503, {{"Retry-After", "5"}}, "NotEnoughResources", "too many requests at once"};
}

Refusal refusal_of(const beast::error_code& ec) {
  if (ec == http::error::header_limit) return too_large_head();
  if (ec == http::error::body_limit) return too_large_body();
  return {400, {}, "InvalidRequest", fmt::format("not a request in HTTP/1.1: {}", ec.message())};
}

void log_end(std::exception_ptr thrown) {
  if (!thrown) return;
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    log_error(fmt::format("an HTTP connection ended: {}", error.what()));
  }
}

}  // namespace

ForwardStart HttpHandler::forward(ForwardCall call) {
  return Refusal{
      501,
      {},
      "MethodNotImplemented",
      fmt::format("{} is not answered here, and passed on to nobody", call.request.nsid)};
}

class HttpSessions::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(HttpHandler& handler, HttpOptions options)
      : handler_(handler), options_(std::move(options)) {}

  void serve(Channel channel) {
    if (is_stopped_) return;
    const auto executor = channel.socket().get_executor();
    asio::co_spawn(executor, run(shared_from_this(), std::move(channel)), &log_end);
  }

  void stop() {
    is_stopped_ = true;
    for (Connection* connection : connections_) connection->stream.close();
  }

  HttpStats stats() const {
    HttpStats stats = stats_;
    stats.open = connections_.size();
    stats.request_bytes = request_bytes_;
    return stats;
  }

 private:
  // What a connection holds, known to the sessions for as long as it is theirs.
  struct Connection {
    Connection(Impl& sessions_of, Channel channel)
        : sessions(sessions_of), stream(std::move(channel)) {
      sessions.connections_.insert(this);
    }
    ~Connection() { leave(); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void leave() {
      sessions.connections_.erase(this);
      hold(0);
    }
    void hold(std::size_t bytes) {
      sessions.request_bytes_ += bytes;
      sessions.request_bytes_ -= std::exchange(held, bytes);
    }

    Impl& sessions;
    HttpStream stream;
    beast::flat_buffer buffer;  // read and not yet parsed
    Peer peer;
    std::size_t held = 0;  // bytes that are counted in request_bytes_
  };

  // Neither: the connection is of no more use.
  struct Reading {
    bool is_whole = false;
    std::optional<Refusal> refusal;
  };

  struct Answer {
    Answer(const RequestParser& parser, const HttpOptions& options) {
      terms.version = parser.version();
      terms.is_to_head = parser.is_head();
      terms.server = options.server;
      terms.timeout = options.reply_timeout;
    }

    HttpReply reply;
    ReplyTerms terms;
  };

  static asio::awaitable<void> run(std::shared_ptr<Impl> self, Channel channel) {
    Connection connection(*self, std::move(channel));
    beast::error_code ec;
    const tcp::endpoint endpoint = connection.stream.channel().socket().remote_endpoint(ec);
    if (ec || self->is_stopped_) co_return;
    connection.peer.endpoint = {without_mapping(endpoint.address()), endpoint.port()};
    if (connection.stream.channel().is_tls()) {
      const bool is_agreed = co_await self->shake_hands(connection);
      if (!is_agreed) co_return;
    }
    bool goes_on = true;
    for (std::size_t i = 1; goes_on; ++i) {
      const bool is_last = i >= self->options_.requests_max;
      goes_on = co_await self->serve_request(connection, is_last);
    }
  }

  asio::awaitable<bool> shake_hands(Connection& connection) {
    connection.stream.expires_after(options_.request_timeout);
    auto [ec] = co_await connection.stream.async_handshake(kNet);
    if (is_stopped_) co_return false;
    if (ec) ++(ec == asio::error::timed_out ? stats_.timeouts : stats_.tls_failures);
    co_return !ec;
  }

  // Returns whether another request may follow.
  asio::awaitable<bool> serve_request(Connection& connection, bool is_last) {
    std::optional<Answer> answer = co_await read_and_answer(connection, is_last);
    if (!answer || is_stopped_) co_return false;
    ++stats_.requests;
    if (answer->reply.status >= 400) ++stats_.refused;
    // The request is done with: the peer may take its time with the reply, but not at our cost.
    bool keeps = answer->terms.keeps;
    if (!keeps) connection.buffer.clear();
    connection.buffer.shrink_to_fit();
    connection.hold(connection.buffer.capacity());
    ReplyEnd end = ReplyEnd::sent;
    if (answer->reply.events) {
      end = co_await send_events(connection.stream, std::move(answer->reply),
                                 std::move(answer->terms));
    } else if (answer->reply.forward) {
      const ForwardEnd sent = co_await send_forward(connection.stream, std::move(answer->reply),
                                                    std::move(answer->terms));
      end = sent.end;
      keeps = sent.keeps;
      stats_.forwarded_bytes += sent.bytes;
      if (end == ReplyEnd::broken_off) ++stats_.forwards_failed;
    } else {
      end = co_await send_reply(connection.stream, std::move(answer->reply),
                                std::move(answer->terms));
    }
    if (end == ReplyEnd::timed_out) ++stats_.timeouts;
    if (end != ReplyEnd::sent || is_stopped_) co_return false;
    if (!keeps) co_await drain(connection.stream);
    co_return keeps;
  }

  // nullopt: there is nobody to answer any more, or it has become a subscriber.
  asio::awaitable<std::optional<Answer>> read_and_answer(Connection& connection, bool is_last) {
    std::optional<Answer> answer;
    RequestParser parser(options_);
    Reading reading = co_await read_request(connection, parser);
    if (is_stopped_ || (!reading.is_whole && !reading.refusal)) co_return answer;
    if (reading.refusal) {
      answer.emplace(parser, options_);
      answer->reply = reply_of(*reading.refusal);
      co_return answer;
    }
    connection.peer.user_agent = parser.user_agent();
    connection.peer.address =
        options_.trusted_proxies.origin(connection.peer.endpoint.address(), parser.forwarded_for());
    Route wanted = route(parser.head());
    if (auto* subscribe = std::get_if<SubscribeRequest>(&wanted)) {
      std::optional<Refusal> refused = handler_.admit(*subscribe, connection.peer);
      if (!refused) {
        co_await upgrade(connection, parser, std::move(*subscribe));
        co_return answer;
      }
      wanted = std::move(*refused);
    }
    answer.emplace(parser, options_);
    // Behind a request to upgrade there may be anything but a request.
    answer->terms.keeps = parser.keep_alive() && !is_last && !parser.asks_for_upgrade();
    if (auto* plain = std::get_if<PlainRoute>(&wanted)) {
      HttpReply reply = co_await handler_.handle(std::move(*plain));
      answer->reply = std::move(reply);
    } else if (const auto* preflight = std::get_if<Preflight>(&wanted)) {
      answer->reply = reply_of(*preflight);
    } else if (auto* forward = std::get_if<ForwardRequest>(&wanted)) {
      ForwardCall call = parser.take_forward_call(std::move(*forward));
      HttpReply reply = co_await pass_on(connection, std::move(call));
      answer->reply = std::move(reply);
    } else {
      const Refusal& refusal = std::get<Refusal>(wanted);
      const bool may_be_page = refusal.status == 404 && parser.head().method == "GET";
      std::optional<HttpReply> page;
      if (may_be_page) page = handler_.page(parser.head().target);
      answer->reply = page ? std::move(*page) : reply_of(refusal);
    }
    co_return answer;
  }

  asio::awaitable<HttpReply> pass_on(Connection& connection, ForwardCall call) {
    call.address = connection.peer.address;
    for (const auto& [name, value] : call.headers) {
      if (value.size() > kForwardedFieldBytesMax) co_return reply_of(too_large_head());
    }
    ForwardStart started = handler_.forward(std::move(call));
    if (const auto* refusal = std::get_if<Refusal>(&started)) co_return reply_of(*refusal);
    auto forward = std::get<std::shared_ptr<Forward>>(std::move(started));
    ++stats_.forwards;
    HttpReply reply = co_await begin_forward(connection.stream, std::move(forward));
    const bool has_peer_left = !connection.stream.channel().socket().is_open();
    if (!reply.forward && !has_peer_left) ++stats_.forwards_failed;
    co_return reply;
  }

  asio::awaitable<Reading> read_request(Connection& connection, RequestParser& parser) {
    Reading reading;
    beast::flat_buffer& buffer = connection.buffer;
    connection.stream.expires_after(options_.request_timeout);
    std::size_t head_bytes = 0;  // that have been parsed
    for (;;) {
      if (buffer.size() > 0) {
        beast::error_code ec;
        const bool is_in_head = !parser.is_header_done();
        const std::size_t size = parser.put(buffer.data(), ec);
        buffer.consume(size);
        if (is_in_head) head_bytes += size;
        if (ec && ec != http::error::need_more) {
          reading.refusal = refusal_of(ec);
          co_return reading;
        }
        if (parser.is_done()) {
          reading.is_whole = true;
          co_return reading;
        }
      }
      // In a body, what is left is the line before a chunk.
      const bool is_in_head = !parser.is_header_done();
      const std::size_t used = buffer.size() + (is_in_head ? head_bytes : 0);
      const std::size_t limit = is_in_head ? options_.head_bytes_max : kReadBytesMax;
      if (used >= limit) {
        reading.refusal = is_in_head ? too_large_head() : too_large_body();
        co_return reading;
      }
      const std::size_t size =
          std::min(std::clamp(buffer.capacity() - buffer.size(), kReadBytesMin, kReadBytesMax),
                   limit - used);
      const auto room = buffer.prepare(size);
      connection.hold(buffer.capacity() + head_bytes + parser.body_bytes());
      if (request_bytes_ > options_.request_bytes_total_max &&
          connection.held > kSmallRequestBytes) {
        reading.refusal = overloaded();
        co_return reading;
      }
      auto [ec, size_read] = co_await connection.stream.async_read_some(room, kNet);
      if (ec == asio::error::timed_out) ++stats_.timeouts;
      if (ec || is_stopped_) co_return reading;
      buffer.commit(size_read);
    }
  }

  // The request has been judged, by rules of our own: Beast is shown one that says the same in the
  // plainest way.
  asio::awaitable<void> upgrade(Connection& connection, const RequestParser& parser,
                                SubscribeRequest request) {
    http::request<http::empty_body> handshake(http::verb::get, "/", 11);
    handshake.set(http::field::host, "standpipe");
    handshake.set(http::field::connection, "upgrade");
    handshake.set(http::field::upgrade, "websocket");
    handshake.set(http::field::sec_websocket_version, "13");
    handshake.set(http::field::sec_websocket_key, parser.websocket_key());
    websocket::stream<HttpStream&, false> accepting(connection.stream);
    accepting.set_option(websocket::stream_base::decorator(
        [server = options_.server](websocket::response_type& response) {
          response.set(http::field::server, server);
        }));
    connection.stream.expires_after(options_.reply_timeout);
    auto [ec] = co_await accepting.async_accept(handshake, kNet);
    if (ec == asio::error::timed_out) ++stats_.timeouts;
    if (ec || is_stopped_) co_return;
    connection.stream.expires_never();
    ++stats_.requests;
    ++stats_.upgrades;
    const auto rest = connection.buffer.data();
    const auto* const begin = static_cast<const std::byte*>(rest.data());
    Bytes leftover(begin, begin + rest.size());
    Channel channel = connection.stream.release();
    take_unread(channel, leftover);
    connection.leave();
    handler_.on_upgrade(std::move(channel), std::move(request), std::move(leftover),
                        std::move(connection.peer));
  }

  // What TLS has decrypted already: no wait for the socket would tell the subscriber of it.
  static void take_unread(Channel& channel, Bytes& leftover) {
    std::array<std::byte, kReadBytesMin> piece{};
    while (channel.has_unread()) {
      const Channel::Moved moved = channel.receive(piece);
      if (moved.status != Channel::Status::done) return;
      leftover.insert(leftover.end(), piece.begin(), piece.begin() + moved.bytes);
    }
  }

  HttpHandler& handler_;  // not ours; not touched once is_stopped_
  const HttpOptions options_;
  std::set<Connection*> connections_;  // each in the frame of its coroutine
  std::size_t request_bytes_ = 0;      // held by all of them
  HttpStats stats_;
  bool is_stopped_ = false;
};

HttpSessions::HttpSessions(HttpHandler& handler, HttpOptions options)
    : impl_(std::make_shared<Impl>(handler, std::move(options))) {}
HttpSessions::~HttpSessions() { stop(); }

void HttpSessions::serve(Channel channel) { impl_->serve(std::move(channel)); }
void HttpSessions::stop() { impl_->stop(); }
HttpStats HttpSessions::stats() const { return impl_->stats(); }

}  // namespace standpipe::replay
