// SIGKILL at random moments of an import, and at every step of the partition protocols.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/archive_text.h"
#include "tests/support/child_process.h"
#include "tests/support/scale.h"
#include "tests/support/scripted_run.h"
#include "tests/support/temp_dir.h"

namespace standpipe::test {
namespace {

constexpr int kKilled = -SIGKILL;

struct Killed {
  RunReports reports;
  std::int64_t lines = 0;
  std::int64_t steps = 0;
  std::string last_step;  // "rewrite.swap"; empty if it took none
  int ended = 0;
};

void note(Killed& killed, const std::string& line) {
  ++killed.lines;
  if (line.starts_with("step ")) {
    ++killed.steps;
    killed.last_step = line.substr(5);
  } else {
    killed.reports.add(line);
  }
}

// Reads to the end of what the child wrote; what it said before it died counts.
Killed listen(ChildProcess& child, std::int64_t kill_after_lines = -1) {
  Killed killed;
  while (const std::optional<std::string> line = child.read_line()) {
    note(killed, *line);
    if (killed.lines == kill_after_lines) child.kill_now();
  }
  killed.ended = child.wait();
  return killed;
}

std::vector<std::string> child_run(const TempDir& dir, bool in_background) {
  std::vector<std::string> arguments{STANDPIPE_CRASH_CHILD_PATH, "run", (dir / "archive").string()};
  if (in_background) arguments.emplace_back("background");
  return arguments;
}

// What the archive holds after the kill, and after going on to the end. Empty if all is well.
std::string recover(const TempDir& dir, const RunReports& reports) {
  ScriptedRun again(dir / "archive");
  again.set_reports(reports);
  const Result<void> opened = again.open();
  if (!opened) return "does not open: " + to_string(opened.error());
  if (const std::string wrong = again.check(); !wrong.empty()) return "recovered: " + wrong;
  const Result<void> went_on = again.go_on();
  if (!went_on) return "does not go on: " + to_string(went_on.error());
  const Result<void> closed = again.close();
  if (!closed) return "does not close: " + to_string(closed.error());
  const Result<void> reopened = again.open();
  if (!reopened) return "does not open again: " + to_string(reopened.error());
  if (const std::string wrong = again.check(); !wrong.empty()) return "went on: " + wrong;
  return difference(undisturbed_run(), again.describe());
}

TEST(Sigkill, AtRandomMomentsLosesNothingAcknowledged) {
  Killed whole;
  {
    const TempDir dir;
    ChildProcess child(child_run(dir, true));
    whole = listen(child);
    ASSERT_EQ(whole.ended, 0);
  }
  std::mt19937_64 random(20260102);
  std::set<std::int64_t> reached;
  int killed_in_time = 0;
  const std::size_t rounds = scaled(100);
  for (std::size_t round = 0; round < rounds; ++round) {
    const TempDir dir;
    ChildProcess child(child_run(dir, round % 2 == 0));
    const auto after =
        static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(whole.lines));
    const Killed killed = listen(child, std::max<std::int64_t>(after, 1));
    if (killed.ended == kKilled) ++killed_in_time;
    reached.insert(killed.reports.asked);
    ASSERT_EQ(recover(dir, killed.reports), "") << "round " << round << ", killed after seq "
                                                << killed.reports.acknowledged << " was durable";
  }
  std::printf("%d of %d killed before they ended, at %d different commits\n", killed_in_time,
              static_cast<int>(rounds), static_cast<int>(reached.size()));
  EXPECT_GE(static_cast<std::size_t>(killed_in_time), rounds / 2);
}

std::int64_t count_steps(bool in_background) {
  const TempDir dir;
  ChildProcess child(child_run(dir, in_background));
  const Killed whole = listen(child);
  EXPECT_EQ(whole.ended, 0);
  return whole.steps;
}

// Adds what it was killed at to `names`.
void kill_at_step(std::int64_t step, bool in_background, std::set<std::string>& names) {
  const TempDir dir;
  std::vector<std::string> arguments = child_run(dir, in_background);
  arguments.insert(arguments.end(), {"kill-at-step", std::to_string(step)});
  ChildProcess child(arguments);
  const Killed killed = listen(child);
  // On two threads a run may do with fewer steps than the one that was counted: it ends by itself.
  if (in_background && killed.ended == 0) return;
  ASSERT_EQ(killed.ended, kKilled) << "step " << step;
  names.insert(killed.last_step);
  ASSERT_EQ(recover(dir, killed.reports), "")
      << "killed at step " << step << ", " << killed.last_step;
}

// Creating, sealing, dropping, rewriting: each has several kinds of steps, and `kinds` of them must
// be met. On two threads they interleave anew in each run, so that one pass may miss some.
void kill_at_every_step(bool in_background, std::size_t kinds) {
  constexpr int kPassesMax = 6;
  const std::int64_t steps = count_steps(in_background);
  std::set<std::string> names;
  int passes = 0;
  do {
    for (std::int64_t step = 1; step <= steps; ++step) {
      kill_at_step(step, in_background, names);
      if (testing::Test::HasFatalFailure()) return;
    }
  } while (++passes < (in_background ? kPassesMax : 1) && names.size() < kinds);
  std::printf("killed at each of %d steps, of %d kinds, in %d passes:\n", static_cast<int>(steps),
              static_cast<int>(names.size()), passes);
  for (const std::string& name : names) std::printf("  %s\n", name.c_str());
  EXPECT_GE(names.size(), kinds);
}

TEST(Sigkill, AtEveryStepOfThePartitionProtocolsLosesNothingAcknowledged) {
  kill_at_every_step(false, 17);
}
TEST(Sigkill, AtEveryStepInTheBackgroundLosesNothingAcknowledged) { kill_at_every_step(true, 12); }

}  // namespace
}  // namespace standpipe::test
