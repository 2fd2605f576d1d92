#include "tests/support/archive_model.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "schema/base/assert.h"

namespace standpipe::test {

using storage::Density;
using storage::GapReason;
using storage::Judgement;
using storage::StreamKind;

namespace {

constexpr std::int64_t kMinuteMs = 60'000;
constexpr int kConflictsOfAReset = 3;
constexpr std::uint64_t kStepsBeforeSparse = 64;
constexpr std::size_t kClockFrames = 64;
constexpr std::size_t kClockFramesFew = 8;

}  // namespace

// -- Gaps -----------------------------------------------------------------------------------------

void GapModel::add(std::int64_t after, std::int64_t before, GapReason reason) {
  // `done`: everything up to it is explained, or is none of ours.
  for (std::int64_t done = after; done < before - 1;) {
    const auto right = ranges_.lower_bound(done + 1);
    const auto left = ranges_.upper_bound(done);
    if (left != ranges_.begin() && std::prev(left)->second.before > done + 1) {
      done = std::prev(left)->second.before - 1;
      continue;
    }
    const std::int64_t end = right == ranges_.end() ? before : std::min(before, right->first + 1);
    insert(done, Range{end, reason});
    done = end - 1;
  }
}

// A neighbour is one that begins or ends with the very next seq.
void GapModel::insert(std::int64_t after, Range range) {
  auto it = ranges_.emplace(after, range).first;
  const auto right = std::next(it);
  if (right != ranges_.end() && right->first == range.before - 1 &&
      right->second.reason == range.reason) {
    it->second.before = right->second.before;
    ranges_.erase(right);
  }
  if (it == ranges_.begin()) return;
  const auto left = std::prev(it);
  if (left->second.before == after + 1 && left->second.reason == range.reason) {
    left->second.before = it->second.before;
    ranges_.erase(it);
  }
}

std::vector<std::string> GapModel::to_texts() const {
  std::vector<std::string> out;
  for (const auto& [after, range] : ranges_) {
    out.push_back(std::to_string(after) + ".." + std::to_string(range.before) + " " +
                  std::string(to_string(range.reason)));
  }
  return out;
}

// -- Judging --------------------------------------------------------------------------------------

Judgement EpochModel::offer(const ModelFrame& frame) {
  if (pending_.is_reset) return Judgement::refused;
  if (!frame.is_archivable) {
    quarantine(frame);
    return Judgement::quarantined;
  }
  STANDPIPE_ASSERT(frame.seq.has_value(), "an archivable frame has a seq");
  const bool is_empty = !pending_.origin.has_value();
  if (is_empty || *frame.seq > std::max(pending_.newest, pending_.floor)) return accept(frame);
  return judge_old(frame);
}

Judgement EpochModel::accept(const ModelFrame& frame) {
  const std::int64_t seq = *frame.seq;
  if (!pending_.origin) {
    pending_.origin = seq - 1;
    pending_.floor = seq - 1;
    pending_.window_floor = seq - 1;
  }
  const bool has_predecessor = pending_.newest != 0 && !is_session_new_;
  const std::int64_t from = std::max(pending_.newest, pending_.floor);
  if (seq > from + 1) skip(from, seq);
  if (has_predecessor) {
    ++pending_.steps;
    if (seq > from + 1) ++pending_.steps_skipping;
  }
  is_session_new_ = false;
  conflicts_in_a_row_ = 0;
  ahead_.erase(ahead_.begin(), ahead_.upper_bound(seq));
  pending_.newest = seq;
  pending_.floor = seq;
  pending_frames_[seq] = frame;
  pass_quarantined();
  return Judgement::accepted;
}

bool EpochModel::is_sparse() const {
  if (density_ != Density::automatic) return density_ == Density::sparse;
  if (kind_ == StreamKind::labels) return true;
  return pending_.steps >= kStepsBeforeSparse && pending_.steps_skipping * 4 > pending_.steps;
}

// Nothing came between `from` and `to` but perhaps what was quarantined.
void EpochModel::skip(std::int64_t from, std::int64_t to) {
  for (const std::int64_t seq : ahead_) {
    if (seq > from && seq < to) pending_gaps_.push_back({seq - 1, seq + 1, GapReason::quarantined});
  }
  const GapReason reason = is_session_new_ ? GapReason::outage : GapReason::upstream;
  if (!is_sparse()) pending_gaps_.push_back({from, to, reason});
}

void EpochModel::quarantine(const ModelFrame& frame) {
  if (!frame.seq || !pending_.origin || *frame.seq <= pending_.floor) return;
  ahead_.insert(*frame.seq);
  pass_quarantined();
}

// The floor passes over what was quarantined directly above it, and over nothing else.
void EpochModel::pass_quarantined() {
  while (ahead_.erase(pending_.floor + 1) != 0) {
    ++pending_.floor;
    pending_gaps_.push_back({pending_.floor - 1, pending_.floor + 1, GapReason::quarantined});
  }
}

std::optional<std::string> EpochModel::stored(std::int64_t seq) const {
  if (const auto it = pending_frames_.find(seq); it != pending_frames_.end()) {
    return it->second.bytes;
  }
  if (const auto it = durable_.frames.find(seq); it != durable_.frames.end()) return it->second;
  return std::nullopt;
}

// At or below newest. Below the window nothing is left to compare with: its time judges alone.
Judgement EpochModel::judge_old(const ModelFrame& frame) {
  const std::optional<std::string> held = stored(*frame.seq);
  const bool is_newer =
      frame.time_ms && durable_.clock_ms && *frame.time_ms > *durable_.clock_ms + kMinuteMs;
  const bool is_below_window = *frame.seq <= pending_.window_floor;
  if (is_below_window ? !is_newer : held == frame.bytes) {
    conflicts_in_a_row_ = 0;
    return Judgement::duplicate;
  }
  const bool is_conflict = held || is_below_window;
  // A labeler may sign its past anew.
  if (kind_ == StreamKind::labels && is_conflict) return Judgement::conflict;
  if (++conflicts_in_a_row_ >= kConflictsOfAReset || is_newer) pending_.is_reset = true;
  return is_conflict ? Judgement::conflict : Judgement::late;
}

// -- Time -----------------------------------------------------------------------------------------

std::int64_t EpochModel::end_group(std::int64_t received_ms) {
  std::vector<std::int64_t> times;
  for (const Timed& frame : durable_.newest_times) {
    if (frame.time_ms) times.push_back(*frame.time_ms);
  }
  std::int64_t clock_ms = received_ms;
  if (!times.empty()) {
    std::sort(times.begin(), times.end());
    clock_ms = times.size() < kClockFramesFew ? times.front() : times[times.size() / 2];
    clock_ms = std::min(clock_ms, received_ms);
  }
  durable_.clock_ms = std::max(durable_.clock_ms.value_or(clock_ms), clock_ms);
  return *durable_.clock_ms;
}

std::int64_t EpochModel::position_at(std::int64_t clock_ms) const {
  for (const Group& group : durable_.groups) {
    if (group.clock_ms >= clock_ms) return group.first - 1;
  }
  return durable_.newest;
}

// -- What becomes of it ---------------------------------------------------------------------------

void EpochModel::begin_session() {
  is_session_new_ = true;
  conflicts_in_a_row_ = 0;
}

void EpochModel::begin_after(std::int64_t origin) {
  pending_.origin = origin;
  pending_.floor = origin;
  pending_.window_floor = origin;
}

void EpochModel::commit(const std::vector<std::size_t>& groups) {
  static_cast<State&>(durable_) = pending_;
  auto frame = pending_frames_.begin();
  for (const std::size_t size : groups) {
    STANDPIPE_ASSERT(size > 0, "a group has a frame");
    Group group{frame->first, 0, 0};
    std::int64_t received_ms = 0;
    for (std::size_t i = 0; i < size; ++i, ++frame) {
      STANDPIPE_ASSERT(frame != pending_frames_.end(), "more was written than offered");
      group.last = frame->first;
      received_ms = frame->second.received_ms;
      durable_.newest_times.push_back({frame->first, frame->second.time_ms});
      if (durable_.newest_times.size() > kClockFrames) durable_.newest_times.pop_front();
      durable_.frames.emplace(frame->first, std::move(frame->second.bytes));
    }
    group.clock_ms = end_group(received_ms);
    durable_.groups.push_back(group);
  }
  STANDPIPE_ASSERT(frame == pending_frames_.end(), "less was written than offered");
  pending_frames_.clear();
  for (const PendingGap& gap : pending_gaps_) {
    durable_.gaps.add(gap.after, gap.before, gap.reason);
  }
  pending_gaps_.clear();
}

void EpochModel::crash() {
  pending_ = durable_;
  pending_frames_.clear();
  pending_gaps_.clear();
  ahead_.clear();
  // What the clock looks at is read back from what is still stored.
  std::erase_if(durable_.newest_times,
                [this](const Timed& frame) { return !durable_.frames.contains(frame.seq); });
  is_session_new_ = true;
  conflicts_in_a_row_ = 0;
}

void EpochModel::drop_up_to(std::int64_t last) {
  durable_.frames.erase(durable_.frames.begin(), durable_.frames.upper_bound(last));
  std::erase_if(durable_.groups, [last](const Group& group) { return group.last <= last; });
  durable_.gaps.add(durable_.window_floor, last + 1, GapReason::retention);
  durable_.window_floor = last;
  pending_.window_floor = last;
}

}  // namespace standpipe::test
