// A WebSocket server that plays frames to whoever connects, and breaks in exactly the way a test
// asks for. A relay as far as a subscriber can see: real sockets on 127.0.0.1, plain or TLS.
//
// It holds a list of frames, each with the seq that the test says it has; the bytes may be
// anything. A connection starts in the list where its cursor says, and gets the rest and what is
// appended later. A ConnectionPlan says what else happens to it.
//
// All public calls may be made from any thread. A wait that is not fulfilled within kTestDeadline
// throws std::runtime_error, which gtest shows as the test's failure, with what there was instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"
#include "tests/support/certificates.h"
#include "tests/support/connection_plan.h"
#include "tests/support/http_wire.h"

namespace standpipe::test {

struct UpstreamFrame {
  std::int64_t seq = 1;
  Bytes bytes;
};

// How a connection ended, or was ended by us. The first that happens counts.
enum class ConnectionEnd : std::uint8_t {
  open,            // not yet
  refused,         // by us, by HTTP
  cut,             // by us, FIN
  reset,           // by us, RST
  closed,          // by us, close frame first
  future_cursor,   // by us, error frame and 1008
  closed_by_peer,  // close frame first
  left,            // by the peer, FIN without a close frame
  left_by_reset,
  tls_failed,  // mostly: the peer does not like our certificate
  broken,      // the peer broke HTTP or RFC 6455: see `violation`
  stopped,     // the upstream went
};
std::string_view to_string(ConnectionEnd end);

// One connection as far as it has come.
struct ConnectionRecord {
  bool is_silent = false;  // by ConnectionPlan::silent(); then there is never a request
  bool has_request = false;
  std::string peer_address;  // "127.0.0.1"
  std::string method;
  std::string target;
  HttpHeaders headers;
  std::optional<std::int64_t> cursor;
  bool is_upgraded = false;
  std::uint64_t frames_sent = 0;  // from the list, repeated ones each time; handed to TCP whole
  std::int64_t greatest_seq_sent = 0;
  std::vector<std::int64_t> seqs_sent;      // theirs, in order; the first kSeqsRecordedMax
  std::vector<Bytes> pings;                 // from the peer
  std::vector<Bytes> pongs;                 // from the peer
  std::uint64_t messages = 0;               // from the peer, text and binary; they are discarded
  std::optional<std::uint16_t> close_code;  // from the peer; 1005: a close frame without one
  std::string close_reason;
  bool is_stalled = false;     // stall_after and pause_after
  bool has_peer_left = false;  // its direction of TCP has ended
  ConnectionEnd end = ConnectionEnd::open;
  std::string violation;  // broken: what the peer did; tls_failed: what TLS says

  std::optional<std::string> header(std::string_view name) const;  // name in any case
};
inline constexpr std::size_t kSeqsRecordedMax = 1'000'000;

enum class CursorMode : std::uint8_t {
  exclusive,  // seq > N: relay, PDS
  inclusive,  // seq >= N: rainbow
  ignored,    // always from the oldest
};

struct UpstreamOptions {
  std::vector<UpstreamFrame> frames;
  CursorMode cursor_mode = CursorMode::exclusive;
  bool refuses_future_cursor = true;  // FutureCursor and 1008; else it is served live, silently
  bool announces_outdated_cursor = false;  // #info OutdatedCursor; else it starts at the oldest
  bool is_paced = false;                   // frames go only as release() allows
  std::optional<TlsIdentity> tls;
  // The plan of a connection for which none is queued, by its number (from 0) and its request.
  // Called on the connection's own thread. Empty: serve.
  std::function<ConnectionPlan(std::size_t number, const ConnectionRecord& request)> plan;
  std::size_t connections_max = 256;            // open at once; the next are reset and not recorded
  std::size_t connections_total_max = 100'000;  // likewise
};

class UpstreamState;

class ScriptedUpstream {
 public:
  explicit ScriptedUpstream(UpstreamOptions options = {});
  ~ScriptedUpstream();  // ends all connections by RST, and returns when its threads are gone
  ScriptedUpstream(const ScriptedUpstream&) = delete;
  ScriptedUpstream& operator=(const ScriptedUpstream&) = delete;

  std::uint16_t port() const;
  // "ws://127.0.0.1:43121" or wss://, as --upstream takes it.
  std::string url(std::string_view path = "") const;

  // Seqs must rise, also above those that are held.
  void append(std::vector<UpstreamFrame> frames);
  void append(std::int64_t seq, Bytes bytes);
  // Frames up to and including this seq are no longer held: the window moves.
  void forget(std::int64_t seq);
  // Paced: lets the next `frames` go, to whichever connections are ready for one. A frame that a
  // connection has taken counts, even if it ends before it was sent.
  void release(std::uint64_t frames);
  void release_all();  // no longer paced

  // Plans for the next connections, one each, in order of accept.
  void plan_next(ConnectionPlan plan);

  std::vector<ConnectionRecord> connections() const;  // in order of accept
  ConnectionRecord connection(std::size_t number) const;
  std::size_t open_connections() const;

  // Each of the first `count` connections has sent its request, or has ended, or is a silent one.
  void wait_for_connections(std::size_t count) const;
  // A frame with this seq or above has been handed to TCP whole, on some connection.
  void wait_until_sent(std::int64_t seq) const;
  void wait_until_sent(std::size_t number, std::int64_t seq) const;  // on this one
  ConnectionRecord wait_for_end(std::size_t number) const;           // its end is not `open`
  void wait_for_pongs(std::size_t number, std::size_t count) const;
  // Any other state of one connection. `what` completes "waited in vain for ...".
  ConnectionRecord wait_for(std::size_t number, std::string_view what,
                            const std::function<bool(const ConnectionRecord&)>& holds) const;

 private:
  class Listener;
  std::unique_ptr<UpstreamState> state_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace standpipe::test
