#include "tests/support/bench_feeder.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <ctime>
#include <stdexcept>
#include <string_view>

#include "tests/support/bench_process.h"
#include "tools/play/http_wire.h"

namespace standpipe::test {

FileDescriptor listen_anywhere(std::uint16_t& port) {
  FileDescriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof place;
  auto* const address = reinterpret_cast<sockaddr*>(&place);
  if (::bind(listener.get(), address, size) != 0 || ::listen(listener.get(), 1024) != 0 ||
      ::getsockname(listener.get(), address, &size) != 0) {
    throw std::runtime_error("cannot listen on 127.0.0.1");
  }
  port = ntohs(place.sin_port);
  return listener;
}

bool answer_upgrade(int socket) {
  std::string request;
  char byte = 0;
  while (!request.ends_with("\r\n\r\n")) {
    if (::recv(socket, &byte, 1, 0) != 1) return false;
    request += byte;
  }
  const auto head = tools::play::parse_http_head(request);
  const auto key =
      head ? tools::play::find_header(head->headers, "Sec-WebSocket-Key") : std::nullopt;
  if (!key) return false;
  const std::string answer = fmt::format(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: {}\r\n\r\n",
      tools::play::websocket_accept(*key));
  return ::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(answer.size());
}

Pace::Pace(std::size_t frames_per_second) : rate_(frames_per_second), begin_ns_(monotonic_ns()) {}

void Pace::wait_for(std::size_t frame) const {
  const std::uint64_t at = begin_ns_ + frame * 1'000'000'000U / rate_;
  const timespec until{static_cast<time_t>(at / 1'000'000'000U),
                       static_cast<long>(at % 1'000'000'000U)};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

BenchFeeder::BenchFeeder() : listener_(listen_anywhere(port_)) {}

std::string BenchFeeder::url() const { return fmt::format("ws://127.0.0.1:{}", port_); }

void BenchFeeder::accept() {
  pollfd entry{listener_.get(), POLLIN, 0};
  if (::poll(&entry, 1, poll_timeout(deadline_from_now())) != 1) {
    throw std::runtime_error("nobody dials the bench's upstream");
  }
  socket_ = FileDescriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const int on = 1;
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (!answer_upgrade(socket_.get())) throw std::runtime_error("the mirror asks for no upgrade");
}

void BenchFeeder::feed_up_to(const BenchWire& wire, std::size_t frames) {
  const std::size_t begin = wire.begin_of(fed_);
  send(ByteView(wire.bytes).subspan(begin, wire.begin_of(frames) - begin));
  fed_ = frames;
}

void BenchFeeder::send(ByteView wire) {
  while (!wire.empty()) {
    const ssize_t sent = ::send(socket_.get(), wire.data(), wire.size(), MSG_NOSIGNAL);
    if (sent <= 0) throw std::runtime_error("the mirror has left the bench's upstream");
    wire = wire.subspan(static_cast<std::size_t>(sent));
  }
}

}  // namespace standpipe::test
