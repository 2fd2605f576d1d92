// One connection of a Server: carries out its plan. Used by server.cc alone.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/hash.h"
#include "tools/play/connection_plan.h"
#include "tools/play/net_stream.h"
#include "tools/play/server_state.h"
#include "tools/play/server_wire.h"

namespace standpipe::tools::play {

// Lives on one thread, which run() occupies until the connection is over or the server stops.
//
// Where a server answers requests that are not for the stream, too, a connection gets its number,
// by which plans and records go, with its request; else when it is made.
class Connection {
 public:
  Connection(ServerState& state, NetStream stream);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void run();

 private:
  enum class Phase : std::uint8_t {
    head,       // the request is on its way
    waiting,    // never to be answered
    serving,    // upgraded
    closing,    // our close frame is out or on its way, theirs is not here
    draining,   // what is in out_ goes out; then our direction ends
    resetting,  // what is out is acknowledged; then RST
    ended,      // our direction has ended; theirs has not
    over,
  };
  // A frame of the list as this connection is sent it.
  struct Outgoing {
    ByteView bytes;  // of the frame, or of renumbered_
    std::int64_t seq = 0;
  };
  // Of one frame, and before any other.
  struct Copies {
    SharedFrame frame;  // holds the bytes
    Outgoing out;
    std::uint64_t left = 0;
  };
  static constexpr std::size_t kChunkBytes = 65'536;  // read, and put out, at once

  bool turn();  // whether anything moved
  bool read_some();
  bool write_some();
  void wait();
  void stay_silent();

  void take_bytes(ByteView bytes);
  void take_head_bytes(ByteView& bytes);
  void take_request(std::string_view text);
  void take_plan(const ConnectionRecord& request);
  void answer_request(const ConnectionRecord& request, std::string_view version, bool has_cursor,
                      const StartPosition& start);
  void begin_at(StartPosition start, bool has_cursor);
  void answer(const HttpAnswer& answer);
  void upgrade(std::string_view key);
  void take_control(const ClientFrames::Control& control);
  void take_ping(ByteView payload);
  void take_close(ByteView payload);

  bool produce();
  bool produce_frames();
  bool is_delayed();
  void note_caught_up();
  void order_plan();
  bool is_due(const PlannedEvent& event) const;
  std::optional<std::size_t> due_event() const;  // by its place in the plan
  std::size_t frames_without_a_fault() const;
  bool is_next(const PlannedFault& fault) const;
  bool may_happen(FaultId id) const;
  bool apply_faults();  // of the next frame; false: it is not there
  // Each: false if it does not happen.
  bool apply(const PlannedFault& fault, const SharedFrame& frame);
  bool apply_to(const PlannedFault& fault, const SharedFrame& frame, const Outgoing& out);
  bool apply_cut(const PlannedFault& fault, const Outgoing& out);
  bool apply_swap(const PlannedFault& fault, const std::vector<SharedFrame>& frames);
  void put_copies();
  void apply(const PlannedEvent& event);
  Outgoing outgoing(const PlayFrame& frame);
  void put_frame(const PlayFrame& frame);
  void put_message(Opcode opcode, ByteView payload, std::optional<std::int64_t> seq = {});
  void put_pieces(const Outgoing& frame, const PlannedFault& fault);

  bool take_number();  // false: there have been too many
  void record(const std::function<void(ConnectionRecord&)>& change);
  void record_end(ConnectionEnd how);  // unless it has ended
  void record_sent();
  void leave(ConnectionEnd how);  // by FIN, when out_ is empty
  void break_off(const std::string& violation);
  void peer_is_gone(ConnectionEnd how);
  void end_our_direction();

  ServerState& state_;
  NetStream stream_;
  const WakeEvent wake_;
  std::optional<std::size_t> number_;
  bool is_aside_ = false;  // not for the stream, or too many: has no number
  std::optional<ConnectionPlan> queued_plan_;
  ConnectionPlan plan_;
  Phase phase_ = Phase::head;
  std::string head_;
  ClientFrames from_peer_;
  std::uint64_t messages_recorded_ = 0;

  Bytes out_;
  std::size_t out_at_ = 0;  // bytes of it that TCP has
  struct Mark {
    std::size_t end = 0;              // of a message, in out_
    std::optional<std::int64_t> seq;  // if it is a frame of the list
    std::size_t payload_bytes = 0;
    Sha256Digest digest{};  // of all up to and including this
  };
  std::deque<Mark> marks_;
  Sha256 hash_;     // of all messages that were put out
  Bytes controls_;  // frames that go out between two messages
  std::optional<FillerMessage> filler_;
  std::optional<Copies> copies_;

  std::size_t index_ = 0;  // in the list, of the frame to come
  std::size_t first_index_ = 0;
  std::size_t done_ = 0;  // frames done with, as plans count them
  std::optional<std::int64_t> last_seq_;
  std::vector<bool> events_done_;         // as plan_.events
  std::vector<bool> faults_done_;         // as plan_.faults
  bool has_event_happened_ = false;       // the last one that was due
  std::optional<std::int64_t> renumber_;  // the seq of the frame to come
  Bytes renumbered_;                      // the last frame that was
  std::chrono::steady_clock::time_point resume_at_;
  bool is_delayed_ = false;
  bool is_stalled_ = false;
  bool is_mute_ = false;  // nothing goes out any more, and no FIN
  bool waits_for_pong_ = false;
  std::optional<bool> answers_pings_;  // unknown until there is one
  bool is_caught_up_ = false;
  bool awaits_acknowledgement_ = false;  // to be caught up
  bool ends_tls_ = true;                 // the end is meant: close_notify before FIN
};

}  // namespace standpipe::tools::play
