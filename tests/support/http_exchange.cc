#include "tests/support/http_exchange.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

namespace standpipe::test {
namespace {

using tools::play::find_header;
using tools::play::http_head_end;
using tools::play::kHttpHeadBytesMax;
using tools::play::parse_http_head;
using tools::play::status_of;

constexpr std::size_t kBodyBytesMax = std::size_t{256} << 20;

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error("http: " + what); }

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Addresses address_of(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    fail("not an address: " + host);
  }
  return {found, ::freeaddrinfo};
}

// Appends what comes. False: the connection has ended, which `end` then says.
bool read_more(NetStream& stream, std::string& text, std::optional<IoStatus>& end,
               Deadline deadline) {
  std::array<std::byte, 16'384> buffer;  // NOLINT: the kernel fills it
  for (;;) {
    const IoResult result = stream.read(buffer);
    switch (result.status) {
      case IoStatus::done:
        text += as_text(ByteView(buffer).first(result.bytes));
        return true;
      case IoStatus::would_block:
        if (!wait_for(stream, false, deadline)) fail("waited in vain for the server");
        break;
      case IoStatus::failed:
        fail(stream.failure());
      case IoStatus::fin:
      case IoStatus::reset:
        end = result.status;
        return false;
    }
  }
}

// The bytes of a body; nullopt: up to the end of the connection.
std::optional<std::size_t> body_bytes(const HttpReply& reply, std::string_view method) {
  if (method == "HEAD" || reply.status / 100 == 1 || reply.status == 204 || reply.status == 304) {
    return 0;
  }
  if (reply.header("Transfer-Encoding")) fail("an encoded body");
  const auto text = reply.header("Content-Length");
  if (!text) return std::nullopt;
  std::size_t size = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), size);
  if (error != std::errc() || end != text->data() + text->size() || size > kBodyBytesMax) {
    fail("Content-Length: " + *text);
  }
  return size;
}

NetStream connect_and_write(std::uint16_t port, std::string_view bytes,
                            const SubscriberOptions& options, Deadline deadline) {
  NetStream stream = connect_stream(port, options);
  write_all(stream, as_bytes(bytes), deadline);
  return stream;
}

}  // namespace

std::optional<std::string> HttpReply::header(std::string_view name) const {
  return find_header(headers, name);
}

NetStream connect_stream(std::uint16_t port, const SubscriberOptions& options) {
  const Addresses address = address_of(options.host, port);
  FileDescriptor socket(
      ::socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) fail(std::string("no socket: ") + std::strerror(errno));
  if (options.receive_buffer > 0) {
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &options.receive_buffer,
                 sizeof options.receive_buffer);
  }
  if (!options.source_address.empty()) {
    const Addresses source = address_of(options.source_address, 0);
    if (::bind(socket.get(), source->ai_addr, source->ai_addrlen) != 0) {
      fail("cannot come from " + options.source_address + ": " + std::strerror(errno));
    }
  }
  int error = 0;
  if (::connect(socket.get(), address->ai_addr, address->ai_addrlen) != 0) error = errno;
  if (error == EINPROGRESS) {
    pollfd entry{socket.get(), POLLOUT, 0};
    const Deadline deadline = deadline_from_now(options.deadline);
    while (::poll(&entry, 1, poll_timeout(deadline)) < 0 && errno == EINTR) {
    }
    if (entry.revents == 0) fail("waited in vain for a connection");
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  }
  if (error != 0) {
    fail(fmt::format("cannot connect to {}:{}: {}", options.host, port, std::strerror(error)));
  }
  NetStream stream(std::move(socket));
  if (options.tls != nullptr) {
    begin_client_tls(stream, options.tls,
                     options.tls_name.empty() ? options.host : options.tls_name);
  }
  return stream;
}

bool write_all(NetStream& stream, ByteView bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const IoResult result = stream.write(bytes);
    switch (result.status) {
      case IoStatus::done:
        bytes = bytes.subspan(result.bytes);
        break;
      case IoStatus::would_block: {
        // TLS may first want to read; else only room for more counts.
        pollfd entry{stream.fd(), stream.events(true), 0};
        if ((entry.events & POLLOUT) != 0) entry.events = POLLOUT;
        int ready = 0;
        do {
          ready = ::poll(&entry, 1, poll_timeout(deadline));
        } while (ready < 0 && errno == EINTR);
        if (ready == 0) fail("the server does not read");
        break;
      }
      case IoStatus::failed:
        fail(stream.failure());
      case IoStatus::fin:
      case IoStatus::reset:
        return false;
    }
  }
  return true;
}

HttpExchange read_reply(NetStream& stream, std::string_view method, Deadline deadline) {
  HttpExchange exchange;
  std::string text;
  std::optional<std::size_t> end;
  while (!(end = http_head_end(text))) {
    if (text.size() > kHttpHeadBytesMax) fail("a head without an end");
    if (!read_more(stream, text, exchange.end, deadline)) {
      exchange.rest = std::move(text);
      return exchange;
    }
  }
  const auto head = parse_http_head(std::string_view(text).substr(0, *end));
  if (!head || status_of(head->first_line) == 0) fail("not an HTTP head: " + text.substr(0, *end));
  exchange.reply.status = status_of(head->first_line);
  exchange.reply.headers = head->headers;
  text.erase(0, *end);
  const auto size = body_bytes(exchange.reply, method);
  while (size ? text.size() < *size : text.size() <= kBodyBytesMax) {
    if (!read_more(stream, text, exchange.end, deadline)) break;
  }
  if (size && text.size() < *size) fail("the connection ended within a body");
  if (!size && text.size() > kBodyBytesMax) fail("a body without an end");
  exchange.reply.body = text.substr(0, size.value_or(text.size()));
  exchange.rest = text.substr(exchange.reply.body.size());
  return exchange;
}

HttpReply http_get(std::uint16_t port, std::string_view target, const HttpCall& call,
                   const SubscriberOptions& options) {
  std::string request = fmt::format("{} {} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\n",
                                    call.method, target, options.host, port);
  for (const auto& [name, value] : call.headers) request += name + ": " + value + "\r\n";
  if (!call.body.empty()) request += fmt::format("Content-Length: {}\r\n", call.body.size());
  request += "\r\n" + call.body;
  const Deadline deadline = deadline_from_now(options.deadline);
  NetStream stream = connect_and_write(port, request, options, deadline);
  HttpExchange exchange = read_reply(stream, call.method, deadline);
  if (exchange.reply.status == 0) fail("the connection ended without an answer");
  return std::move(exchange.reply);
}

std::string exchange_raw(std::uint16_t port, std::string_view bytes,
                         const SubscriberOptions& options) {
  const Deadline deadline = deadline_from_now(options.deadline);
  NetStream stream = connect_and_write(port, bytes, options, deadline);
  std::string text;
  std::optional<IoStatus> end;
  while (read_more(stream, text, end, deadline)) {
    if (text.size() > kBodyBytesMax) fail("an answer without an end");
  }
  return text;
}

}  // namespace standpipe::test
