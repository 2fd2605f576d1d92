// One connection of a ScriptedUpstream: carries out its plan. Used by scripted_upstream.cc alone.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "tests/support/connection_plan.h"
#include "tests/support/net_stream.h"
#include "tests/support/server_wire.h"
#include "tests/support/upstream_state.h"

namespace standpipe::test {

// Lives on one thread, which run() occupies until the connection is over or the upstream stops.
class UpstreamConnection {
 public:
  UpstreamConnection(UpstreamState& state, NetStream stream, std::size_t number);
  ~UpstreamConnection();
  UpstreamConnection(const UpstreamConnection&) = delete;
  UpstreamConnection& operator=(const UpstreamConnection&) = delete;

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

  bool turn();  // whether anything moved
  bool read_some();
  bool write_some();
  void wait();
  void stay_silent();

  void take_bytes(ByteView bytes);
  void take_head_bytes(ByteView& bytes);
  void take_request(std::string_view text);
  void answer(const HttpAnswer& answer);
  void upgrade(std::string_view key);
  void take_control(const ClientFrames::Control& control);
  void take_close(ByteView payload);

  bool produce();
  bool produce_frames();
  std::size_t frames_without_a_fault() const;
  const PlannedFault* fault_of(std::size_t frame) const;
  bool apply(const PlannedFault& fault);  // false: the frame is not there
  bool apply_swap();
  void apply(const PlannedEvent& event);
  void put_frame(const UpstreamFrame& frame);
  void put_pieces(const UpstreamFrame& frame, const PlannedFault& fault);

  void leave(ConnectionEnd how);  // by FIN, when out_ is empty
  void break_off(const std::string& violation);
  void peer_is_gone(ConnectionEnd how);
  void end_our_direction();
  void record_sent();

  UpstreamState& state_;
  NetStream stream_;
  const std::size_t number_;
  const WakeEvent wake_;
  std::optional<ConnectionPlan> queued_plan_;
  ConnectionPlan plan_;
  Phase phase_ = Phase::head;
  std::string head_;
  ClientFrames from_peer_;
  std::uint64_t messages_recorded_ = 0;

  Bytes out_;
  std::size_t out_at_ = 0;  // bytes of it that TCP has
  struct Mark {
    std::size_t end;  // in out_
    std::int64_t seq;
  };
  std::deque<Mark> marks_;  // frames of the list that are in out_
  Bytes controls_;          // frames that go out between two messages
  std::optional<FillerMessage> filler_;

  std::size_t index_ = 0;  // in the list, of the frame to come
  std::size_t done_ = 0;   // frames done with, as plans count them
  std::size_t next_event_ = 0;
  SharedFrame held_;  // the first of two that are swapped, until the second is there
  bool is_stalled_ = false;
  bool is_mute_ = false;  // nothing goes out any more, and no FIN
  bool waits_for_pong_ = false;
  bool ends_tls_ = true;  // the end is meant: close_notify before FIN
};

}  // namespace standpipe::test
