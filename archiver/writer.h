// The one writer thread of a stream: takes what queued up, judges it, commits it, says so.
//
// Behind a failed commit stands a fence: nothing more is published, what is queued is dropped
// (upstream still has it), and frames flow again only from a new Appender's floor over a new
// connection. docs/architecture.md, "Failed writes".
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "archiver/firehose/upstream.h"
#include "archiver/pipeline.h"
#include "archiver/validator.h"
#include "schema/base/clock.h"
#include "schema/base/duration_histogram.h"
#include "schema/base/result.h"
#include "schema/seq.h"
#include "storage/archive.h"

namespace standpipe::archiver {

// Where an epoch begins that holds nothing yet. A started one always resumes.
struct FromOldest {};
struct FromNewest {};
struct FromSeq {
  Seq first{};  // the first frame wanted, at least 1; the first epoch only, later ones begin oldest
};
using From = std::variant<FromOldest, FromNewest, FromSeq>;

enum class OnUpstreamReset : std::uint8_t {
  wait,       // for epoch_began()
  new_epoch,  // begin one, where the one that ended holds frames and is old enough
};

struct WriterOptions {
  std::chrono::milliseconds commit_interval{5};  // between commits, at least: what comes meanwhile
                                                 // goes together
  std::size_t commit_frames_max = 1024;          // per commit
  std::size_t commit_bytes_max = 4 << 20;        // per commit; a larger frame goes alone
  std::chrono::milliseconds retry_interval{
      1'000};  // disk full: between looks whether there is room
  OnUpstreamReset on_upstream_reset = OnUpstreamReset::wait;
  std::chrono::milliseconds epoch_age_min{600'000};  // new_epoch: an upstream that is reset again
                                                     // sooner has to wait
  From from = FromOldest{};
  const Clock* clock = &SystemClock::instance();  // not ours
};

// All called on the writer's thread; none of them may stop the writer.
struct WriterCallbacks {
  // After commit() returned, in order, for every commit that published or explained something.
  // After a re-open also for what a failed commit turns out to have stored: its runs may begin with
  // frames that were told before.
  std::function<void(storage::EpochNumber, const storage::CommitReport&)> on_durable;
  // The writer began an epoch by itself.
  std::function<void(storage::EpochNumber)> on_epoch_began;
  // The archive failed, and the pipeline is closed: once, and nothing follows.
  std::function<void(const Error&)> on_fatal;
  // Ends the connection that is up; before the next dial there is a back-off if it `is_failure`.
  std::function<void(bool is_failure)> hang_up;
};

enum class WriterState : std::uint8_t { ready, upstream_reset, disk_full, failed, stopped };

struct WriterStatus {
  WriterState state = WriterState::ready;
  std::string detail;  // of any state but ready and stopped
  storage::EpochNumber epoch{};
  Seq newest = kSeqNone;
  std::int64_t received_ms = 0;               // of the last message; 0: none yet
  std::optional<std::int64_t> event_time_ms;  // what the newest frame says
  ValidatorStats judged;
  std::uint64_t gaps = 0, commits = 0, groups = 0;
  std::uint64_t quarantine_dropped = 0;
  DurationHistogram commit_times;  // of those that succeeded
};

class Writer {
 public:
  // `archive` and `pipeline` are not ours and outlive us. Nothing happens before start().
  Writer(storage::Archive& archive, storage::StreamInfo stream, Pipeline& pipeline,
         WriterOptions options, WriterCallbacks callbacks);
  ~Writer();  // stop()
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Takes the stream's Appender and begins; a full disk is waited for. invalid: FromSeq. The
  // Appender's errors: busy, closed, corrupt.
  Result<void> start();
  // Closes the pipeline, commits what is queued in it, ends the thread. The upstream must have been
  // stopped, or be about to. Not from a callback.
  void stop();

  // The upstream's side. Waits until a session is wanted and says from where; nullopt: never again.
  // Once it has returned a dial, an entry session_end must follow before it is called again.
  std::optional<firehose::Dial> wait_for_dial();
  // wait_for_dial() returns nullopt from now on.
  void refuse_dials();
  // Whether the session in progress is over for the writer: nothing of it will be stored.
  bool is_session_over() const;

  // Somebody else began an epoch. Any thread.
  void epoch_began();

  WriterStatus status() const;  // any thread

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::archiver
