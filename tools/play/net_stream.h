// A TCP connection that never blocks, plain or TLS. Small, and apart from what replay/ and
// archiver/ do with sockets, because the other end of it is what a fixture is there to test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "schema/base/bytes.h"
#include "schema/base/result.h"

struct ssl_st;
struct ssl_ctx_st;

namespace standpipe::tools::play {

// What a TLS server shows and what it signs with, both PEM.
struct TlsIdentity {
  std::string certificate_pem;  // and those that lead up to one that is trusted
  std::string key_pem;
};

using TlsContext = std::shared_ptr<ssl_ctx_st>;
using TlsSession = std::shared_ptr<ssl_st>;
// Whole messages are not kept together for it; from here on SIGPIPE is ignored by the process.
TlsContext make_tls_context(bool is_server);
// invalid: what is not a certificate, not a key, or not the key of that certificate.
Result<TlsContext> make_server_tls(const TlsIdentity& identity);

enum class IoStatus : std::uint8_t {
  done,         // some bytes, at least one
  would_block,  // none now
  fin,          // the peer has ended its direction
  reset,        // the connection is gone
  failed,       // TLS: see failure()
};
struct IoResult {
  IoStatus status;
  std::size_t bytes = 0;
};

// A closed-on-destruction descriptor.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return fd_; }
  void close();

 private:
  int fd_;
};

// A descriptor that poll() reports from wake() until clear().
class WakeEvent {
 public:
  WakeEvent();
  int fd() const { return fd_.get(); }
  void wake() const;
  void clear() const;

 private:
  FileDescriptor fd_;
};

// One thread at a time.
class NetStream {
 public:
  explicit NetStream(FileDescriptor socket);  // connected, or being connected; made non-blocking
  NetStream(NetStream&&) noexcept = default;
  NetStream& operator=(NetStream&&) noexcept = default;

  // From here on all bytes are TLS's. The handshake happens within the reads and writes.
  void begin_server_tls(const TlsContext& context);
  void begin_tls(TlsSession session);  // whichever end it is set up for

  IoResult read(std::span<std::byte> into);
  IoResult write(ByteView bytes);  // may take only some

  // What poll() is to wait for, given whether there is something to write.
  short events(bool has_output) const;
  int fd() const { return socket_.get(); }
  std::string peer_address() const;  // IPv4: "127.0.0.1"; else empty
  const std::string& failure() const { return failure_; }

  // Whether the peer's kernel has everything that was written.
  bool is_acknowledged() const;

  // Whether the connection is gone by RST, as far as the kernel knows; clears it.
  bool take_error();

  void send_tls_end();    // close_notify, where there is TLS: the end was meant
  void finish_writing();  // FIN; reading goes on
  void reset();           // RST; what is not acknowledged is lost
  void close();           // FIN, or RST if there is unread input
  bool is_open() const { return socket_.get() >= 0; }

 private:
  IoResult tls_result(int returned);

  FileDescriptor socket_;
  TlsSession tls_;  // null: plain
  bool read_wants_write_ = false;
  bool write_wants_read_ = false;
  std::string failure_;
};

}  // namespace standpipe::tools::play
