// A TCP connection of a test's own, plain or TLS, that never blocks unless it is told for how long.
// Both ends of the network tests stand on it: nothing here is shared with the code under test.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "schema/base/bytes.h"
#include "tests/support/certificates.h"

struct ssl_st;
struct ssl_ctx_st;

namespace standpipe::test {

// How long anything may take that a test waits for. Far above what the slowest machine needs: it
// is there to end a test that would never end, and no test passes by it.
inline constexpr std::chrono::seconds kTestDeadline{60};
using Deadline = std::chrono::steady_clock::time_point;
inline Deadline deadline_from_now(std::chrono::milliseconds time = kTestDeadline) {
  return std::chrono::steady_clock::now() + time;
}
// Milliseconds until `deadline` for poll(), rounded up; 0 when it has passed.
int poll_timeout(Deadline deadline);

using TlsContext = std::shared_ptr<ssl_ctx_st>;
TlsContext make_server_tls(const TlsIdentity& identity);
TlsContext make_client_tls(const std::string& trusted_pem);  // trusts nothing else

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

// One thread at a time.
class NetStream {
 public:
  explicit NetStream(FileDescriptor socket);  // connected, or being connected; made non-blocking
  NetStream(NetStream&&) noexcept = default;
  NetStream& operator=(NetStream&&) noexcept = default;

  // From here on all bytes are TLS's. The handshake happens within the reads and writes.
  void begin_server_tls(const TlsContext& context);
  void begin_client_tls(const TlsContext& context, const std::string& host);

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
  std::shared_ptr<ssl_st> tls_;  // null: plain
  bool read_wants_write_ = false;
  bool write_wants_read_ = false;
  std::string failure_;
};

// Waits for the stream's `events(has_output)`; false at the deadline.
bool wait_for(const NetStream& stream, bool has_output, Deadline deadline);

}  // namespace standpipe::test
