// Sending, reading, ending. Where a subscriber begins, and how it reads the archive, is in
// subscriber_source.cc.
#include "replay/subscriber.h"

#include <algorithm>
#include <utility>

#include "replay/control_frames.h"
#include "replay/socket_state.h"
#include "schema/base/assert.h"

namespace standpipe::replay {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// After the socket was full: small steps keep the kernel's memory small for who reads slowly.
constexpr std::size_t kCarefulBytes = 32 << 10;
constexpr int kCarefulSends = 2;
// How much input is read in one turn: a peer that floods us waits for its next one.
constexpr int kReadsPerTurn = 4;
// Runs of one who takes nothing are given back: their position finds them again.
constexpr std::int64_t kRunsHeldMs = 1000;
constexpr std::chrono::milliseconds kUserTimeoutSlack{30'000};
constexpr std::int64_t kStallChecks = 8;  // in one stall_timeout
// Between looks whether a cursor from the future may still wait.
constexpr std::int64_t kFutureLookMs = 1000;

}  // namespace

Subscriber::Subscriber(SubscriberHost& host, FeedView& view, Channel channel, Peer peer,
                       SubscribeRequest request, std::function<bool()> is_catching_up)
    : host_(host),
      view_(&view),
      channel_(std::move(channel)),
      peer_(std::move(peer)),
      request_(std::move(request)),
      is_catching_up_(std::move(is_catching_up)),
      subscription_({{}, request_.filter, request_.until}),
      bucket_(host.options->egress_per_subscriber_max, host.now_ms()),
      written_ms_(host.now_ms()),
      progressed_ms_(host.now_ms()),
      checked_ms_(host.now_ms()),
      acknowledged_ms_(host.now_ms()) {
  ++host_.stats.subscribers;
  if (request_.filter) ++host_.stats.filtered;
}

void Subscriber::set_state(State state) {
  const auto counter = [this](State of) -> std::uint64_t* {
    if (of == State::live) return &host_.stats.live;
    if (of == State::backfill) return &host_.stats.backfill;
    return of == State::future ? &host_.stats.waiting : nullptr;
  };
  if (std::uint64_t* left = counter(state_)) --*left;
  if (std::uint64_t* entered = counter(state)) ++*entered;
  state_ = state;
}

// ---- Reading what the peer sends ----

void Subscriber::wait_readable() {
  channel_.socket().async_wait(asio::socket_base::wait_read,
                               [self = shared_from_this()](const error_code& ec) {
                                 if (!ec && !self->is_gone()) self->on_readable();
                               });
}

void Subscriber::on_readable() {
  for (int reads = 0; reads < kReadsPerTurn; ++reads) {
    const Channel::Moved moved = channel_.receive(host_.scratch);
    if (moved.status == Channel::Status::would_block) break;
    if (moved.status != Channel::Status::done) {
      const bool is_end = moved.status == Channel::Status::closed;
      finish(is_end ? EndReason::client_closed : EndReason::connection_lost);
      return;
    }
    if (state_ == State::draining) continue;
    // After its last message nothing is read before we have said ours.
    if (!take_input({host_.scratch.data(), moved.bytes})) return;
  }
  // TLS may have had to answer for itself.
  if (channel_.has_unsent()) host_.schedule(shared_from_this());
  wait_readable();
}

bool Subscriber::take_input(ByteView bytes) {
  while (const auto event = reader_.next(bytes)) {
    switch (event->kind) {
      case ClientEventKind::ping:
        pong_ = pong_frame(event->payload);
        host_.schedule(shared_from_this());
        break;
      case ClientEventKind::pong:
        break;
      case ClientEventKind::close: {
        const bool has_code = event->code != kCloseNoCode;
        end(EndReason::client_closed, close_frame(has_code ? event->code : kCloseNormal, ""),
            host_.options->linger);
        return false;
      }
      case ClientEventKind::violation:
        end(event->code == kCloseTooLarge ? EndReason::message_too_big : EndReason::protocol_error,
            close_frame(event->code, event->why), host_.options->linger);
        return false;
    }
  }
  return true;
}

// ---- Sending ----

bool Subscriber::has_control() const {
  return !control_.empty() || !first_words_.empty() || !pong_.empty() || is_ping_due_ ||
         is_progress_due_ || ending_;
}

// At a frame boundary only.
void Subscriber::gather_control() {
  const auto add = [this](ByteView bytes) {
    control_.insert(control_.end(), bytes.begin(), bytes.end());
  };
  add(std::exchange(first_words_, {}));
  if (!pong_.empty()) ++host_.stats.pongs;
  add(std::exchange(pong_, {}));
  if (std::exchange(is_ping_due_, false)) add(kPingFrame);
  if (std::exchange(is_progress_due_, false)) {
    progress_told_ = done_up_to();
    add(progress_frame(progress_told_));
  }
  if (ending_) add(std::exchange(last_words_, {}));
}

// Part: maybe also all of it, where a record of it still waits for the socket.
Subscriber::Sent Subscriber::send(const iovec* io, std::size_t count, std::size_t& sent) {
  const Channel::Moved moved = channel_.send(io, count);
  sent = moved.bytes;
  if (sent > 0) written_ms_ = host_.now_ms();
  return judge(moved.status);
}

Subscriber::Sent Subscriber::judge(Channel::Status status) {
  if (status == Channel::Status::done) return Sent::all;
  if (status == Channel::Status::would_block) {
    wait_writable();
    return Sent::part;
  }
  finish(EndReason::connection_lost);
  return Sent::failed;
}

// False: not all of it went out, or the connection is over.
bool Subscriber::flush_control() {
  if (control_.empty()) gather_control();
  if (control_.empty()) return true;
  const iovec io{control_.data() + control_sent_, control_.size() - control_sent_};
  std::size_t sent = 0;
  const Sent result = send(&io, 1, sent);
  control_sent_ += sent;
  if (result != Sent::all) return false;
  control_ = Bytes();
  control_sent_ = 0;
  return true;
}

void Subscriber::wait_writable() {
  if (is_blocked_) return;
  is_blocked_ = true;
  blocked_ms_ = host_.now_ms();
  ++host_.stats.blocked;
  channel_.socket().async_wait(asio::socket_base::wait_write,
                               [self = shared_from_this()](const error_code& ec) {
                                 if (!self->is_blocked_) return;
                                 self->is_blocked_ = false;
                                 --self->host_.stats.blocked;
                                 if (!ec && !self->is_gone()) self->host_.schedule(self);
                               });
}

Subscriber::Pumped Subscriber::pump(std::size_t slice_bytes) {
  if (state_ == State::gone) return Pumped::gone;
  unpark();
  if (state_ == State::draining || is_blocked_) return Pumped::waits;
  if (channel_.has_unsent() && judge(channel_.flush()) != Sent::all) {
    return is_gone() ? Pumped::gone : Pumped::waits;
  }
  if (subscription_.is_at_boundary() && has_control()) {
    if (!flush_control()) return is_gone() ? Pumped::gone : Pumped::waits;
    if (ending_ && last_words_.empty()) {
      drain();
      return is_gone() ? Pumped::gone : Pumped::waits;
    }
  }
  return send_frames(slice_bytes);
}

// The frames that follow, where they are at hand.
FrameSpan Subscriber::frames_to_send() {
  const Seq after = subscription_.position().after;
  if (state_ == State::live) return view_->tail.read_after(after, place_);
  if (run_ == nullptr) return {};
  const std::size_t first = run_->index_after(after);
  return {run_->wire.data(), std::span(run_->frames).subspan(first), nullptr};
}

std::size_t Subscriber::take_egress(std::size_t bytes) {
  const std::size_t own = bucket_.take(bytes, host_.now_ms());
  const std::size_t all = host_.egress->take(own, host_.now_ms());
  bucket_.give_back(own - all);
  return all;
}

Subscriber::Pumped Subscriber::send_frames(std::size_t slice_bytes) {
  if (state_ == State::starting || state_ == State::future) return Pumped::waits;
  if (state_ == State::live && !view_->tail.holds(subscription_.position().after)) fall_back();
  const FrameSpan span = frames_to_send();
  if (span.empty()) return state_ == State::live ? at_end_of_live() : next_run();

  if (careful_sends_ > 0) slice_bytes = std::min(slice_bytes, kCarefulBytes);
  const std::size_t granted = take_egress(slice_bytes);
  if (granted == 0) {
    host_.schedule_later(shared_from_this());
    return Pumped::waits;
  }
  SendPlan& plan = host_.plan;
  subscription_.plan(span, {granted, has_control()}, plan);
  if (plan.lost_frame) {
    finish(EndReason::erased);
    return Pumped::gone;
  }
  std::size_t sent = 0;
  Sent result = Sent::all;
  if (plan.bytes > 0) {
    result = send(plan.io.data(), plan.count, sent);
    ++host_.stats.sends;
    host_.stats.bytes_sent += sent;
  }
  bucket_.give_back(granted - sent);
  host_.egress->give_back(granted - sent);
  if (result == Sent::failed) return Pumped::gone;
  host_.stats.frames_sent += subscription_.advance(plan, sent);
  if (result == Sent::part) {
    careful_sends_ = kCarefulSends;
    return Pumped::waits;
  }
  if (careful_sends_ > 0) --careful_sends_;
  const bool is_at_end = subscription_.has_passed_end() || (plan.meets_end && !plan.has_cut);
  if (is_at_end && subscription_.is_at_boundary()) end_at_until();
  return Pumped::again;
}

Subscriber::Pumped Subscriber::at_end_of_live() {
  // What is newest may be `until` itself, or lie beyond it without a frame in between; of an epoch
  // that is over nothing more can come.
  const auto& until = subscription_.until();
  if (until && (view_->feed->is_over || view_->feed->log.newest() >= *until)) {
    // It may have been published since we looked: then it is sent first.
    view_->tail.refresh();
    const bool is_inside = view_->tail.holds(subscription_.position().after);
    if (is_inside && frames_to_send().empty()) end_at_until();
    return Pumped::again;
  }
  if (subscription_.is_filtered() && subscription_.is_at_boundary()) {
    park();
  } else {
    list_as_waiting();
  }
  return Pumped::waits;
}

void Subscriber::on_published() {
  is_listed_ = false;
  if (state_ == State::future) judge_again(/*is_due=*/false);
  if (!is_gone()) host_.schedule(shared_from_this());
}

// ---- Ending ----

void Subscriber::end_at_until() {
  end(EndReason::until_reached, close_frame(kCloseNormal, ""), host_.options->linger);
}

void Subscriber::end(EndReason reason, Bytes last_words, std::chrono::milliseconds within) {
  if (ending_ || is_gone()) return;
  ending_ = Ending{reason, host_.now_ms() + within.count()};
  last_words_ = std::move(last_words);
  host_.schedule(shared_from_this());
}

// Everything is said. The peer gets the end of the stream, and some time to take it: a socket that
// is closed with input unread sends a reset, which may destroy what the peer has not read yet.
void Subscriber::drain() {
  set_state(State::draining);
  run_.reset();
  next_.reset();
  backfill_.reset();
  ending_->deadline_ms = host_.now_ms() + host_.options->linger.count();
  if (!channel_.end_writing()) {
    finish(EndReason::connection_lost);
  } else if (reader_.is_done()) {
    wait_readable();  // it had stopped with the last message
  }
}

void Subscriber::finish(EndReason reason) {
  if (state_ == State::gone) return;
  set_state(State::gone);
  if (enlisted_) view_->strike(*std::exchange(enlisted_, std::nullopt));
  --host_.stats.subscribers;
  if (request_.filter) --host_.stats.filtered;
  ++host_.stats.ended[static_cast<std::size_t>(ending_ ? ending_->reason : reason)];
  if (is_blocked_) {
    is_blocked_ = false;
    --host_.stats.blocked;
  }
  channel_.close();
  peer_.place.reset();
  run_.reset();
  next_.reset();
  backfill_.reset();
  host_.remove(shared_from_this());
}

void Subscriber::end_now() { finish(EndReason::shutdown); }

// ---- Time ----

// The clock runs only while bytes wait for the peer, and starts anew with each that it takes.
void Subscriber::check_stall() {
  const std::int64_t now_ms = host_.now_ms();
  const std::int64_t timeout_ms = host_.options->stall_timeout.count();
  if (now_ms - checked_ms_ < timeout_ms / kStallChecks) return;
  checked_ms_ = now_ms;
  const int fd = channel_.socket().native_handle();
  const bool is_pending = is_blocked_ || has_unacknowledged(fd);
  const std::uint64_t bytes = acknowledged_bytes(fd).value_or(acknowledged_ + 1);
  if (!is_pending || bytes != acknowledged_) {
    acknowledged_ = bytes;
    acknowledged_ms_ = now_ms;
  } else if (now_ms - acknowledged_ms_ >= timeout_ms) {
    end_with_error(EndReason::too_slow);
  }
}

void Subscriber::on_tick() {
  const std::int64_t now_ms = host_.now_ms();
  if (is_gone()) return;
  if (ending_ && now_ms >= ending_->deadline_ms) {
    finish(ending_->reason);
    return;
  }
  if (state_ == State::draining) return;
  if (view_->feed->has_ended && !ending_) {
    end(EndReason::epoch_ended, {}, host_.options->drain_timeout);
  }
  if (state_ == State::future) judge_again(/*is_due=*/now_ms >= future_judged_ms_ + kFutureLookMs);
  check_stall();
  if (is_gone()) return;
  if (is_blocked_ && now_ms - blocked_ms_ >= kRunsHeldMs) let_runs_go();
  const ServerOptions& options = *host_.options;
  if (now_ms - written_ms_ >= options.ping_interval.count() && !is_blocked_) {
    is_ping_due_ = true;
    host_.schedule(shared_from_this());
  }
  if (request_.progress && now_ms - progressed_ms_ >= request_.progress->count()) {
    progressed_ms_ = now_ms;
    const Seq after = done_up_to();
    if (after > progress_told_ && state_ != State::future && state_ != State::starting) {
      is_progress_due_ = true;
      host_.schedule(shared_from_this());
    }
  }
}

// ---- Starting ----

void Subscriber::start(Bytes leftover) {
  prepare_subscriber_socket(channel_.socket().native_handle(),
                            host_.options->stall_timeout + kUserTimeoutSlack);
  if (take_input(leftover)) wait_readable();
  if (request_.time_ms) {
    begin_at_time(*request_.time_ms);
  } else {
    begin_at(request_.cursor);
  }
}

}  // namespace standpipe::replay
