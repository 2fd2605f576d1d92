#include "tests/support/bench_senders.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <cerrno>
#include <chrono>
#include <deque>
#include <stdexcept>
#include <utility>

#include "replay/socket_state.h"
#include "tests/support/bench_feeder.h"

namespace standpipe::test {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;

void check(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(fmt::format("bench sender: {}", what));
}

std::uint64_t take_rings(int bell) {
  std::uint64_t rings = 0;
  const bool has_any = ::read(bell, &rings, sizeof rings) == sizeof rings;
  return has_any ? rings : 0;
}

// -- Raw ------------------------------------------------------------------------------------------

class RawRun {
 public:
  RawRun(const BenchWire& wire, const SenderOptions& options,
         const std::atomic<std::size_t>& released, int bell)
      : wire_(wire),
        options_(options),
        released_(released),
        bell_(bell),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        end_(wire.begin_of(options.first)) {}

  void run(int listener) {
    watch(bell_, EPOLLIN, kBell);
    for (std::size_t i = 0; i < options_.subscribers; ++i) {
      FileDescriptor socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
      check(socket.get() >= 0 && answer_upgrade(socket.get()), "no subscriber");
      // As the server has them, so that only what is done differs.
      replay::prepare_subscriber_socket(socket.get(), std::chrono::hours(1));
      watch(socket.get(), EPOLLOUT | EPOLLET, i);
      members_.push_back({std::move(socket), wire_.begin_of(options_.first)});
    }
    for (;;) {
      take_events(ready_.empty() ? -1 : 0);
      for (std::size_t left = ready_.size(); left > 0; --left) {
        const std::size_t number = ready_.front();
        ready_.pop_front();
        send_to(number);
      }
    }
  }

 private:
  static constexpr std::uint64_t kBell = ~std::uint64_t{0};
  struct Member {
    FileDescriptor socket;
    std::size_t at;
    bool is_ready = false;
  };

  void watch(int fd, std::uint32_t events, std::uint64_t number) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = number;
    check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0, "no epoll");
  }

  void make_ready(std::size_t number) {
    if (members_[number].is_ready || members_[number].at == end_) return;
    members_[number].is_ready = true;
    ready_.push_back(number);
  }

  void take_events(int timeout_ms) {
    const int count =
        ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout_ms);
    for (int i = 0; i < count; ++i) {
      const std::uint64_t number = events_[static_cast<std::size_t>(i)].data.u64;
      if (number != kBell) {
        make_ready(static_cast<std::size_t>(number));
      } else if (take_rings(bell_) > 0) {
        end_ = wire_.begin_of(released_);
        for (std::size_t each = 0; each < members_.size(); ++each) make_ready(each);
      }
    }
  }

  void send_to(std::size_t number) {
    Member& member = members_[number];
    member.is_ready = false;
    const std::size_t size = std::min(options_.slice_bytes, end_ - member.at);
    const ssize_t sent = ::send(member.socket.get(), wire_.bytes.data() + member.at, size,
                                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) check(errno == EAGAIN || errno == EINTR, "a subscriber has left");
    if (sent > 0) member.at += static_cast<std::size_t>(sent);
    // Otherwise the socket is full, and tells when it is not.
    if (sent == static_cast<ssize_t>(size)) make_ready(number);
  }

  const BenchWire& wire_;
  const SenderOptions options_;
  const std::atomic<std::size_t>& released_;
  const int bell_;
  FileDescriptor epoll_;
  std::array<epoll_event, 512> events_{};
  std::vector<Member> members_;
  std::deque<std::size_t> ready_;
  std::size_t end_;  // bytes that may be sent
};

// -- Beast ----------------------------------------------------------------------------------------

class BeastSession {
 public:
  BeastSession(asio::io_context& io, int socket, const BenchWire& wire)
      : wire_(wire), stream_(io, asio::ip::tcp::v4(), socket) {
    stream_.next_layer().set_option(asio::ip::tcp::no_delay(true));
    stream_.accept();
    stream_.binary(true);
    stream_.auto_fragment(false);
    read();
  }

  void push(std::size_t frame) {
    queue_.push_back(frame);
    if (queue_.size() == 1) write();
  }

 private:
  void write() {
    const ByteView payload = wire_.payload(queue_.front());
    stream_.async_write(asio::buffer(payload.data(), payload.size()),
                        [this](const error_code& ec, std::size_t) {
                          check(!ec, "a subscriber has left");
                          queue_.pop_front();
                          if (!queue_.empty()) write();
                        });
  }

  void read() {
    stream_.async_read(buffer_, [this](const error_code& ec, std::size_t) {
      check(!ec, "a subscriber has left");
      buffer_.clear();
      read();
    });
  }

  const BenchWire& wire_;
  beast::websocket::stream<asio::ip::tcp::socket> stream_;
  beast::flat_buffer buffer_;
  std::deque<std::size_t> queue_;  // frames; the first is being written
};

class BeastRun {
 public:
  BeastRun(const BenchWire& wire, const SenderOptions& options,
           const std::atomic<std::size_t>& released, int bell)
      : wire_(wire),
        options_(options),
        released_(released),
        sent_(options.first),
        bell_(io_, bell) {}

  void run(int listener) {
    for (std::size_t i = 0; i < options_.subscribers; ++i) {
      const int socket = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      check(socket >= 0, "no subscriber");
      sessions_.push_back(std::make_unique<BeastSession>(io_, socket, wire_));
    }
    wait_for_frames();
    io_.run();
  }

 private:
  void wait_for_frames() {
    bell_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const error_code& ec) {
      check(!ec, "no bell");
      take_rings(bell_.native_handle());
      for (const std::size_t end = released_; sent_ < end; ++sent_) {
        for (const auto& session : sessions_) session->push(sent_);
      }
      wait_for_frames();
    });
  }

  const BenchWire& wire_;
  const SenderOptions options_;
  const std::atomic<std::size_t>& released_;
  std::size_t sent_;  // frames
  asio::io_context io_{1};
  asio::posix::stream_descriptor bell_;
  std::vector<std::unique_ptr<BeastSession>> sessions_;
};

}  // namespace

BenchSender::BenchSender(const BenchWire& wire, const SenderOptions& options,
                         const std::vector<int>& cores)
    : bell_(::eventfd(0, EFD_CLOEXEC)) {
  const FileDescriptor listener = listen_anywhere(port_);
  *released_ = options.first;
  const int bell = bell_.get();
  process_ = std::make_unique<ForkedProcess>(cores, [&, bell] {
    if (options.how == SenderOptions::How::raw) {
      RawRun(wire, options, *released_, bell).run(listener.get());
    } else {
      BeastRun(wire, options, *released_, bell).run(listener.get());
    }
  });
}

void BenchSender::release(std::size_t frames) {
  *released_ = frames;
  const std::uint64_t one = 1;
  check(::write(bell_.get(), &one, sizeof one) == sizeof one, "no bell");
}

}  // namespace standpipe::test
