#include "replay/http_reply.h"

#include <fmt/format.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http.hpp>
#include <optional>
#include <utility>

#include "replay/forward.h"
#include "replay/socket_state.h"
#include "replay/status_board.h"

namespace standpipe::replay {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr auto kNet = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kEventsLook{100};  // whether there is something new
constexpr int kEventsBytes = 64 << 10;                 // in the kernel
constexpr std::chrono::milliseconds kPeerLook{100};    // whether the peer still waits
constexpr std::size_t kDrainReadBytes = 4 << 10;
constexpr std::size_t kDrainBytesMax = 1 << 20;
constexpr std::chrono::seconds kDrainTimeout{1};

ReplyEnd end_of(const beast::error_code& ec) {
  if (!ec) return ReplyEnd::sent;
  return ec == asio::error::timed_out ? ReplyEnd::timed_out : ReplyEnd::lost;
}

template <typename Body>
http::response<Body> head_of(const HttpReply& reply, const ReplyTerms& terms) {
  http::response<Body> response;
  response.version(terms.version);
  response.result(static_cast<unsigned>(reply.status));
  response.set(http::field::server, terms.server);
  response.set(http::field::access_control_allow_origin, "*");
  for (const auto& [name, value] : reply.headers) response.set(name, value);
  return response;
}

// Ends a forward whose peer has gone while nothing is sent to it. By looking, not by reading: what
// the peer has sent may be its next request, and under TLS anything.
class PeerWatch : public std::enable_shared_from_this<PeerWatch> {
 public:
  PeerWatch(HttpStream& stream, std::shared_ptr<Forward> forward)
      : stream_(stream), forward_(std::move(forward)), timer_(stream.get_executor()) {}

  void look_later() {
    timer_.expires_after(kPeerLook);
    timer_.async_wait([held = weak_from_this()](const beast::error_code& ec) {
      const auto self = held.lock();
      if (ec || !self) return;
      if (!has_peer_left(self->stream_.channel().socket().native_handle())) {
        self->look_later();
        return;
      }
      self->forward_->cancel();
      self->stream_.close();
    });
  }

 private:
  HttpStream& stream_;  // outlives us
  const std::shared_ptr<Forward> forward_;
  asio::steady_timer timer_;
};

// A reset: what has come of the body must not look like all of it.
void break_off(HttpStream& stream) {
  beast::error_code ignored;
  stream.channel().socket().set_option(asio::socket_base::linger(true, 0), ignored);
  stream.close();
}

bool has_body(int status) { return status != 204 && status != 304; }

}  // namespace

asio::awaitable<ReplyEnd> send_reply(HttpStream& stream, HttpReply reply, ReplyTerms terms) {
  auto response = head_of<http::string_body>(reply, terms);
  if (has_body(reply.status)) response.set(http::field::content_type, reply.content_type);
  response.body() = std::move(reply.body);
  response.prepare_payload();
  response.keep_alive(terms.keeps);
  if (terms.is_to_head) response.body().clear();  // its length has been stated
  stream.expires_after(terms.timeout);
  auto [ec, size] = co_await http::async_write(stream, response, kNet);
  co_return end_of(ec);
}

asio::awaitable<void> drain(HttpStream& stream) {
  if (!stream.channel().end_writing()) co_return;
  stream.expires_after(kDrainTimeout);
  std::array<char, kDrainReadBytes> room{};
  for (std::size_t drained = 0; drained < kDrainBytesMax;) {
    auto [ec, size] = co_await stream.async_read_some(asio::buffer(room), kNet);
    if (ec) co_return;
    drained += size;
  }
}

// Spec: HTML, "Server-sent events".
asio::awaitable<ReplyEnd> send_events(HttpStream& stream, HttpReply reply, ReplyTerms terms) {
  auto response = head_of<http::empty_body>(reply, terms);
  response.version(11);
  response.set(http::field::content_type, reply.content_type);
  response.keep_alive(false);
  // Who does not read is found out soon, and costs little until then.
  beast::error_code ignored;
  stream.channel().socket().set_option(asio::socket_base::send_buffer_size(kEventsBytes), ignored);
  stream.expires_after(terms.timeout);
  auto [head_ec, head_size] = co_await http::async_write(stream, response, kNet);
  if (head_ec) co_return end_of(head_ec);
  asio::steady_timer timer(stream.get_executor());
  for (std::uint64_t seen = 0; stream.channel().socket().is_open();) {
    const std::optional<StatusBoard::Event> event = reply.events->after(seen);
    if (event) {
      seen = event->number;
      stream.expires_after(terms.timeout);
      const asio::const_buffer bytes = asio::buffer(*event->text);
      auto [ec, size] = co_await asio::async_write(stream, bytes, kNet);
      if (ec) co_return end_of(ec);
    } else {
      stream.expires_never();
      timer.expires_after(kEventsLook);
      auto [ec] = co_await timer.async_wait(kNet);
      if (ec) break;
    }
  }
  co_return ReplyEnd::lost;
}

asio::awaitable<HttpReply> begin_forward(HttpStream& stream, std::shared_ptr<Forward> forward) {
  stream.expires_never();  // until now it was for the request to arrive
  auto watch = std::make_shared<PeerWatch>(stream, forward);
  watch->look_later();
  Result<ForwardedHead> head = co_await forward->begin();
  if (!head) co_return reply_of({502, {}, "UpstreamFailure", head.error().detail});
  HttpReply reply;
  reply.status = head->status;
  reply.headers = std::move(head->headers);
  reply.forward = std::move(forward);
  reply.forward_bytes = head->body_bytes;
  reply.place = std::move(watch);
  co_return reply;
}

asio::awaitable<ForwardEnd> send_forward(HttpStream& stream, HttpReply reply, ReplyTerms terms) {
  ForwardEnd sent;
  const std::shared_ptr<Forward> forward = reply.forward;
  auto response = head_of<http::empty_body>(reply, terms);
  const bool is_chunked = !reply.forward_bytes && terms.version >= 11;
  sent.keeps = terms.keeps && (is_chunked || reply.forward_bytes);
  response.keep_alive(sent.keeps);
  response.chunked(is_chunked && has_body(reply.status));
  if (reply.forward_bytes && has_body(reply.status)) response.content_length(*reply.forward_bytes);
  http::response_serializer<http::empty_body> serializer(response);
  stream.expires_after(terms.timeout);
  auto [head_ec, head_size] = co_await http::async_write_header(stream, serializer, kNet);
  sent.end = end_of(head_ec);
  while (sent.end == ReplyEnd::sent && has_body(reply.status)) {
    stream.expires_never();
    Result<std::string> piece = co_await forward->more();
    if (!piece) {
      const bool has_peer_left = piece.error().code == Errc::closed;  // the watch has seen it
      sent.end = has_peer_left ? ReplyEnd::lost : ReplyEnd::broken_off;
      break_off(stream);
      break;
    }
    stream.expires_after(terms.timeout);
    const asio::const_buffer bytes = asio::buffer(*piece);
    beast::error_code write_ec;
    if (is_chunked && piece->empty()) {
      auto [ec, size] = co_await asio::async_write(stream, http::make_chunk_last(), kNet);
      write_ec = ec;
    } else if (is_chunked) {
      auto [ec, size] = co_await asio::async_write(stream, http::make_chunk(bytes), kNet);
      write_ec = ec;
    } else if (!piece->empty()) {
      auto [ec, size] = co_await asio::async_write(stream, bytes, kNet);
      write_ec = ec;
    }
    sent.end = end_of(write_ec);
    sent.bytes += piece->size();
    if (piece->empty()) break;
  }
  if (sent.end != ReplyEnd::sent) sent.keeps = false;
  co_return sent;
}

}  // namespace standpipe::replay
