// A WebSocket server that plays frames to whoever connects, and breaks in exactly the way it is
// asked to. A relay as far as a subscriber can see: real sockets on 127.0.0.1, plain or TLS.
// `standpipe play` is made of it, and so are the upstreams of our own tests.
//
// It holds a list of frames, each with the seq by which cursors find it; the bytes may be anything.
// A connection starts in the list where its cursor says, and gets the rest and what is appended
// later. A ConnectionPlan says what else happens to it. What a connection is sent depends on its
// request, its number, the list and the plan, and on nothing else: not on time, not on others.
//
// One thread accepts, and each connection has one. All public calls may be made from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "tools/play/connection_plan.h"
#include "tools/play/http_wire.h"
#include "tools/play/net_stream.h"

namespace standpipe::tools::play {

struct PlayFrame {
  std::int64_t seq = 1;
  Bytes bytes;
};

// How a connection ended, or was ended by us. The first that happens counts; but `broken` always.
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
  stopped,     // the server went
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
  bool is_caught_up = false;      // its kernel has had the last frame of the list, at some time
  std::uint64_t frames_sent = 0;  // from the list, repeated ones each time; handed to TCP whole
  std::int64_t greatest_seq_sent = 0;
  std::vector<std::int64_t> seqs_sent;  // theirs, in order; the first of them (PlayOptions)
  // Of all messages that were handed to TCP whole, but for fillers and fragments.
  std::uint64_t messages_sent = 0;
  std::uint64_t message_bytes_sent = 0;  // their payloads
  std::string messages_sha256;           // of their payloads, joined; hex; empty: no message
  std::uint64_t pings_received = 0;
  std::vector<Bytes> pings;                 // from the peer; the first kControlsRecordedMax
  std::vector<Bytes> pongs;                 // likewise
  std::uint64_t messages = 0;               // from the peer, text and binary; they are discarded
  std::optional<std::uint16_t> close_code;  // from the peer; 1005: a close frame without one
  std::string close_reason;
  bool is_stalled = false;  // stall_after and pause_after
  ConnectionEnd end = ConnectionEnd::open;
  std::string violation;  // broken: what the peer did; tls_failed: what TLS says

  std::optional<std::string> header(std::string_view name) const;  // name in any case
};
inline constexpr std::size_t kControlsRecordedMax = 10'000;

enum class CursorMode : std::uint8_t {
  exclusive,  // seq > N: relay, PDS
  inclusive,  // seq >= N: rainbow
  ignored,    // always from the oldest
};

// Where a fault happens.
struct FaultSite {
  std::size_t connection = 0;       // its number
  std::size_t frames = 0;           // done with on this connection, the fault's own included
  std::optional<std::int64_t> seq;  // of the fault's own frame, or of the last one before it
};

struct PlayOptions {
  std::vector<PlayFrame> frames;
  std::int64_t floor = 0;  // a cursor below it is outdated; raised by forget()
  CursorMode cursor_mode = CursorMode::exclusive;
  bool begins_at_oldest = false;      // without a cursor; else with what comes
  bool refuses_future_cursor = true;  // FutureCursor and 1008; else it is served live, silently
  bool announces_outdated_cursor = false;  // #info OutdatedCursor; else it starts at the oldest
  bool is_complete = false;                // nothing is going to be appended
  bool is_paced = false;                   // frames go only as release() allows
  std::optional<TlsIdentity> tls;
  // The answer to a request that is not for the stream: such a connection has no number and no
  // record. nullopt: it is for the stream. Called on the connection's own thread, as those below.
  std::function<std::optional<HttpAnswer>(const ConnectionRecord& request)> http;
  // The plan of a connection for which none is queued, by its number (from 0) and its request.
  // Empty: serve.
  std::function<ConnectionPlan(std::size_t number, const ConnectionRecord& request)> plan;
  // Asked before a fault that has an id happens; false: it does not.
  std::function<bool(FaultId id, const FaultSite& site)> on_fault;
  std::uint16_t port = 0;                       // 0: any that is free
  std::size_t connections_max = 256;            // open at once; the next are reset
  std::size_t connections_total_max = 100'000;  // with a number; the next are reset
  std::size_t seqs_recorded_max = 1'000'000;    // of a connection
};

class ServerState;

class Server {
 public:
  // io: the port cannot be had. invalid: see make_server_tls; and more connections_max than there
  // are descriptors for, of which the process is given as many as it may have.
  static Result<std::unique_ptr<Server>> start(PlayOptions options);
  ~Server();  // ends all connections by RST, and returns when its threads are gone
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const;
  // "ws://127.0.0.1:43121" or wss://, as --upstream takes it.
  std::string url(std::string_view path = "") const;

  // Seqs must not fall, also below those that are held.
  void append(std::vector<PlayFrame> frames);
  // Frames up to and including this seq are no longer held: the window moves.
  void forget(std::int64_t seq);
  // Paced: lets the next `frames` of the list go, to every connection.
  void release(std::uint64_t frames);
  void release_all();  // no longer paced

  // Plans for the next connections that get a number, one each.
  void plan_next(ConnectionPlan plan);

  // From here on each connection ends by FIN, at the end of a message. Nobody new is accepted.
  void finish();

  std::vector<ConnectionRecord> connections() const;  // by number
  std::size_t open_connections() const;               // also those that have no number

  // Waits until `holds`, which is called under a lock after every change. False: not by then.
  using Holds = std::function<bool(const std::vector<ConnectionRecord>&)>;
  bool wait(const Holds& holds, std::chrono::steady_clock::time_point deadline) const;
  // Has every wait() look again; after on_fault, too, they do.
  void touch() const;
  // "it has had 3 connections; 0: ..." for who waited in vain.
  std::string summary() const;

 private:
  class Listener;
  Server(std::unique_ptr<ServerState> state, std::unique_ptr<Listener> listener);

  std::unique_ptr<ServerState> state_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace standpipe::tools::play
