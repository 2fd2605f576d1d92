// HTTP sessions on a thread of their own, a handler that the tests look into, and connections that
// say whatever a test says.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "replay/http_session.h"

namespace standpipe::test {

// What became a subscriber, with the socket still open.
struct Upgraded {
  replay::SubscribeRequest request;
  std::string leftover;
  replay::Peer peer;
  replay::Channel channel;
};

// Answers what it is asked; the tests wait for what comes out of it. Called on the thread of the
// sessions, asked on that of the test.
class FakeHandler final : public replay::HttpHandler {
 public:
  boost::asio::awaitable<replay::HttpReply> handle(replay::PlainRoute route) override {
    replay::HttpReply reply;
    reply.content_type = "text/plain";
    if (const auto* gaps = std::get_if<replay::GapsRequest>(&route))
      reply.body = "gaps " + gaps->stream;
    if (std::holds_alternative<replay::HealthRequest>(route)) reply.body = "health";
    if (std::holds_alternative<replay::BannerRequest>(route)) reply.body = "banner";
    if (!is_slow) co_return reply;
    // As slow work is meant to be done: on another thread, awaited.
    co_await boost::asio::co_spawn(pool_, slow_work(), boost::asio::use_awaitable);
    co_return reply;
  }

  std::optional<replay::Refusal> admit(const replay::SubscribeRequest& request,
                                       replay::Peer&) override {
    if (request.stream != "full") return std::nullopt;
    return replay::Refusal{503, {{"Retry-After", "7"}}, "NotEnoughResources", "no room"};
  }

  void on_upgrade(replay::Channel channel, replay::SubscribeRequest request, Bytes leftover,
                  replay::Peer peer) override {
    const std::lock_guard lock(mutex_);
    upgraded_.push_back(
        {std::move(request), std::string(as_text(leftover)), std::move(peer), std::move(channel)});
    changed_.notify_all();
  }

  // Blocks until there is one.
  Upgraded take_upgraded() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !upgraded_.empty(); });
    Upgraded upgraded = std::move(upgraded_.front());
    upgraded_.erase(upgraded_.begin());
    return upgraded;
  }
  std::size_t upgrades() const {
    const std::lock_guard lock(mutex_);
    return upgraded_.size();
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    upgraded_.clear();
  }

  bool is_slow = false;  // set before the sessions start
  std::promise<void> slow_begins, slow_may_end;

 private:
  boost::asio::awaitable<void> slow_work() {
    slow_begins.set_value();
    slow_may_end.get_future().wait();
    co_return;
  }

  mutable std::mutex mutex_;  // guards upgraded_
  std::condition_variable changed_;
  std::vector<Upgraded> upgraded_;
  boost::asio::thread_pool pool_{1};
};

class HttpFixture : public ::testing::Test {
 protected:
  ~HttpFixture() override { stop(); }

  void given_sessions(replay::HttpOptions options = {}, const std::string& address = "127.0.0.1") {
    options.server = replay::server_header("0.1.0");
    sessions_.emplace(handler, options);
    const boost::asio::ip::tcp::endpoint endpoint(boost::asio::ip::make_address(address), 0);
    acceptor_.open(endpoint.protocol());
    if (endpoint.protocol() == boost::asio::ip::tcp::v6())
      acceptor_.set_option(boost::asio::ip::v6_only(false));
    acceptor_.bind(endpoint);
    acceptor_.listen();
    port = acceptor_.local_endpoint().port();
    accept();
    thread_ = std::thread([this] { io_.run(); });
  }

  // On the thread of the sessions; waits for it.
  void run(const std::function<void()>& work) {
    std::promise<void> done;
    boost::asio::post(io_, [&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  replay::HttpStats stats() {
    replay::HttpStats stats;
    run([&] { stats = sessions_->stats(); });
    return stats;
  }
  // What Beast's timer closes is seen closed before its session has come to its end.
  replay::HttpStats stats_when_all_are_gone() {
    for (;;) {
      const replay::HttpStats now = stats();
      if (now.open == 0) return now;
    }
  }
  void stop_sessions() {
    run([&] { sessions_->stop(); });
  }

  void stop() {
    if (!thread_.joinable()) return;
    run([&] {
      boost::system::error_code ignored;
      acceptor_.close(ignored);
      sessions_.reset();
    });
    work_.reset();
    thread_.join();  // only returns when no coroutine is left
    handler.forget();
  }

  FakeHandler handler;
  std::uint16_t port = 0;

 private:
  void accept() {
    acceptor_.async_accept(
        [this](boost::system::error_code ec, boost::asio::ip::tcp::socket socket) {
          if (ec) return;
          sessions_->serve(replay::Channel(std::move(socket)));
          accept();
        });
  }

  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      io_.get_executor()};
  boost::asio::ip::tcp::acceptor acceptor_{io_};
  std::optional<replay::HttpSessions> sessions_;  // of the thread, once it runs
  std::thread thread_;
};

// A connection that says whatever the test says. Blocking; it gives up after a minute.
class RawConnection {
 public:
  explicit RawConnection(std::uint16_t port)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const timeval limit{60, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~RawConnection() { ::close(fd_); }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  // Returns whether all of it went out; the other side may have closed.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t size = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
  }
  int descriptor() const { return fd_; }
  void end_sending() const { ::shutdown(fd_, SHUT_WR); }

  // Up to the end of the stream. A reset counts as a failure of the test.
  std::string read_to_end() {
    while (read_more()) {
    }
    return std::exchange(read_, {});
  }
  // A whole reply: its head and as much as it says follows.
  std::string read_reply() {
    std::size_t end;
    while ((end = read_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more()) return std::exchange(read_, {});
    }
    const std::string_view kLength = "Content-Length: ";
    std::size_t size = end + 4;
    if (const std::size_t at = read_.find(kLength); at < end) {
      size += std::stoul(read_.substr(at + kLength.size()));
    }
    while (read_.size() < size) {
      if (!read_more()) break;
    }
    const std::string reply = read_.substr(0, size);
    read_.erase(0, size);
    return reply;
  }

 private:
  bool read_more() {
    char buffer[4096];
    const ssize_t size = ::recv(fd_, buffer, sizeof buffer, 0);
    EXPECT_GE(size, 0) << "reset, or no answer for a minute";
    if (size <= 0) return false;
    read_.append(buffer, static_cast<std::size_t>(size));
    return true;
  }

  int fd_;
  std::string read_;  // not yet returned
};

}  // namespace standpipe::test
