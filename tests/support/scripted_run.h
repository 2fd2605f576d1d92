// A short life of an archive, the same every time: some 200 frames in small commits, with a gap, a
// quarantined frame, rolls, a seal, a drop and a rewrite. It can be interrupted anywhere, and goes
// on from whatever the archive then holds; what it reported on the way says what must be there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/clock.h"
#include "storage/archive.h"
#include "tests/support/frames.h"

namespace standpipe::test {

// What the archive has told its user so far. Kept outside of the process that may die.
struct RunReports {
  std::int64_t asked = 0;         // newest seq of the newest commit that was begun
  std::int64_t acknowledged = 0;  // newest seq of the newest commit that was reported durable
  std::int64_t drop_asked = 0;    // newest seq of the partition to drop; 0: not yet
  bool drop_done = false;

  // One report is one line: "asked 17", "acknowledged 17", "drop_asked 40", "drop_done 40".
  void add(std::string_view line);
};

class ScriptedRun {
 public:
  static constexpr std::int64_t kLastSeq = 200;

  // Of `options`, env, on_step and free_bytes are taken; the rest is the run's own.
  ScriptedRun(std::filesystem::path dir, storage::ArchiveOptions options,
              bool in_background = false);
  explicit ScriptedRun(std::filesystem::path dir);
  ~ScriptedRun();

  // Called with each report, before anything else happens.
  std::function<void(const std::string& line)> on_report;

  // Opens the archive and goes on to the end, or to the first error. Ends with a clean stop.
  Result<void> run();
  // The parts of run(), for tests that do something in between.
  Result<void> open(storage::Access access = storage::Access::write);
  Result<void> go_on();  // from what the archive holds to the last frame
  Result<void> close();

  void drop_appender() { appender_.reset(); }  // and what it had pending
  void crash();                                // destroys the archive without a clean stop
  bool is_open() const { return archive_ != nullptr; }
  storage::Archive& archive();

  const RunReports& reports() const { return reports_; }
  // Forgets what was reported: the archive begins anew, or somebody else's reports count.
  void set_reports(const RunReports& reports) { reports_ = reports; }

  // What is wrong with what the open archive holds, given the reports so far; empty if nothing is.
  // Everything acknowledged is there once, byte for byte; of a commit that was begun, a prefix may
  // be; a drop has happened whole or not at all, and once it was acknowledged it stays; the ledger
  // explains all that is absent.
  std::string check();
  // describe_archive(), or the error in its place.
  std::vector<std::string> describe();

 private:
  void report(const std::string& line);
  Result<void> commit_up_to(std::int64_t last);
  Result<void> after_commit(std::int64_t seq);
  Result<void> drop_first();
  Result<void> rewrite_oldest();
  void set_clock(std::int64_t seq);

  const std::filesystem::path dir_;
  ManualClock clock_;
  storage::ArchiveOptions options_;
  std::unique_ptr<storage::Archive> archive_;
  std::unique_ptr<storage::Appender> appender_;  // must go before archive_
  storage::StreamId stream_{};
  storage::EpochNumber epoch_{};
  RunReports reports_;
};

// The frame that the run has for `seq`; empty for the seqs that its upstream skips.
std::string scripted_frame(std::int64_t seq);
// The last seqs of its commits, in order.
const std::vector<std::int64_t>& scripted_commits();

// What describe() gives after an undisturbed run; made once per process, on a plain disk.
const std::vector<std::string>& undisturbed_run();

}  // namespace standpipe::test
