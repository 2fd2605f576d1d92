// The inside of Appender. Private to storage/.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "storage/appender.h"
#include "storage/core.h"
#include "storage/group_clock.h"

namespace standpipe::storage {

inline constexpr std::string_view kResetNote = "reset";

// A group in the making: its run is what will be published, its gaps lie before or inside it.
struct PendingGroup {
  std::shared_ptr<WireRun> run = std::make_shared<WireRun>();
  std::vector<std::optional<std::int64_t>> times_ms;  // of each frame
  std::vector<Gap> gaps;
};

class Appender::Impl {
 public:
  // `head` and the newest stored frames, as they are now. The caller holds write_mutex.
  static Result<std::unique_ptr<Impl>> make(Core& core, StreamId stream);
  ~Impl();

  Result<Judgement> offer(ByteView frame, std::int64_t received_ms);
  Result<Judgement> quarantine(Unarchivable reason, const FrameScan& scan, ByteView bytes,
                               std::uint64_t bytes_total, std::int64_t received_ms);
  void reset(std::string_view why, std::int64_t when_ms);
  Result<CommitReport> commit();
  void begin_session();
  Result<void> begin_after(Seq origin);

  StreamId stream() const { return stream_; }
  EpochNumber epoch() const { return epoch_; }
  bool was_reset() const { return was_reset_; }
  std::size_t pending_frames() const { return pending_frames_; }
  std::size_t pending_bytes() const { return pending_bytes_; }
  const HeadRow& head() const { return head_; }
  const AppenderStats& stats() const { return stats_; }
  std::int64_t now_ms() const { return core_->options.clock->now_ms(); }

 private:
  struct Stored {
    Seq seq{};
    std::uint64_t hash = 0;
  };
  // One batch of a commit, and what it changes in memory once it is durable.
  struct Step {
    StoreBatch batch;
    HeadRow head;
    std::optional<PartitionInfo> sealed;
    std::optional<PartitionInfo> opened;
    std::vector<WireRunPtr> runs;
    std::vector<Gap> gaps;
  };

  Impl(Core& core, StreamId stream);

  // -- Judging (appender_judge.cc) ----------------------------------------------------------------
  bool is_past_newest(const FrameScan& scan) const;
  Result<Judgement> judge_old(const FrameScan& scan, ByteView frame, std::int64_t received_ms);
  Result<Judgement> keep_conflict(Unarchivable reason, const FrameScan& scan, ByteView frame,
                                  std::int64_t received_ms);
  Result<std::optional<std::uint64_t>> stored_hash(Seq seq);
  Result<void> load_recent();
  void accept(const FrameScan& scan, ByteView frame, std::int64_t received_ms);
  void explain_skip(Seq seq, std::vector<Gap>& gaps);
  void pass_quarantined();
  bool records_gaps() const;
  void add_note(std::string_view kind, std::string text, std::int64_t when_ms);
  PendingGroup& group_for(std::size_t wire_bytes);

  // -- Committing (appender.cc) -------------------------------------------------------------------
  Result<CommitReport> commit_pending(std::vector<PartitionId>& sealed);
  Result<void> check_current() const;
  bool must_roll(const HeadRow& head, const PendingGroup& group, std::int64_t clock_ms) const;
  Result<void> begin_partition(Step& step, const PendingGroup& group, std::int64_t clock_ms);
  void add_group(Step& step, PendingGroup& group);
  void set_origin(HeadRow& head) const;
  void add_gaps(Step& step, const std::vector<Gap>& gaps);
  void add_aside(Step& step);
  Result<void> finish_step(Step& step, CommitReport& report);
  void prepare_spare();
  void forget_pending();

  Core* core_;  // not ours
  const StreamId stream_;
  std::shared_ptr<const EpochChannel> channel_;  // of our epoch
  EpochNumber epoch_{};
  StreamKind kind_ = StreamKind::repos;
  Density density_ = Density::automatic;
  bool shares_container_ = false;
  PartitionCut cut_;  // where partitions end
  std::uint64_t generation_ = 0;

  HeadRow head_;  // durable
  HeadRow next_;  // with what is pending: floor, newest, origin, steps
  GroupClock clock_;
  std::vector<PendingGroup> groups_;
  std::vector<Gap> trailing_gaps_;  // after the last pending group
  std::vector<QuarantineEntry> aside_;
  std::vector<Note> notes_;
  std::size_t pending_frames_ = 0;
  std::size_t pending_bytes_ = 0;

  std::set<Seq> ahead_;              // quarantined seqs beyond the floor, not yet explained
  std::deque<Stored> recent_;        // the newest frames, pending ones included
  std::vector<RunFrame> looked_up_;  // the stored group that was last needed for judging
  bool session_begins_ = true;
  bool was_reset_ = false;
  int conflicts_in_a_row_ = 0;
  AppenderStats stats_;
};

}  // namespace standpipe::storage
