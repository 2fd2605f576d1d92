// One subscriber: a connection, a position, and where the bytes at that position come from.
//
// All of it belongs to one network thread. It is sent from the live log while it is inside, else
// from runs of the archive; both by the same position, so that there is one path and no hand-over
// buffer. What we say ourselves goes out at frame boundaries, at once.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "replay/backfill.h"
#include "replay/channel.h"
#include "replay/client_frames.h"
#include "replay/egress.h"
#include "replay/feed_view.h"
#include "replay/http_session.h"
#include "replay/live_log.h"
#include "replay/options.h"
#include "replay/request.h"
#include "replay/stats.h"
#include "replay/subscription.h"
#include "schema/base/bytes.h"

namespace standpipe::replay {

// What a subscriber needs of its thread.
class SubscriberHost {
 public:
  virtual void schedule(const SubscriberPtr& subscriber) = 0;        // its turn comes
  virtual void schedule_later(const SubscriberPtr& subscriber) = 0;  // in some milliseconds
  virtual void remove(const SubscriberPtr& subscriber) = 0;
  virtual void post(std::function<void()> work) = 0;  // any thread
  virtual std::int64_t now_ms() const = 0;            // monotonic, of this turn

  // Shared by all subscribers of the thread.
  SendPlan plan;
  std::array<std::byte, 16 << 10> scratch{};
  ServerStats stats;

  const ServerOptions* options = nullptr;     // not ours
  const storage::Archive* archive = nullptr;  // not ours
  ReadPool* pool = nullptr;                   // not ours
  SharedBucket* egress = nullptr;             // not ours

 protected:
  ~SubscriberHost() = default;
};

class Subscriber : public std::enable_shared_from_this<Subscriber> {
 public:
  // `view` must outlive it; `is_catching_up` is asked while a cursor from the future waits.
  Subscriber(SubscriberHost& host, FeedView& view, Channel channel, Peer peer,
             SubscribeRequest request, std::function<bool()> is_catching_up);
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;

  // Once, after it is owned. `leftover`: read behind the handshake.
  void start(Bytes leftover);

  enum class Pumped : std::uint8_t { again, waits, gone };
  // Sends one slice of up to `slice_bytes`, or does something else that takes about as long.
  Pumped pump(std::size_t slice_bytes);
  void on_published();
  // Of a filtered one, by its view: frame `seq` passes the filter; `before` precedes it in the
  // feed, and `place` is where it lies.
  void on_match(Seq seq, Seq before, const LiveTail::Place& place);
  void wake();  // by its view: looks for itself what there is to get
  void on_tick();
  // Ends at the next frame boundary, or when `within` is over. The first reason counts.
  void end(EndReason reason, Bytes last_words, std::chrono::milliseconds within);

  void end_now();  // without ceremony

  bool is_live() const { return state_ == State::live; }
  bool is_gone() const { return state_ == State::gone; }
  FeedView& view() const { return *view_; }
  const Peer& peer() const { return peer_; }

  bool is_queued = false;  // the thread's: it is in one of its queues

 private:
  enum class State : std::uint8_t {
    starting,  // its first position is being looked up
    future,    // its cursor is above newest
    live,
    backfill,
    draining,  // nothing more is sent; what the peer sends is read, so that it gets our last words
    gone,
  };
  struct Ending {
    EndReason reason{};
    std::int64_t deadline_ms = 0;
  };

  // -- Starting
  void begin_at(std::optional<std::int64_t> cursor);
  void begin_at_time(std::int64_t time_ms);
  void begin_after(Seq after);
  void judge_again(bool is_due);
  CursorWindow window() const;
  void list_as_waiting();  // for the next publication
  void end_with_error(EndReason reason);

  // -- Waiting in the index of the view
  void park();
  void unpark();
  Seq passed_over() const;
  Seq done_up_to() const;  // the position, also while it is not moved for each frame

  // -- Reading what the peer sends
  void wait_readable();
  void on_readable();
  bool take_input(ByteView bytes);  // false: nothing more is to be read

  // -- Sending
  bool has_control() const;
  void gather_control();
  enum class Sent : std::uint8_t { all, part, failed };
  Sent send(const iovec* io, std::size_t count, std::size_t& sent);
  Sent judge(Channel::Status status);
  bool flush_control();
  Pumped send_frames(std::size_t slice_bytes);
  FrameSpan frames_to_send();
  Pumped at_end_of_live();
  Pumped next_run();
  std::size_t take_egress(std::size_t bytes);  // what may be sent of it; 0: nothing now
  void wait_writable();

  // -- The archive
  void go_live();
  void fall_back();
  bool goes_on_behind(const storage::WireRun& run) const;  // up to `until`
  void read_archive(Seq after);
  void on_read(Result<storage::ReadStep> step);
  void let_runs_go();

  // -- Ending
  void end_at_until();
  void drain();
  void finish(EndReason reason);
  void check_stall();
  void set_state(State state);

  SubscriberHost& host_;
  FeedView* const view_;  // not ours
  Channel channel_;
  Peer peer_;
  SubscribeRequest request_;
  const std::function<bool()> is_catching_up_;
  Subscription subscription_;
  State state_ = State::starting;

  LiveTail::Place place_;
  std::shared_ptr<Backfill> backfill_;
  storage::WireRunPtr run_;   // being sent
  storage::WireRunPtr next_;  // read ahead: what follows run_
  bool is_reading_ = false;
  Seq read_after_ = kSeqNone;  // the position of that read

  ClientFrameReader reader_;
  Bytes control_;  // of ours, being sent
  std::size_t control_sent_ = 0;
  Bytes first_words_;  // before the first frame
  Bytes pong_;         // the latest ping's
  Bytes last_words_;
  bool is_ping_due_ = false;
  bool is_progress_due_ = false;
  std::optional<Ending> ending_;

  bool is_blocked_ = false;
  bool is_listed_ = false;  // in view_->waiting
  // Caught up with a filter: told of what passes, and moved on only when somebody asks.
  bool is_parked_ = false;
  std::optional<FilterIndex::Id> enlisted_;
  FoundFrames found_;            // since it was parked
  bool has_more_found_ = false;  // than there is room for
  Seq before_found_ = kSeqNone;  // the frame before the first of them
  LiveTail::Place found_place_;  // of the first of them
  int careful_sends_ = 0;        // in small slices, after the socket was full
  TokenBucket bucket_;
  std::int64_t written_ms_;
  std::int64_t blocked_ms_ = 0;  // since when it is
  std::int64_t progressed_ms_;   // when progress was last told
  Seq progress_told_ = kSeqNone;
  std::int64_t future_until_ms_ = 0;
  std::int64_t future_judged_ms_ = 0;
  std::int64_t checked_ms_;         // for a stall
  std::int64_t acknowledged_ms_;    // when the peer last acknowledged something, or had nothing to
  std::uint64_t acknowledged_ = 0;  // bytes, at that time
};

}  // namespace standpipe::replay
