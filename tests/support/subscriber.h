// A WebSocket subscriber of a test's own, byte by byte.
//
// It holds the server to what ours promises: every message is one frame, unmasked, without reserved
// bits, its length in the fewest bytes. What breaks that is a Violation, not an error.
//
// One thread at a time. Nothing takes longer than the deadline in the options; a call that would,
// or one that meets what it does not expect, throws std::runtime_error: gtest shows it as the
// test's failure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "schema/base/bytes.h"
#include "tests/support/client_wire.h"
#include "tests/support/http_exchange.h"
#include "tests/support/net_stream.h"

namespace standpipe::test {

struct TextMessage {
  std::string text;
  bool operator==(const TextMessage&) const = default;
};
struct Closed {  // by a close frame
  std::optional<std::uint16_t> code;
  std::string reason;
  bool operator==(const Closed&) const = default;
};
struct TcpEnd {  // without a close frame
  bool is_reset = false;
  std::size_t bytes_cut = 0;  // of a message that had begun, its header included
  bool operator==(const TcpEnd&) const = default;
};
struct Violation {
  std::string what;
  bool operator==(const Violation&) const = default;
};
using Received = std::variant<Bytes, TextMessage, Closed, TcpEnd, Violation>;  // Bytes: binary
std::string describe(const Received& received);

class Subscriber {
 public:
  // Throws if there is no connection (TLS included), or if a 101 is not as RFC 6455 has it or
  // grants an extension or a subprotocol, which are not asked for. Any other answer is in
  // handshake(); there its status is 0 if the connection ended instead, and next() says how.
  static Subscriber connect(std::uint16_t port, std::string_view target,
                            SubscriberOptions options = {});

  Subscriber(Subscriber&&) = default;
  Subscriber& operator=(Subscriber&&) = default;

  const HttpReply& handshake() const { return handshake_; }
  bool is_upgraded() const { return handshake_.status == 101; }
  // From now on, in place of that of the options.
  void set_deadline(std::chrono::milliseconds deadline) { options_.deadline = deadline; }

  // What comes next. After anything but a message, the same for ever; a close frame is not answered
  // by itself.
  Received next();
  Bytes next_frame();  // throws if it is anything but a binary message
  std::vector<Bytes> read_frames(std::size_t count);
  std::vector<Bytes> read_until_seq(std::int64_t seq);  // up to the first frame with that or above
  // Every message until the connection ends. `end` gets how.
  std::vector<Bytes> read_to_end(Received* end = nullptr);
  // Frames that come before the pong to a ping that is sent now: with a server that is idle, all
  // that it will ever send unasked.
  std::vector<Bytes> read_until_pong();
  // What comes after a close frame, or what is left: reads until TCP ends. `bytes_cut` counts all
  // bytes that were not read as messages.
  TcpEnd wait_for_tcp_end();
  Bytes read_raw(std::size_t bytes);  // exactly so many bytes as they come, whatever they are
  // Whether something is there now that next() has not returned; never waits.
  bool has_input() const;
  // Pings and pongs that came while other things were waited for.
  const std::vector<Bytes>& pings() const { return pings_; }
  const std::vector<Bytes>& pongs() const { return pongs_; }
  Bytes wait_for_pong();  // the next one after those in pongs(); messages are kept for next()
  Bytes wait_for_ping();

  // These return whether the connection took all of it: false, and it is gone.
  bool send_ping(std::string_view payload = "");
  bool send_pong(std::string_view payload = "");
  bool send_text(std::string_view text);
  bool send_binary(std::size_t bytes);  // zeros
  bool send_close(std::optional<std::uint16_t> code = {}, std::string_view reason = "");
  bool send_frame(ByteView payload, const ClientFrameOptions& options);
  bool send_raw(ByteView bytes);
  // Whether the kernel took all of it now; the rest is lost. For a server that does not read.
  bool try_send_raw(ByteView bytes);

  void finish_writing() { stream_.finish_writing(); }  // FIN
  void reset() { stream_.reset(); }                    // RST; nothing to call after it
  void close() { stream_.close(); }                    // likewise
  int fd() const { return stream_.fd(); }

 private:
  Subscriber(NetStream stream, SubscriberOptions options);
  void shake_hands(std::uint16_t port, std::string_view target);
  void check_upgrade(std::string_view key) const;
  Received next_until(Deadline deadline);
  std::optional<Received> take();  // from what has come; controls are put aside
  std::string fault_of(const ServerFrameHeader& header) const;
  std::optional<Received> take_message(const ServerFrameHeader& header, ByteView payload);
  std::optional<Received> take_control(const ServerFrameHeader& header, ByteView payload);
  bool fill(Deadline deadline);  // waits for bytes; false: the connection has ended
  void put_aside_one(Deadline deadline, const char* wanted);
  ByteView unread() const { return ByteView(in_).subspan(in_at_); }

  NetStream stream_;
  SubscriberOptions options_;
  HttpReply handshake_;
  Bytes in_;
  std::size_t in_at_ = 0;           // what is before is done with
  std::optional<TcpEnd> tcp_end_;   // without `bytes_cut`
  std::optional<Received> last_;    // what next() says for ever
  std::deque<Received> put_aside_;  // came while a control frame was waited for
  Bytes message_;                   // fragments so far
  std::optional<unsigned> message_opcode_;
  std::vector<Bytes> pings_;
  std::vector<Bytes> pongs_;
  std::size_t pings_taken_ = 0;
  std::size_t pongs_taken_ = 0;
};

// The seq of a frame, by schema's scan_frame; nullopt if it has none.
std::optional<std::int64_t> seq_of(ByteView frame);
std::vector<std::int64_t> seqs_of(const std::vector<Bytes>& frames);  // 0 where there is none

}  // namespace standpipe::test
