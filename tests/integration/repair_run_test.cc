// `standpipe repair` as it is run: what it made goes on, who is refused and why, and what a SIGKILL
// leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "tests/support/child_process.h"
#include "tests/support/repair_fixture.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

using RepairRun = RepairFixture;

// What is made is an archive like any other: it takes what follows.
TEST_F(RepairRun, ARepairedArchiveGoesOn) {
  given_archive_of_three(true);
  const std::string table = tables_of("frames/repos/0000000000000001").front();
  damage(table, intact.at(table).substr(0, 100));
  const Kept kept = repair_and_judge();
  ASSERT_EQ(kept.wrong, "");
  ASSERT_FALSE(kept.lost.empty());
  for (const std::int64_t seq : kept.lost) model.erase(seq);
  fs::rename(archive_dir(), dir / "damaged");
  fs::rename(repaired(), archive_dir());
  given_archive();
  expect_model();
  append_range(kLast + 1, kLast + 20);
  commit();
  close();
  given_archive();
  expect_model();
  EXPECT_EQ(run_standpipe({"repair", "--data", archive_dir().string()}).status, 1);  // it is held
  close();
  EXPECT_EQ(run_standpipe({"repair", "--data", archive_dir().string()}).status, 0);
}

TEST_F(RepairRun, AHeldArchiveIsRefusedByName) {
  given_archive_of_three(true);
  ChildProcess holder({STANDPIPE_CRASH_CHILD_PATH, "hold", archive_dir().string(), "write"});
  ASSERT_EQ(holder.read_line(), "held");
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, std::vector<std::string>{"--accept-loss"}}) {
    const Outcome refused = run_repair(more);
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.err, AllOf(HasSubstr("held for writing"), HasSubstr("standpipe repair:")));
  }
  EXPECT_FALSE(fs::exists(repaired()));
}

TEST_F(RepairRun, TooLittleRoomIsRefusedWithItsFigures) {
  given_archive_of_three(true);
  const std::string table = tables_of("frames/repos/0000000000000001").front();
  damage(table, intact.at(table).substr(0, 100));
  const Outcome refused = run_standpipe(
      {"repair", "--data", archive_dir().string(), "--accept-loss", "--min-free", "1000000TiB"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("1099511627776000000"), HasSubstr("bytes are free")));
  EXPECT_FALSE(fs::exists(repaired()));
  EXPECT_FALSE(fs::exists(repaired().string() + ".partial"));
}

TEST_F(RepairRun, BadInputIsRefused) {
  EXPECT_THAT(run_repair().err, HasSubstr("no archive in"));
  given_archive_of_three(true);
  const std::string table = tables_of("frames/repos/0000000000000001").front();
  damage(table, intact.at(table).substr(0, 100));
  const Outcome aimless = run_repair({"--into", (dir / "there").string()});
  EXPECT_EQ(aimless.status, 2);
  EXPECT_THAT(aimless.err, HasSubstr("--accept-loss"));
  fs::create_directory(repaired());
  write_file(repaired() / "precious", "bytes");
  const Outcome refused = run_repair({"--accept-loss"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("is there already"));
  EXPECT_EQ(file_text(repaired() / "precious"), "bytes");
  const Outcome elsewhere = run_repair({"--accept-loss", "--into", (dir / "there").string() + "/"});
  EXPECT_EQ(elsewhere.status, 0) << elsewhere.err;
  EXPECT_TRUE(fs::exists(dir / "there" / "db" / "CURRENT"));
}

// Killed once a file of this ending is there: nothing has the new archive's name, the damaged one
// is as it was, and the next run begins anew.
TEST_F(RepairRun, KilledAtAnyPointItIsSimplyRunAgain) {
  given_archive_of_three(true);
  const std::string table = tables_of("frames/repos/0000000000000002").front();
  const fs::path partial = repaired().string() + ".partial";
  const auto has = [&partial](const std::string& ending) {
    std::error_code failed;
    for (fs::recursive_directory_iterator entry(partial, failed), end; !failed && entry != end;
         entry.increment(failed)) {
      if (entry->path().string().ends_with(ending)) return true;
    }
    return false;
  };
  int killed = 0;
  for (const std::string stage : {"archive.lock", "CURRENT", ".log", ".sst", "witness"}) {
    damage(table, intact.at(table).substr(0, 100));
    fs::remove_all(partial);
    const Files before = read_files(archive_dir());
    Process repair({"repair", "--data", archive_dir().string(), "--min-free", "0", "--quiet",
                    "--accept-loss"});
    while (!has(stage) && !fs::exists(repaired())) std::this_thread::yield();
    repair.signal(SIGKILL);
    const Outcome ended = repair.wait();
    if (ended.status == -SIGKILL && !fs::exists(repaired())) ++killed;
    EXPECT_EQ(overwritten(before, archive_dir()), "");
    if (fs::exists(repaired())) {  // it was quicker, or it has shown what is not whole
      Kept made;
      EXPECT_EQ(judge_repaired(made), "") << stage;
      fs::remove_all(repaired());
    }
    const Kept kept = repair_and_judge();
    EXPECT_EQ(kept.wrong, "") << stage;
    EXPECT_FALSE(fs::exists(partial));
  }
  EXPECT_GE(killed, 3);
}

}  // namespace
}  // namespace standpipe::test
