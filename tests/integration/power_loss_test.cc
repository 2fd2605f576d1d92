// A power cut, or a failed operation, at every operation on the disk in turn.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/archive_fixture.h"
#include "tests/support/archive_text.h"
#include "tests/support/fault_fs.h"
#include "tests/support/scale.h"
#include "tests/support/scripted_run.h"
#include "tests/support/temp_dir.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;

constexpr int kFailuresShown = 12;  // one cause fails many cuts: the first few tell it

// A disk with faults, an archive on it, and the run that it interrupts.
struct Lab {
  Lab() {
    fs::create_directory(dir / "disk");
    disk.emplace(dir / "disk");
    storage::ArchiveOptions options;
    options.env = disk->env();
    run.emplace(archive_dir(), options);
  }
  fs::path archive_dir() const { return dir / "disk" / "archive"; }

  TempDir dir{TempDir::Where::memory};
  std::optional<FaultFs> disk;
  std::optional<ScriptedRun> run;  // must go before disk
};

// How many operations an undisturbed run has.
std::uint64_t count_steps() {
  Lab lab;
  const Result<void> ran = lab.run->run();
  EXPECT_TRUE(ran.has_value()) << to_string(ran.error());
  return lab.disk->steps();
}

// 1, or more where STANDPIPE_TEST_SCALE asks for a share of the work.
std::uint64_t stride(std::uint64_t steps) { return steps / scaled(steps); }

// Opens what is on the disk without the layer, checks it, goes on to the end, and compares the end.
// Empty if all is well, else what is not.
std::string recover(const fs::path& archive_dir, const RunReports& reports) {
  ScriptedRun again(archive_dir);
  again.set_reports(reports);
  const Result<void> opened = again.open();
  if (!opened) return "does not open: " + to_string(opened.error());
  if (const std::string wrong = again.check(); !wrong.empty()) return "recovered: " + wrong;
  const Result<void> went_on = again.go_on();
  if (!went_on) return "does not go on: " + to_string(went_on.error());
  if (const std::string wrong = again.check(); !wrong.empty()) return "went on: " + wrong;
  const Result<void> closed = again.close();
  if (!closed) return "does not close: " + to_string(closed.error());
  const Result<void> reopened = again.open(storage::Access::read_only);
  if (!reopened) return "does not open again: " + to_string(reopened.error());
  if (const std::string other = difference(undisturbed_run(), again.describe()); !other.empty()) {
    return "ended otherwise: " + other;
  }
  const Result<void> verified = again.archive().verify_files();
  return verified ? "" : "verify: " + to_string(verified.error());
}

// Counts failures, prints the first few, and ends the loop when there are enough.
class Verdicts {
 public:
  // False: enough failures for today.
  bool add(const std::string& where, const std::string& wrong) {
    ++cases_;
    if (wrong.empty()) return true;
    ADD_FAILURE() << where << ": " << wrong;
    return ++failures_ < kFailuresShown;
  }
  int cases() const { return cases_; }

 private:
  int cases_ = 0;
  int failures_ = 0;
};

TEST(PowerLoss, TakesNothingAcknowledgedWhereverItCuts) {
  const std::uint64_t steps = count_steps();
  Verdicts verdicts;
  for (std::uint64_t cut = 1; cut <= steps + 1; cut += stride(steps)) {
    std::vector<std::uint64_t> seeds{0, cut + 2};
    if (cut % 4 == 0) seeds.push_back(1);
    for (const std::uint64_t seed : seeds) {
      Lab lab;
      lab.disk->cut_at(cut);
      const Result<void> ran = lab.run->run();
      // A cut that only met the deletion of old files goes unnoticed.
      if (!lab.disk->is_cut()) {
        EXPECT_OK(ran);
      }
      lab.run->crash();
      const std::string where =
          "cut at " + lab.disk->step_text(cut) + ", seed " + std::to_string(seed);
      lab.disk->materialize(seed);
      if (!verdicts.add(where, recover(lab.archive_dir(), lab.run->reports()))) return;
    }
  }
  std::printf("%d power cuts at %d operations\n", verdicts.cases(), static_cast<int>(steps));
}

// Recovery writes too: a second cut in the middle of it must not be worse than the first.
TEST(PowerLoss, MayCutTheRecoveryFromACut) {
  const std::uint64_t steps = count_steps();
  Verdicts verdicts;
  for (std::uint64_t cut = 1; cut <= steps; cut += 4 * stride(steps)) {
    Lab lab;
    lab.disk->cut_at(cut);
    [[maybe_unused]] const Result<void> first = lab.run->run();
    lab.run->crash();
    std::string where = "cut at " + lab.disk->step_text(cut);
    lab.disk->materialize(cut);
    // Recovery has some twenty operations; beyond them the run itself is cut again.
    const std::uint64_t second = 1 + cut * 7 % 40;
    lab.disk->cut_at(second);
    [[maybe_unused]] const Result<void> ran = lab.run->run();
    lab.run->crash();
    where += ", then at " + lab.disk->step_text(second);
    lab.disk->materialize(cut % 5);
    if (!verdicts.add(where, recover(lab.archive_dir(), lab.run->reports()))) return;
  }
  std::printf("%d double cuts\n", verdicts.cases());
}

std::string_view to_string(Fault::Effect effect) {
  switch (effect) {
    case Fault::Effect::none:
      return "without effect";
    case Fault::Effect::part:
      return "half done";
    case Fault::Effect::whole:
      return "though it took effect";
  }
  return "?";
}

bool is_append(const FaultFs& disk, std::uint64_t step) {
  const std::vector<DiskStep> trace = disk.trace();
  return step <= trace.size() && trace[step - 1].operation == DiskOperation::append;
}

// One operation fails. The process then dies, or the power goes as well: in turn.
void fail_each_operation(Fault::Effect effect, bool begins_with_power_cut) {
  const std::uint64_t steps = count_steps();
  Verdicts verdicts;
  int swallowed = 0;
  for (std::uint64_t step = 1; step <= steps; step += stride(steps)) {
    Lab lab;
    lab.disk->fail_at(step, {Fault::Kind::io, effect});
    const Result<void> ran = lab.run->run();
    if (effect == Fault::Effect::part && !is_append(*lab.disk, step)) continue;
    if (ran) ++swallowed;  // a deletion or a close that nothing depends on
    lab.run->crash();
    std::string where = lab.disk->step_text(step) + " failed " + std::string(to_string(effect));
    if ((step % 2 == 0) == begins_with_power_cut) {
      lab.disk->materialize(step % 5);
      where += ", then the power, seed " + std::to_string(step % 5);
    }
    if (!verdicts.add(where, recover(lab.archive_dir(), lab.run->reports()))) return;
  }
  std::printf("%d failed operations, of which %d stopped nothing\n", verdicts.cases(), swallowed);
}

// As run() again, where whoever subscribes has received what the archive holds once it is open.
Result<void> serve_and_go_on(ScriptedRun& run) {
  STANDPIPE_CHECK(run.open());
  const std::optional<storage::StreamInfo> stream = run.archive().find_stream("repos");
  RunReports reports = run.reports();
  reports.acknowledged = std::max(reports.acknowledged, to_int(stream->epochs.back().newest));
  run.set_reports(reports);
  return run.go_on();
}

// One operation fails and the process dies of it; the next one serves what it recovers, and then
// the power goes. What a failed sync left in the kernel's memory looks stored, and is not.
TEST(PowerLoss, TakesNothingServedAfterAFailedOperation) {
  static constexpr Fault::Effect kEffects[] = {Fault::Effect::none, Fault::Effect::part,
                                               Fault::Effect::whole};
  const std::uint64_t steps = count_steps();
  Verdicts verdicts;
  int served = 0;
  for (std::uint64_t step = 1; step <= steps; step += stride(steps)) {
    Lab lab;
    const Fault::Effect effect = kEffects[verdicts.cases() % 3];
    lab.disk->fail_at(step, {Fault::Kind::io, effect});
    [[maybe_unused]] const Result<void> first = lab.run->run();
    lab.run->crash();
    std::string where = lab.disk->step_text(step) + " failed " + std::string(to_string(effect));
    // In the midst of the recovery, or some commits after it.
    const std::uint64_t cut = lab.disk->steps() + 1 + step * 7 % 97;
    lab.disk->cut_at(cut);
    [[maybe_unused]] const Result<void> second = serve_and_go_on(*lab.run);
    if (lab.run->is_open()) ++served;
    lab.run->crash();
    where += ", then cut at " + lab.disk->step_text(cut);
    lab.disk->materialize(step % 5);
    if (!verdicts.add(where, recover(lab.archive_dir(), lab.run->reports()))) return;
  }
  std::printf("%d power cuts after a failed operation, %d of them after the archive was open\n",
              verdicts.cases(), served);
  EXPECT_GE(served, verdicts.cases() / 4);
}

TEST(FailedOperation, WithoutEffectLosesNothingAcknowledged) {
  fail_each_operation(Fault::Effect::none, true);
}
TEST(FailedOperation, ThoughItTookEffectLosesNothingAcknowledged) {
  fail_each_operation(Fault::Effect::whole, false);
}
TEST(FailedOperation, HalfDoneLosesNothingAcknowledged) {
  fail_each_operation(Fault::Effect::part, true);
}

}  // namespace
}  // namespace standpipe::test
