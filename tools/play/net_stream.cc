#include "tools/play/net_stream.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

#include "schema/base/assert.h"

namespace standpipe::tools::play {
namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;

Bio reader_of(const std::string& pem) {
  return {BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free};
}

IoResult socket_result(ssize_t returned) {
  if (returned > 0) return {IoStatus::done, static_cast<std::size_t>(returned)};
  if (returned == 0) return {IoStatus::fin};
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {IoStatus::would_block};
  return {IoStatus::reset};
}

}  // namespace

TlsContext make_tls_context(bool is_server) {
  // OpenSSL writes by write(): without this, a peer that has left ends the process by a signal.
  ::signal(SIGPIPE, SIG_IGN);
  TlsContext context(SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method()),
                     SSL_CTX_free);
  STANDPIPE_ASSERT(context != nullptr, "no TLS");
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // A connection that is cut is seen as such by whoever asks; it is not an error of TLS.
  SSL_CTX_set_options(context.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
  return context;
}

Result<TlsContext> make_server_tls(const TlsIdentity& identity) {
  TlsContext context = make_tls_context(/*is_server=*/true);
  const Bio key_bio = reader_of(identity.key_pem);
  const std::shared_ptr<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (key == nullptr) return Error{Errc::invalid, "not a private key in PEM"};
  const Bio bio = reader_of(identity.certificate_pem);
  const auto read_certificate = [&bio] {
    return std::shared_ptr<X509>(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr),
                                 X509_free);
  };
  const auto certificate = read_certificate();
  if (certificate == nullptr || SSL_CTX_use_certificate(context.get(), certificate.get()) != 1) {
    return Error{Errc::invalid, "not a certificate in PEM"};
  }
  while (const auto issuer = read_certificate()) {
    // What SSL_CTX_add1_chain_cert does, which is a macro with an old cast.
    STANDPIPE_ASSERT(SSL_CTX_ctrl(context.get(), SSL_CTRL_CHAIN_CERT, 1, issuer.get()) == 1,
                     "no room for a certificate");
  }
  ERR_clear_error();
  if (SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) {
    return Error{Errc::invalid, "the key is not that of the certificate"};
  }
  return context;
}

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

FileDescriptor::~FileDescriptor() { close(); }

void FileDescriptor::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

WakeEvent::WakeEvent() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  STANDPIPE_ASSERT(fd_.get() >= 0, "no eventfd");
}

void WakeEvent::wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(fd(), &one, sizeof one);
}

void WakeEvent::clear() const {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t size = ::read(fd(), &count, sizeof count);
}

NetStream::NetStream(FileDescriptor socket) : socket_(std::move(socket)) {
  const int flags = ::fcntl(fd(), F_GETFL);
  STANDPIPE_ASSERT(flags >= 0 && ::fcntl(fd(), F_SETFL, flags | O_NONBLOCK) == 0,
                   std::strerror(errno));
  const int on = 1;
  ::setsockopt(fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void NetStream::begin_server_tls(const TlsContext& context) {
  TlsSession session(SSL_new(context.get()), SSL_free);
  STANDPIPE_ASSERT(session != nullptr, "no TLS");
  SSL_set_accept_state(session.get());
  begin_tls(std::move(session));
}

void NetStream::begin_tls(TlsSession session) {
  tls_ = std::move(session);
  STANDPIPE_ASSERT(SSL_set_fd(tls_.get(), fd()) == 1, "no TLS");
}

IoResult NetStream::read(std::span<std::byte> into) {
  if (tls_ == nullptr) return socket_result(::recv(fd(), into.data(), into.size(), 0));
  ERR_clear_error();
  const int size = static_cast<int>(std::min<std::size_t>(into.size(), INT_MAX));
  const int returned = SSL_read(tls_.get(), into.data(), size);
  read_wants_write_ = SSL_want_write(tls_.get()) != 0;
  return tls_result(returned);
}

IoResult NetStream::write(ByteView bytes) {
  if (tls_ == nullptr) return socket_result(::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
  ERR_clear_error();
  const int size = static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX));
  const int returned = SSL_write(tls_.get(), bytes.data(), size);
  write_wants_read_ = SSL_want_read(tls_.get()) != 0;
  return tls_result(returned);
}

IoResult NetStream::tls_result(int returned) {
  if (returned > 0) return {IoStatus::done, static_cast<std::size_t>(returned)};
  const int system_error = errno;
  switch (SSL_get_error(tls_.get(), returned)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return {IoStatus::would_block};
    case SSL_ERROR_ZERO_RETURN:
      return {IoStatus::fin};
    case SSL_ERROR_SYSCALL:
      return {system_error == 0 ? IoStatus::fin : IoStatus::reset};
    default: {
      const unsigned long code = ERR_peek_last_error();
      const char* const reason = ERR_reason_error_string(code);
      failure_ = reason == nullptr ? "TLS failed" : reason;
      const long verdict = SSL_get_verify_result(tls_.get());
      if (verdict != X509_V_OK) {
        failure_ += std::string(": ") + X509_verify_cert_error_string(verdict);
      }
      return {IoStatus::failed};
    }
  }
}

short NetStream::events(bool has_output) const {
  const bool wants_output = (has_output && !write_wants_read_) || read_wants_write_;
  return static_cast<short>(wants_output ? POLLIN | POLLOUT : POLLIN);
}

std::string NetStream::peer_address() const {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  std::array<char, INET_ADDRSTRLEN> text{};
  if (::getpeername(fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      address.sin_family != AF_INET ||
      ::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size()) == nullptr) {
    return "";
  }
  return text.data();
}

bool NetStream::is_acknowledged() const {
  int bytes = 0;
  return ::ioctl(fd(), SIOCOUTQ, &bytes) != 0 || bytes == 0;
}

bool NetStream::take_error() {
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0;
}

void NetStream::send_tls_end() {
  if (tls_ == nullptr || SSL_is_init_finished(tls_.get()) == 0) return;
  ERR_clear_error();
  SSL_shutdown(tls_.get());
}

void NetStream::finish_writing() { ::shutdown(fd(), SHUT_WR); }

void NetStream::reset() {
  const linger at_once{1, 0};
  ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

void NetStream::close() {
  tls_.reset();
  socket_.close();
}

}  // namespace standpipe::tools::play
