#include "replay/channel.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "schema/base/bytes.h"

namespace standpipe::replay {
namespace {

// Plaintext of one record, RFC 8446 5.1.
constexpr std::size_t kRecordBytes = 16 << 10;
// Of ciphertext that waits for the socket. A record at a time needs a little more than one; a peer
// that makes TLS answer over and over, and takes none of the answers, meets this.
constexpr std::size_t kUnsentBytesMax = 64 << 10;

Channel::Moved from_errno() {
  const bool is_full = errno == EAGAIN || errno == EWOULDBLOCK;
  return {is_full ? Channel::Status::would_block : Channel::Status::failed, 0};
}

Channel::Moved send_plain(int fd, const iovec* io, std::size_t count) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count; ++i) bytes += io[i].iov_len;
  if (bytes == 0) return {};
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(io);  // sendmsg only reads it
  message.msg_iovlen = count;
  ssize_t size = -1;
  do {
    size = ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return from_errno();
  const auto sent = static_cast<std::size_t>(size);
  return {sent == bytes ? Channel::Status::done : Channel::Status::would_block, sent};
}

Channel::Moved receive_plain(int fd, std::span<std::byte> into) {
  ssize_t size = -1;
  do {
    size = ::recv(fd, into.data(), into.size(), MSG_DONTWAIT);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return from_errno();
  if (size == 0) return {Channel::Status::closed, 0};
  return {Channel::Status::done, static_cast<std::size_t>(size)};
}

// Slices of a send, a record's worth at a time.
class Records {
 public:
  Records(const iovec* io, std::size_t count) : io_(io), count_(count) {}

  // Where one slice is long enough its own memory, else a copy of several: fewer, fuller records.
  ByteView next() {
    while (count_ > 0 && io_->iov_len == offset_) step();
    if (count_ == 0) return {};
    const auto* const begin = static_cast<const std::byte*>(io_->iov_base) + offset_;
    const std::size_t left = io_->iov_len - offset_;
    if (left >= kRecordBytes || count_ == 1) {
      const std::size_t size = std::min(left, kRecordBytes);
      offset_ += size;
      return {begin, size};
    }
    return copied();
  }

 private:
  void step() {
    ++io_;
    --count_;
    offset_ = 0;
  }

  ByteView copied() {
    // One for each thread: it is used up before the next.
    thread_local std::array<std::byte, kRecordBytes> record;
    std::size_t filled = 0;
    while (count_ > 0 && filled < record.size()) {
      const std::size_t size = std::min(io_->iov_len - offset_, record.size() - filled);
      std::memcpy(record.data() + filled, static_cast<const std::byte*>(io_->iov_base) + offset_,
                  size);
      filled += size;
      offset_ += size;
      if (offset_ == io_->iov_len) step();
    }
    return {record.data(), filled};
  }

  const iovec* io_;
  std::size_t count_;
  std::size_t offset_ = 0;  // into the first
};

}  // namespace

// OpenSSL reads records from the socket by itself. What it writes goes to the socket at once, from
// its own buffer; what the socket does not take is kept, so that to OpenSSL no write ever blocks,
// and what is sent next need not be what it was asked to send before.
class Channel::Tls {
 public:
  Tls(ssl_ctx_st* context, int fd) : fd_(fd), ssl_(::SSL_new(context), ::SSL_free) {
    BIO* const in = ::BIO_new_socket(fd, BIO_NOCLOSE);
    BIO* const out = ::BIO_new(output_method());
    if (ssl_ == nullptr || in == nullptr || out == nullptr) throw std::bad_alloc();
    ::BIO_set_data(out, this);
    ::BIO_set_init(out, 1);
    ::SSL_set_bio(ssl_.get(), in, out);
    ::SSL_set_accept_state(ssl_.get());
  }

  Status handshake() {
    ::ERR_clear_error();
    const int result = ::SSL_do_handshake(ssl_.get());
    const Status flushed = flush();
    if (result == 1 || flushed == Status::failed) return flushed;
    return status_of(result);
  }

  Moved receive(std::span<std::byte> into) {
    ::ERR_clear_error();
    std::size_t size = 0;
    const int result = ::SSL_read_ex(ssl_.get(), into.data(), into.size(), &size);
    if (result == 1) return {Status::done, size};
    return {status_of(result), 0};
  }

  bool has_unread() const { return ::SSL_pending(ssl_.get()) > 0; }

  Moved send(const iovec* io, std::size_t count) {
    Moved moved{flush(), 0};
    Records records(io, count);
    while (moved.status == Status::done) {
      const ByteView record = records.next();
      if (record.empty()) break;
      ::ERR_clear_error();
      std::size_t size = 0;
      const int result = ::SSL_write_ex(ssl_.get(), record.data(), record.size(), &size);
      // Nothing of ours makes it block, so it takes a record whole or not at all.
      if (result != 1 || size != record.size()) return {Status::failed, moved.bytes};
      moved.bytes += size;
      moved.status = flush();
    }
    return moved;
  }

  Status flush() {
    if (has_failed_) return Status::failed;
    while (sent_ < unsent_.size()) {
      const iovec io{unsent_.data() + sent_, unsent_.size() - sent_};
      const Moved moved = send_plain(fd_, &io, 1);
      sent_ += moved.bytes;
      if (moved.status != Status::done) return moved.status;
    }
    if (!unsent_.empty()) unsent_ = Bytes();  // its memory goes, too: most connections wait
    sent_ = 0;
    return Status::done;
  }

  bool has_unsent() const { return !unsent_.empty(); }

  void say_goodbye() {
    ::ERR_clear_error();
    // It refuses while the handshake is under way; then there is nobody to greet.
    if (::SSL_is_init_finished(ssl_.get()) == 1) ::SSL_shutdown(ssl_.get());
    ::ERR_clear_error();
  }

 private:
  Status status_of(int result) {
    switch (::SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_NONE:
        return Status::done;
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE:
        return has_failed_ ? Status::failed : Status::would_block;
      case SSL_ERROR_ZERO_RETURN:
        return Status::closed;
      default:
        has_failed_ = true;
        return Status::failed;
    }
  }

  void keep(const char* bytes, std::size_t size) {
    const auto* const begin = reinterpret_cast<const std::byte*>(bytes);
    unsent_.insert(unsent_.end(), begin, begin + size);
  }

  static int write_output(BIO* bio, const char* bytes, int size) {
    auto* const self = static_cast<Tls*>(::BIO_get_data(bio));
    auto left = static_cast<std::size_t>(size);
    if (!self->has_unsent()) {
      const iovec io{const_cast<char*>(bytes), left};  // only read
      const Moved moved = send_plain(self->fd_, &io, 1);
      if (moved.status == Status::failed) self->has_failed_ = true;
      bytes += moved.bytes;
      left -= moved.bytes;
    }
    if (self->unsent_.size() - self->sent_ + left > kUnsentBytesMax) self->has_failed_ = true;
    if (self->has_failed_) return -1;
    if (left > 0) self->keep(bytes, left);
    return size;
  }

  static long control_output(BIO*, int command, long, void*) {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }

  // One for all, made by who comes first and never given back.
  static const BIO_METHOD* output_method() {
    static const BIO_METHOD* const method = [] {
      BIO_METHOD* const made =
          ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "standpipe socket");
      if (made == nullptr) throw std::bad_alloc();
      ::BIO_meth_set_write(made, write_output);
      ::BIO_meth_set_ctrl(made, control_output);
      return made;
    }();
    return method;
  }

  const int fd_;
  Bytes unsent_;          // ciphertext that the socket has not taken ...
  std::size_t sent_ = 0;  // ... but for so much of it
  bool has_failed_ = false;
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_;  // last: it may write while it goes
};

Channel::Channel(boost::asio::ip::tcp::socket socket) : Channel(std::move(socket), nullptr) {}

Channel::Channel(boost::asio::ip::tcp::socket socket, const TlsContextPtr& tls)
    : socket_(std::move(socket)) {
  boost::system::error_code ec;
  socket_.native_non_blocking(true, ec);
  if (tls != nullptr) tls_ = std::make_unique<Tls>(tls.get(), socket_.native_handle());
}

Channel::Channel(Channel&&) noexcept = default;
Channel& Channel::operator=(Channel&&) noexcept = default;
Channel::~Channel() = default;

Channel::Status Channel::handshake() { return tls_ ? tls_->handshake() : Status::done; }

Channel::Moved Channel::receive(std::span<std::byte> into) {
  return tls_ ? tls_->receive(into) : receive_plain(socket_.native_handle(), into);
}

bool Channel::has_unread() const { return tls_ && tls_->has_unread(); }

Channel::Moved Channel::send(const iovec* io, std::size_t count) {
  return tls_ ? tls_->send(io, count) : send_plain(socket_.native_handle(), io, count);
}

Channel::Status Channel::flush() { return tls_ ? tls_->flush() : Status::done; }
bool Channel::has_unsent() const { return tls_ && tls_->has_unsent(); }

bool Channel::end_writing() {
  if (tls_) tls_->say_goodbye();
  boost::system::error_code ec;
  socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ec);
  return !ec;
}

void Channel::close() {
  tls_.reset();  // it knows the descriptor, which may soon be somebody else's
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace standpipe::replay
