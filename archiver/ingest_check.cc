#include "archiver/ingest_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "schema/base/log.h"
#include "schema/base/thread_name.h"
#include "schema/frame_follower.h"

namespace standpipe::archiver {
namespace {

using storage::EpochNumber;

constexpr std::int64_t kLogIntervalMs = 10'000;
constexpr std::size_t kGapsAtOnce = 256;
constexpr std::size_t kLogDetailBytes = 300;
constexpr std::chrono::milliseconds kClosedInterval{
    100};  // between looks at a store that is closed

}  // namespace

std::string_view to_string(VerifyIngest verify) {
  switch (verify) {
    case VerifyIngest::off:
      return "off";
    case VerifyIngest::structure:
      return "structure";
    case VerifyIngest::full:
      break;
  }
  return "full";
}

// All of it belongs to the check's thread, but what is said to be shared.
class IngestCheck::Impl {
 public:
  Impl(const storage::Archive& archive, const storage::StreamInfo& stream,
       const IngestCheckOptions& options)
      : archive_(archive),
        stream_(stream.id),
        name_(stream.spec.name),
        depth_(options.verify == VerifyIngest::full ? JudgeDepth::full : JudgeDepth::structure),
        repos_max_(options.repos_max),
        keys_(options.keys != nullptr ? *options.keys : nobody_),
        log_(*options.clock, kLogIntervalMs) {
    const auto now = archive.find_stream(name_);
    const storage::EpochInfo& epoch = now ? now->epochs.back() : stream.epochs.back();
    epoch_ = target_epoch_ = epoch.number;
    position_ = target_ = gaps_after_ = epoch.newest;
    stats_.verify = options.verify;
    stats_.checked = position_;
    if (options.verify == VerifyIngest::off) return;
    follower_.emplace(repos_max_);
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }

  ~Impl() { stop(); }

  void on_durable(EpochNumber epoch, Seq newest) {
    {
      const std::lock_guard lock(mutex_);
      target_epoch_ = epoch;
      target_ = newest;
    }
    came_.notify_one();
  }

  void stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }

  IngestCheckStats stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  void run(const std::stop_token& stop) {
    name_this_thread("verify");
    try {
      while (wait(stop)) {
        const Result<void> stepped = step(stop);
        if (stepped) continue;
        if (stepped.error().code != Errc::closed) return end(to_string(stepped.error()));
        // The store is exchanged, after a full disk; once that is done it can be read again.
        reader_.reset();
        pause(stop);
      }
    } catch (const std::exception& error) {
      end(error.what());
    }
  }

  void end(const std::string& why) {
    log_error(fmt::format("stream {}: frames are verified no longer: {}", name_, why));
    const std::lock_guard lock(mutex_);
    stats_.error = why;
  }

  // Until there is something to read; false when it is time to stop.
  bool wait(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    came_.wait(lock, stop, [this] { return target_epoch_ != epoch_ || target_ > position_; });
    wanted_ = target_epoch_ == epoch_ ? target_ : kSeqMax;
    return !stop.stop_requested();
  }

  void pause(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    came_.wait_for(lock, stop, kClosedInterval, [] { return false; });
  }

  Result<void> step(const std::stop_token& stop) {
    if (!reader_) {
      STANDPIPE_TRY(storage::Reader reader, archive_.reader(stream_, epoch_));
      reader_.emplace(std::move(reader));
    }
    STANDPIPE_TRY(const storage::ReadStep step, reader_->read_after(position_));
    if (const auto* slice = std::get_if<storage::RunSlice>(&step)) return judge_run(*slice, stop);
    if (const auto* passed = std::get_if<storage::WindowPassed>(&step)) {
      follower_->pass_gap(passed->gap.after);
      move_to(previous(passed->gap.before));
      const std::lock_guard lock(mutex_);
      ++stats_.missed;
      return {};
    }
    if (wanted_ != kSeqMax) {
      move_to(std::max(position_, wanted_));
      return {};
    }
    // The end of an epoch that is not the newest.
    epoch_ = EpochNumber{storage::to_int(epoch_) + 1};
    forgotten_before_ += follower_->repos_forgotten();
    follower_.emplace(repos_max_);
    reader_.reset();
    gaps_.clear();
    gaps_after_ = kSeqNone;
    move_to(kSeqNone);
    return {};
  }

  void move_to(Seq position) {
    position_ = position;
    const std::lock_guard lock(mutex_);
    stats_.checked = position;
  }

  Result<void> judge_run(const storage::RunSlice& slice, const std::stop_token& stop) {
    const storage::WireRun& run = *slice.run;
    for (std::size_t i = slice.first_frame; i < run.frames.size(); ++i) {
      if (stop.stop_requested()) return {};
      const Seq seq = run.frames[i].seq;
      if (run.frames[i].length == 0) {  // it was erased
        move_to(seq);
        continue;
      }
      FrameVerdict verdict = judge_frame(run.frame_of(i), keys_, depth_);
      if (depth_ == JudgeDepth::full) {
        STANDPIPE_CHECK(pass_gaps(seq, run.last()));
        follower_->follow(verdict);
      }
      position_ = seq;
      count(verdict);
    }
    return {};
  }

  // Our own gaps that lie before `seq`: what we know to be absent is held against nobody. They are
  // asked for once for a run, which ends with `run_last`.
  Result<void> pass_gaps(Seq seq, Seq run_last) {
    for (;;) {
      while (!gaps_.empty() && gaps_.back().after < seq) {
        const storage::Gap& gap = gaps_.back();
        if (gap.reason != storage::GapReason::upstream) follower_->pass_gap(gap.after);
        gaps_.pop_back();
      }
      if (!gaps_.empty() || gaps_after_ >= run_last) return {};
      STANDPIPE_TRY(gaps_, archive_.gaps(stream_, epoch_, gaps_after_, run_last, kGapsAtOnce));
      gaps_after_ = gaps_.size() < kGapsAtOnce ? run_last : previous(gaps_.back().before);
      std::reverse(gaps_.begin(), gaps_.end());
    }
  }

  // Of the frame at position_.
  void count(const FrameVerdict& verdict) {
    if (!verdict.findings.empty()) tell(verdict);
    const std::uint64_t forgotten = forgotten_before_ + follower_->repos_forgotten();
    const std::lock_guard lock(mutex_);
    stats_.checked = position_;
    stats_.repos_forgotten = forgotten;
    ++stats_.frames;
    stats_.invalid += verdict.findings.empty() ? 0U : 1U;
    stats_.signatures.add(verdict.signature);
    for (const SignatureOutcome label : verdict.labels) stats_.signatures.add(label);
    for (const FrameFinding& finding : verdict.findings) ++stats_.by_finding[finding.what];
  }

  void tell(const FrameVerdict& verdict) {
    const FrameFinding& first = verdict.findings.front();
    log_.log(LogLevel::warn,
             fmt::format("stream {}: seq {} of {} is archived, and invalid: {}: {}", name_,
                         verdict.seq ? to_int(*verdict.seq) : 0, verdict.did.substr(0, 64),
                         first.what, first.detail.substr(0, kLogDetailBytes)));
  }

  const storage::Archive& archive_;  // not ours
  const storage::StreamId stream_;
  const std::string name_;
  const JudgeDepth depth_;
  const std::size_t repos_max_;
  DidKeys nobody_;
  KeySource& keys_;  // not ours, or nobody_
  LogEvery log_;
  std::optional<FrameFollower> follower_;
  std::optional<storage::Reader> reader_;
  std::vector<storage::Gap> gaps_;      // not passed yet, newest first
  Seq gaps_after_ = kSeqNone;           // they are asked for from here on
  std::uint64_t forgotten_before_ = 0;  // in earlier epochs
  EpochNumber epoch_{};
  Seq position_ = kSeqNone;
  Seq wanted_ = kSeqNone;  // of this turn; kSeqMax: all that the epoch has

  mutable std::mutex mutex_;  // guards everything below, shared; written by whom it says
  std::condition_variable_any came_;
  EpochNumber target_epoch_{};  // by on_durable
  Seq target_ = kSeqNone;       // by on_durable
  IngestCheckStats stats_;      // by the thread

  std::jthread thread_;  // last: it uses everything above
};

IngestCheck::IngestCheck(const storage::Archive& archive, const storage::StreamInfo& stream,
                         const IngestCheckOptions& options)
    : impl_(std::make_unique<Impl>(archive, stream, options)) {}
IngestCheck::~IngestCheck() = default;

void IngestCheck::on_durable(EpochNumber epoch, Seq newest) { impl_->on_durable(epoch, newest); }
void IngestCheck::stop() { impl_->stop(); }
IngestCheckStats IngestCheck::stats() const { return impl_->stats(); }

}  // namespace standpipe::archiver
