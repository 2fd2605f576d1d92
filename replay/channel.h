// The bytes of one connection: a TCP socket that never blocks, with TLS around it where its
// listener has that.
//
// Reading and writing are attempts, made by whoever waits for the socket; so a subscriber under TLS
// is the same subscriber. What TLS costs beside CPU is one record of memory, while the peer does
// not take it. Spec: RFC 8446, RFC 5246.
#pragma once

#include <sys/uio.h>

#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "replay/tls_context.h"

namespace standpipe::replay {

class Channel {
 public:
  enum class Status : std::uint8_t {
    done,         // reading: something, at least one byte; writing: all of it, to the kernel
    would_block,  // wait for the socket, then go on
    closed,       // reading: the peer has ended its direction
    failed,       // the connection is of no more use
  };
  struct Moved {
    Status status = Status::done;
    std::size_t bytes = 0;
  };

  explicit Channel(boost::asio::ip::tcp::socket socket);  // plain; made non-blocking
  Channel(boost::asio::ip::tcp::socket socket, const TlsContextPtr& tls);  // null: plain
  Channel(Channel&&) noexcept;
  Channel& operator=(Channel&&) noexcept;
  ~Channel();

  bool is_tls() const { return tls_ != nullptr; }
  boost::asio::ip::tcp::socket& socket() { return socket_; }

  // Of TLS, before anything else. would_block: wait until the socket is writable where has_unsent()
  // says so, else readable. Plain: done.
  Status handshake();

  Moved receive(std::span<std::byte> into);  // `into` is not empty
  // Plaintext is there although the socket has nothing: no wait would tell.
  bool has_unread() const;

  // `bytes` were taken, and are ours to bring out, whatever the status: would_block may go with all
  // of them, where a record waits for the socket. The next send(), or flush(), goes on with it.
  Moved send(const iovec* io, std::size_t count);
  Status flush();
  bool has_unsent() const;

  // FIN, behind TLS's own farewell as far as there is room for it; false: the connection is gone.
  bool end_writing();
  void close();

 private:
  class Tls;
  boost::asio::ip::tcp::socket socket_;
  std::unique_ptr<Tls> tls_;
};

}  // namespace standpipe::replay
