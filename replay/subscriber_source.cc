// Where a subscriber begins, and where its frames come from: the live log or the archive.
#include <algorithm>
#include <utility>

#include "replay/control_frames.h"
#include "replay/subscriber.h"
#include "schema/base/log.h"

namespace standpipe::replay {
namespace {

// Held of a frame that a subscriber has taken in part and does not go on with. One in some
// thousands is larger; whoever stops in the middle of it may find that its connection ends there.
constexpr std::uint32_t kHalfSentBytesMax = 64 << 10;

// An error frame and the close that follows it.
Bytes error_words(Bytes frame, std::string_view name) {
  const Bytes close = close_frame(kClosePolicy, name);
  frame.insert(frame.end(), close.begin(), close.end());
  return frame;
}

}  // namespace

void Subscriber::end_with_error(EndReason reason) {
  end(reason,
      reason == EndReason::future_cursor ? error_words(future_cursor_frame(), kFutureCursor)
                                         : error_words(consumer_too_slow_frame(), kConsumerTooSlow),
      host_.options->linger);
}

CursorWindow Subscriber::window() const {
  CursorWindow window;
  const Feed& feed = *view_->feed;
  window.newest = host_.archive->newest(feed.stream, feed.epoch);
  if (const auto info = host_.archive->find_stream(feed.name)) {
    // Nothing more comes of an epoch that is over.
    const bool is_over = info->epochs.back().number != feed.epoch;
    window.is_catching_up = !is_over && is_catching_up_();
    for (const storage::EpochInfo& epoch : info->epochs) {
      if (epoch.number == feed.epoch) window.window_floor = epoch.window_floor;
    }
  }
  return window;
}

void Subscriber::list_as_waiting() {
  if (is_listed_) return;
  is_listed_ = true;
  view_->waiting.push_back(shared_from_this());
}

// ---- Waiting in the index of the view ----

// At the end of the live log, at a frame boundary. It stays enlisted: a filter of thousands of DIDs
// is not taken apart for each frame that it lets through.
void Subscriber::park() {
  if (!enlisted_) {
    enlisted_ = view_->enlist(*this, request_.filter, subscription_.until());
  }
  found_ = {};
  has_more_found_ = false;
  is_parked_ = true;
}

void Subscriber::on_match(Seq seq, Seq before, const LiveTail::Place& place) {
  // It may have seen more of the log than the view had looked up.
  if (!is_parked_ || seq <= subscription_.position().after) return;
  if (found_.count == FoundFrames::kMax) {
    has_more_found_ = true;
    return;
  }
  found_.seqs[found_.count++] = seq;
  if (found_.count > 1) return;
  before_found_ = before;
  found_place_ = place;
  host_.schedule(shared_from_this());
}

void Subscriber::wake() {
  if (!is_parked_) return;
  unpark();
  host_.schedule(shared_from_this());
}

// While it is parked: nothing up to here passes its filter.
Seq Subscriber::passed_over() const {
  return found_.count > 0 ? before_found_ : view_->looked_up();
}

Seq Subscriber::done_up_to() const {
  const Seq after = subscription_.position().after;
  if (!is_parked_) return after;
  const auto& until = subscription_.until();
  return std::max(after, until ? std::min(passed_over(), *until) : passed_over());
}

void Subscriber::unpark() {
  if (!is_parked_) return;
  const Seq after = done_up_to();
  is_parked_ = false;
  place_ = found_.count > 0 ? found_place_ : view_->place();
  if (after < passed_over()) place_ = {};  // it ends before that place
  found_.to = has_more_found_ ? found_.seqs[found_.count - 1] : view_->looked_up();
  subscription_.look_only_at(found_);
  subscription_.move_to(after);
}

void Subscriber::begin_at(std::optional<std::int64_t> cursor) {
  const CursorStart start = judge_cursor(cursor, host_.options->cursor_mode, window());
  switch (start.verdict) {
    case CursorVerdict::outdated:
      first_words_ = outdated_cursor_frame();
      [[fallthrough]];
    case CursorVerdict::live:
    case CursorVerdict::replay:
      begin_after(start.after);
      return;
    case CursorVerdict::wait:
      if (host_.options->future_cursor_wait.count() > 0) {
        future_until_ms_ = host_.now_ms() + host_.options->future_cursor_wait.count();
        future_judged_ms_ = host_.now_ms();
        set_state(State::future);
        list_as_waiting();
        return;
      }
      [[fallthrough]];
    case CursorVerdict::future:
      set_state(State::live);
      end_with_error(EndReason::future_cursor);
      return;
  }
}

// A cursor from the future waits: for newest to get there, for its time to be over, or for its
// stream to have caught up. The last is looked at only where it `is_due`: thousands may wait, and
// upstream publishes hundreds of times a second.
void Subscriber::judge_again(bool is_due) {
  const Feed& feed = *view_->feed;
  const bool has_come = host_.archive->newest(feed.stream, feed.epoch) >= Seq{*request_.cursor};
  if (!has_come && !is_due && host_.now_ms() < future_until_ms_) {
    list_as_waiting();
    return;
  }
  future_judged_ms_ = host_.now_ms();
  const CursorStart start = judge_cursor(request_.cursor, host_.options->cursor_mode, window());
  if (start.verdict == CursorVerdict::wait && host_.now_ms() < future_until_ms_) {
    list_as_waiting();
    return;
  }
  if (start.verdict == CursorVerdict::wait || start.verdict == CursorVerdict::future) {
    end_with_error(EndReason::future_cursor);
    return;
  }
  if (start.verdict == CursorVerdict::outdated) first_words_ = outdated_cursor_frame();
  begin_after(start.after);
}

void Subscriber::begin_at_time(std::int64_t time_ms) {
  const Feed& feed = *view_->feed;
  auto opened = Backfill::open(*host_.archive, feed.stream, feed.epoch, *host_.pool);
  if (!opened) {
    log_warn("a subscriber cannot be given a position: " + to_string(opened.error()));
    end(EndReason::read_failed, {}, host_.options->linger);
    return;
  }
  backfill_ = std::move(*opened);
  // Whoever asks for a time to come gets what comes from now on, not from when it was looked up.
  const Seq newest = host_.archive->newest(feed.stream, feed.epoch);
  backfill_->start_at(
      time_ms, [self = shared_from_this(), newest](Result<Backfill::TimeStart> found) {
        self->host_.post([self, newest, found = std::move(found)] {
          if (self->is_gone()) return;
          if (!found) {
            log_warn("a subscriber cannot be given a position: " + to_string(found.error()));
            self->end(EndReason::read_failed, {}, self->host_.options->linger);
            return;
          }
          if (found->is_before_oldest) self->first_words_ = outdated_cursor_frame();
          self->begin_after(std::min(found->after, newest));
        });
      });
}

void Subscriber::begin_after(Seq after) {
  subscription_.move_to(after);
  progress_told_ = after;
  if (view_->tail.holds(after)) {
    backfill_.reset();
    set_state(State::live);
  } else {
    set_state(State::backfill);
  }
  host_.schedule(shared_from_this());
}

// ---- The archive ----

void Subscriber::go_live() {
  ++host_.stats.cutovers;
  run_.reset();
  next_.reset();
  backfill_.reset();
  place_ = {};
  set_state(State::live);
}

void Subscriber::fall_back() {
  ++host_.stats.fallbacks;
  set_state(State::backfill);
}

bool Subscriber::goes_on_behind(const storage::WireRun& run) const {
  return !subscription_.until() || run.last() < *subscription_.until();
}

// The run is at its end, or there was none yet.
Subscriber::Pumped Subscriber::next_run() {
  const Seq after = subscription_.position().after;
  run_.reset();
  // Above the second segment, so as not to fall out again at once. At the archive's end every
  // position is inside.
  if (after >= view_->tail.reentry_floor()) {
    go_live();
    return Pumped::again;
  }
  if (next_ != nullptr) {
    run_ = std::move(next_);
    next_.reset();
    if (!is_reading_ && goes_on_behind(*run_)) read_archive(run_->last());
    return Pumped::again;
  }
  if (!is_reading_) read_archive(after);
  return Pumped::waits;
}

void Subscriber::read_archive(Seq after) {
  if (backfill_ == nullptr) {
    const Feed& feed = *view_->feed;
    auto opened = Backfill::open(*host_.archive, feed.stream, feed.epoch, *host_.pool);
    if (!opened) {
      log_warn("a subscriber cannot be served: " + to_string(opened.error()));
      end(EndReason::read_failed, {}, host_.options->linger);
      return;
    }
    backfill_ = std::move(*opened);
  }
  is_reading_ = true;
  read_after_ = after;
  backfill_->read_after(after, [self = shared_from_this()](Result<storage::ReadStep> step) {
    self->host_.post([self, step = std::move(step)]() mutable {
      self->is_reading_ = false;
      if (!self->is_gone()) self->on_read(std::move(step));
    });
  });
}

// Of who takes nothing. But for the rest of a frame that is half sent: retention may take that one
// meanwhile, and what there is to say then can be said behind a whole frame alone.
void Subscriber::let_runs_go() {
  next_.reset();
  if (state_ == State::live && !view_->tail.holds(subscription_.position().after)) return;
  const FrameSpan span = frames_to_send();
  if (subscription_.is_at_boundary() || span.empty() ||
      span.frames.front().length > kHalfSentBytesMax) {
    run_.reset();
    return;
  }
  storage::RunFrame frame = span.frames.front();
  if (run_ != nullptr && run_->frames.size() == 1 && run_->first() == frame.seq) return;
  auto rest = std::make_shared<storage::WireRun>();
  rest->wire.assign(span.wire + frame.offset, frame.length);
  frame.offset = 0;
  rest->frames.push_back(frame);
  run_ = std::move(rest);
}

void Subscriber::on_read(Result<storage::ReadStep> step) {
  if (state_ != State::backfill) return;
  const bool is_ahead = run_ != nullptr;
  if (!step) {
    if (is_ahead) return;  // it is asked for again when it is needed
    // What is wrong with the archive is said by who holds it.
    log_warn("a subscriber cannot be served: " + to_string(step.error()));
    end(EndReason::read_failed, {}, host_.options->linger);
    return;
  }
  if (auto* slice = std::get_if<storage::RunSlice>(&*step)) {
    // A run that was asked for while another was sent follows that one, which may be gone since.
    if (is_ahead && read_after_ == run_->last()) next_ = std::move(slice->run);
    if (!is_ahead && read_after_ <= subscription_.position().after) run_ = std::move(slice->run);
  } else if (!is_ahead) {
    if (std::holds_alternative<storage::CaughtUp>(*step)) {
      if (read_after_ == subscription_.position().after) go_live();
    } else if (read_after_ == subscription_.position().after) {
      end_with_error(EndReason::too_slow);
    }
  }
  if (run_ != nullptr && next_ == nullptr && !is_ahead && goes_on_behind(*run_)) {
    read_archive(run_->last());
  }
  host_.schedule(shared_from_this());
}

}  // namespace standpipe::replay
