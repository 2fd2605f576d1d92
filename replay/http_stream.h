// A connection before it is a subscriber's, as Beast wants its streams, with one deadline.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "replay/channel.h"

namespace standpipe::replay {

// On the thread of the socket's executor; one operation at a time. Meets Beast's AsyncStream. What
// is under way when the deadline passes ends with timed_out, and so does all that follows; after
// close() with operation_aborted.
class HttpStream {
 public:
  using executor_type = boost::asio::any_io_executor;
  using error_code = boost::system::error_code;

  explicit HttpStream(Channel channel) : core_(std::make_shared<Core>(std::move(channel))) {}

  executor_type get_executor() { return core_->channel.socket().get_executor(); }
  Channel& channel() { return core_->channel; }

  void expires_after(std::chrono::milliseconds time) {
    core_->timer.expires_after(time);
    core_->timer.async_wait([held = std::weak_ptr<Core>(core_)](const error_code& ec) {
      const auto core = held.lock();
      // Of a deadline that was moved the wait may have ended already.
      if (ec || !core || core->timer.expiry() > std::chrono::steady_clock::now()) return;
      core->has_expired = true;
      core->channel.close();
    });
  }
  void expires_never() { core_->timer.expires_at(std::chrono::steady_clock::time_point::max()); }

  void close() {
    core_->timer.cancel();
    core_->channel.close();
  }

  // What was read and what was sent stay the channel's.
  Channel release() {
    core_->timer.cancel();
    return std::move(core_->channel);
  }

  // (error_code)
  template <typename Token>
  auto async_handshake(Token&& token) {
    return boost::asio::async_compose<Token, void(error_code)>(Handshake{core_.get()}, token,
                                                               core_->channel.socket());
  }

  // (error_code, std::size_t)
  template <typename Buffers, typename Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    boost::asio::mutable_buffer into;
    for (auto it = boost::asio::buffer_sequence_begin(buffers);
         it != boost::asio::buffer_sequence_end(buffers) && into.size() == 0; ++it) {
      into = *it;
    }
    return boost::asio::async_compose<Token, void(error_code, std::size_t)>(
        Read{core_.get(), into}, token, core_->channel.socket());
  }

  // (error_code, std::size_t). What it says was written has left us.
  template <typename Buffers, typename Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    Write write{core_.get()};
    for (auto it = boost::asio::buffer_sequence_begin(buffers);
         it != boost::asio::buffer_sequence_end(buffers) && write.count < write.io.size(); ++it) {
      const boost::asio::const_buffer piece = *it;
      if (piece.size() == 0) continue;
      write.io[write.count++] = {const_cast<void*>(piece.data()), piece.size()};  // only read
    }
    return boost::asio::async_compose<Token, void(error_code, std::size_t)>(
        write, token, core_->channel.socket());
  }

  // Beast's hooks, by name: it closes what its own time-outs end (which are not used here).
  friend void beast_close_socket(HttpStream& stream) { stream.close(); }

 private:
  struct Core {
    explicit Core(Channel of) : channel(std::move(of)), timer(channel.socket().get_executor()) {}

    error_code failure(const error_code& ec) const {
      return has_expired ? error_code(boost::asio::error::timed_out) : ec;
    }

    Channel channel;
    boost::asio::steady_timer timer;
    bool has_expired = false;
  };
  using Socket = boost::asio::socket_base;

  static error_code error_of(Channel::Status status) {
    if (status == Channel::Status::closed) return boost::asio::error::eof;
    return boost::asio::error::connection_reset;
  }

  struct Handshake {
    Core* core;
    bool has_begun = false;

    template <typename Self>
    void operator()(Self& self, error_code ec = {}) {
      Channel& channel = core->channel;
      if (!std::exchange(has_begun, true)) {
        boost::asio::post(channel.socket().get_executor(), std::move(self));
        return;
      }
      if (ec || core->has_expired) return self.complete(core->failure(ec));
      const Channel::Status status = channel.handshake();
      if (status != Channel::Status::would_block) {
        return self.complete(status == Channel::Status::done ? error_code() : error_of(status));
      }
      channel.socket().async_wait(channel.has_unsent() ? Socket::wait_write : Socket::wait_read,
                                  std::move(self));
    }
  };

  struct Read {
    Core* core;
    boost::asio::mutable_buffer into;
    bool has_begun = false;

    template <typename Self>
    void operator()(Self& self, error_code ec = {}) {
      Channel& channel = core->channel;
      const bool is_first = !std::exchange(has_begun, true);
      if (is_first && (channel.has_unread() || into.size() == 0)) {
        boost::asio::post(channel.socket().get_executor(), std::move(self));
        return;
      }
      if (!is_first) {
        if (ec || core->has_expired) return self.complete(core->failure(ec), 0);
        if (into.size() == 0) return self.complete({}, 0);
        const auto moved = channel.receive({static_cast<std::byte*>(into.data()), into.size()});
        if (moved.status == Channel::Status::done) return self.complete({}, moved.bytes);
        if (moved.status != Channel::Status::would_block) {
          return self.complete(error_of(moved.status), 0);
        }
      }
      channel.socket().async_wait(Socket::wait_read, std::move(self));
    }
  };

  struct Write {
    Core* core;
    std::array<iovec, 16> io{};
    std::size_t count = 0;
    std::size_t taken = 0;  // of the bytes, and now on their way
    bool has_begun = false;

    template <typename Self>
    void operator()(Self& self, error_code ec = {}) {
      Channel& channel = core->channel;
      if (std::exchange(has_begun, true)) {
        if (ec || core->has_expired) return self.complete(core->failure(ec), 0);
        const Channel::Moved moved =
            taken > 0 ? Channel::Moved{channel.flush(), 0} : channel.send(io.data(), count);
        taken += moved.bytes;
        if (moved.status == Channel::Status::failed)
          return self.complete(error_of(moved.status), 0);
        const bool is_out = !channel.has_unsent();
        if (is_out && (taken > 0 || count == 0)) return self.complete({}, taken);
      }
      channel.socket().async_wait(Socket::wait_write, std::move(self));
    }
  };

  std::shared_ptr<Core> core_;  // with the wait for the deadline
};

}  // namespace standpipe::replay
