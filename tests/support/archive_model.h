// What an archive has to hold after any sequence of operations, stated by the rules of ingest alone
// and kept in plain maps: the slow obvious twin that the archive is compared with.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "storage/appender.h"
#include "storage/types.h"

namespace standpipe::test {

// Why seqs are absent: ranges that do not overlap, neighbours of one reason merged.
class GapModel {
 public:
  // Explains the seqs strictly between `after` and `before`. The first explanation of a seq stays.
  void add(std::int64_t after, std::int64_t before, storage::GapReason reason);
  // "10..20 upstream", in order.
  std::vector<std::string> to_texts() const;

 private:
  struct Range {
    std::int64_t before;
    storage::GapReason reason;
  };
  void insert(std::int64_t after, Range range);
  std::map<std::int64_t, Range> ranges_;  // by `after`
};

// A frame as the model has to know it.
struct ModelFrame {
  std::optional<std::int64_t> seq;  // as far as it could be read
  std::string bytes;
  std::optional<std::int64_t> time_ms;  // of the frame itself
  bool is_archivable = true;
  std::int64_t received_ms = 0;
};

// One epoch. offer() says how a frame must be judged; commit() makes what is pending durable.
class EpochModel {
 public:
  EpochModel(storage::StreamKind kind, storage::Density density) : kind_(kind), density_(density) {}

  storage::Judgement offer(const ModelFrame& frame);
  void begin_session();
  void note_future_cursor() { pending_.is_reset = true; }
  void begin_after(std::int64_t origin);
  // `groups`: how many frames each group that was written has.
  void commit(const std::vector<std::size_t>& groups);
  // The process ended without a commit: what was pending is gone, and so is all that only the
  // process knew.
  void crash();
  // Retention took the oldest partition, which ended with `last`.
  void drop_up_to(std::int64_t last);

  bool is_reset() const { return pending_.is_reset; }
  const std::map<std::int64_t, std::string>& frames() const { return durable_.frames; }
  std::vector<std::string> gaps() const { return durable_.gaps.to_texts(); }
  std::int64_t floor() const { return durable_.floor; }
  std::int64_t newest() const { return durable_.newest; }
  std::int64_t window_floor() const { return durable_.window_floor; }
  std::optional<std::int64_t> origin() const { return durable_.origin; }
  // Of what is pending, too.
  std::int64_t tip() const { return pending_.newest; }
  std::int64_t pending_floor() const { return pending_.floor; }
  bool has_origin() const { return pending_.origin.has_value(); }
  std::optional<std::string> stored(std::int64_t seq) const;  // pending ones, too
  // The position before the first group whose clock is not below `clock_ms`.
  std::int64_t position_at(std::int64_t clock_ms) const;
  std::size_t pending_frames() const { return pending_frames_.size(); }

 private:
  struct Group {
    std::int64_t first, last, clock_ms;
  };
  // What a commit makes durable.
  struct State {
    std::optional<std::int64_t> origin;
    std::int64_t floor = 0;
    std::int64_t newest = 0;
    std::int64_t window_floor = 0;
    std::uint64_t steps = 0, steps_skipping = 0;
    bool is_reset = false;  // until a new epoch begins
  };
  struct Timed {
    std::int64_t seq;
    std::optional<std::int64_t> time_ms;
  };
  struct Durable : State {
    std::map<std::int64_t, std::string> frames;
    std::deque<Timed> newest_times;  // of the newest 64 frames
    std::vector<Group> groups;
    GapModel gaps;
    std::optional<std::int64_t> clock_ms;
  };
  struct PendingGap {
    std::int64_t after, before;
    storage::GapReason reason;
  };

  storage::Judgement accept(const ModelFrame& frame);
  storage::Judgement judge_old(const ModelFrame& frame);
  void quarantine(const ModelFrame& frame);
  void pass_quarantined();
  bool is_sparse() const;
  void skip(std::int64_t from, std::int64_t to);
  std::int64_t end_group(std::int64_t received_ms);

  storage::StreamKind kind_;
  storage::Density density_;
  Durable durable_;
  State pending_;
  std::map<std::int64_t, ModelFrame> pending_frames_;
  std::vector<PendingGap> pending_gaps_;
  std::set<std::int64_t> ahead_;  // quarantined, further ahead than what follows the floor
  bool is_session_new_ = true;    // no frame was accepted since it began
  int conflicts_in_a_row_ = 0;
};

}  // namespace standpipe::test
