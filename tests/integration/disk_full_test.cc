// The disk is full: a small file system of the test's own, an injected limit, and the guard that
// stops before either.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/archive_fixture.h"
#include "tests/support/archive_text.h"
#include "tests/support/fault_fs.h"
#include "tests/support/scale.h"
#include "tests/support/scripted_run.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;
using storage::Health;
using testing::HasSubstr;

// -- The guard ------------------------------------------------------------------------------------

class DiskFull : public ArchiveFixture {
 protected:
  void expect_health(Health expected) {
    EXPECT_EQ(to_string(archive().health()), to_string(expected))
        << archive().stats().health_detail;
  }
};

TEST_F(DiskFull, BelowTheMinimumNothingIsWrittenUntilThereIsRoom) {
  std::uint64_t free = 5'000;
  options.free_bytes = [&] { return free; };
  options.free_bytes_min = 1'000;
  given_archive();
  given_frames(1, 8);
  free = 999;
  append(9);
  const auto refused = appender().commit();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(to_string(refused.error().code), "limit reached");
  EXPECT_THAT(refused.error().detail, HasSubstr("999"));
  EXPECT_THAT(refused.error().detail, HasSubstr("1000"));
  expect_health(Health::disk_full);
  EXPECT_THAT(archive().stats().health_detail, HasSubstr("999"));
  expect_model();  // reads go on

  const Result<void> still = archive().try_resume();
  EXPECT_FALSE(still.has_value());
  expect_health(Health::disk_full);
  expect_model();

  free = 1'000;
  ASSERT_OK(archive().try_resume());
  expect_health(Health::ok);
  renew_appender();
  given_frames(9, 24);
  expect_model();
  reopen();
  expect_model();
}

TEST_F(DiskFull, ResumingAHealthyArchiveDoesNothing) {
  given_archive();
  given_frames(1, 8);
  ASSERT_OK(archive().try_resume());
  EXPECT_EQ(archive().stats().reopens, 0U);
  renew_appender();
  given_frames(9, 16);
  expect_model();
}

// -- Injected -------------------------------------------------------------------------------------

// Goes on in the same process until the script has ended; each stop must be disk_full, with reads
// going on. `make_room` is called after each stop. Empty if all is well.
template <typename MakeRoom>
std::string run_through_full_disk(ScriptedRun& run, MakeRoom&& make_room) {
  const Result<void> opened = run.open();
  if (!opened) {
    if (opened.error().code != Errc::limit) return "open: " + to_string(opened.error());
    make_room();
    if (const Result<void> again = run.open(); !again)
      return "re-open: " + to_string(again.error());
  }
  for (int stops = 0;; ++stops) {
    const Result<void> went_on = run.go_on();
    if (went_on) return {};
    if (stops > 3) return "does not end: " + to_string(went_on.error());
    if (run.archive().health() != Health::disk_full) {
      return "health says " + std::string(to_string(run.archive().health())) + " after " +
             to_string(went_on.error());
    }
    if (run.archive().stats().health_detail.empty()) return "health has no detail";
    if (const std::string wrong = run.check(); !wrong.empty()) return "while full: " + wrong;
    run.drop_appender();
    make_room();
    const Result<void> resumed = run.archive().try_resume();
    if (!resumed) return "does not resume: " + to_string(resumed.error());
    if (run.archive().health() != Health::ok) return "resumed, but health is not ok";
    if (const std::string wrong = run.check(); !wrong.empty()) return "resumed: " + wrong;
  }
}

// Empty if the run, once ended, is as an undisturbed one, before and after a crash. `make_room` is
// called between the stop and the start, which wants some.
std::string compare_with_undisturbed(
    ScriptedRun& run, const std::function<void()>& make_room = [] {}) {
  // The operation that fails may be one of the clean stop.
  if (const Result<void> closed = run.close(); !closed) run.crash();
  make_room();
  if (const Result<void> opened = run.open(); !opened) return to_string(opened.error());
  if (const std::string wrong = run.check(); !wrong.empty()) return wrong;
  return difference(undisturbed_run(), run.describe());
}

struct Lab {
  explicit Lab(bool in_background) {
    fs::create_directory(dir / "disk");
    disk.emplace(dir / "disk");
    storage::ArchiveOptions options;
    options.env = disk->env();
    run.emplace(dir / "disk" / "archive", options, in_background);
  }
  TempDir dir{TempDir::Where::memory};
  std::optional<FaultFs> disk;
  std::optional<ScriptedRun> run;  // must go before disk
};

TEST(DiskFullInjected, AtAnyFillLevelReadsGoOnAndWritingResumes) {
  std::uint64_t bytes_used = 0;
  {
    Lab lab(false);
    ASSERT_OK(lab.run->run());
    bytes_used = lab.disk->used_bytes();
  }
  const std::size_t levels = scaled(80);
  int stopped = 0;
  for (std::size_t level = 0; level <= levels; ++level) {
    Lab lab(level % 2 == 1);
    const std::uint64_t capacity = 20'000 + bytes_used * level / levels;
    lab.disk->set_capacity(capacity);
    const auto make_room = [&] { lab.disk->set_capacity(std::nullopt); };
    const std::string wrong = run_through_full_disk(*lab.run, [&] {
      ++stopped;
      make_room();
    });
    ASSERT_EQ(wrong, "") << "capacity " << capacity;
    ASSERT_EQ(compare_with_undisturbed(*lab.run, make_room), "") << "capacity " << capacity;
  }
  std::printf("%d of %d capacities were passed\n", stopped, static_cast<int>(levels) + 1);
  EXPECT_GE(static_cast<std::size_t>(stopped), levels / 2);
}

TEST(DiskFullInjected, AtAnyOperationReadsGoOnAndWritingResumes) {
  std::uint64_t steps = 0;
  {
    Lab lab(false);
    ASSERT_OK(lab.run->open());
    ASSERT_OK(lab.run->go_on());
    steps = lab.disk->steps();
  }
  const std::uint64_t stride = steps / scaled(steps);
  int failures = 0;
  for (std::uint64_t step = 1; step <= steps && failures < 10; step += stride) {
    Lab lab(false);
    const auto effect = step % 2 == 0 ? Fault::Effect::none : Fault::Effect::whole;
    lab.disk->fail_at(step, {Fault::Kind::no_space, effect});
    const std::string wrong = run_through_full_disk(*lab.run, [] {});
    lab.disk->fail_at(0, {});
    const std::string end = wrong.empty() ? compare_with_undisturbed(*lab.run) : "";
    if (!wrong.empty() || !end.empty()) {
      ADD_FAILURE() << lab.disk->step_text(step) << ": " << wrong << end;
      ++failures;
    }
  }
}

// While the disk stays full a resume must fail and leave everything readable.
TEST(DiskFullInjected, AResumeWithoutRoomLeavesTheArchiveReadable) {
  Lab lab(false);
  lab.disk->set_capacity(150'000);
  ASSERT_OK(lab.run->open());
  ASSERT_FALSE(lab.run->go_on().has_value());
  lab.run->drop_appender();
  for (int round = 0; round < 3; ++round) {
    const Result<void> resumed = lab.run->archive().try_resume();
    EXPECT_EQ(lab.run->check(), "") << "round " << round;
    if (!resumed) {
      EXPECT_EQ(to_string(lab.run->archive().health()), "disk_full");
    } else {
      EXPECT_FALSE(lab.run->go_on().has_value());  // it goes on until it is full again
      lab.run->drop_appender();
    }
    EXPECT_EQ(lab.run->check(), "") << "round " << round;
  }
  lab.disk->set_capacity(std::nullopt);
  ASSERT_OK(lab.run->archive().try_resume());
  ASSERT_OK(lab.run->go_on());
  EXPECT_EQ(compare_with_undisturbed(*lab.run), "");
}

// A re-open closes the database first, which everybody has to have let go of by then.
TEST_F(DiskFull, AReopenWaitsForThoseWhoRead) {
  FaultFs disk(dir.path());
  options.env = disk.env();
  options.run_cache_bytes = 0;  // every read opens a scan
  given_archive();
  given_frames(1, 40);
  std::atomic<bool> is_over = false;
  std::vector<std::jthread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      // Whoever waits for the lock goes on in place of who gives it back.
      EXPECT_EQ(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19), 0);
      auto reader = archive().reader(stream(), epoch());
      while (!is_over) {
        for (int seq = 0; seq < 40; seq += 8) {
          const auto step = reader->read_after(Seq{seq});
          if (!step) {
            EXPECT_EQ(step.error().code, Errc::closed) << to_string(step.error());
          }
        }
      }
    });
  }
  const std::size_t rounds = scaled(50);
  for (std::size_t round = 0; round < rounds && !HasFailure(); ++round) {
    append(41);
    disk.fail_next(DiskOperation::append, ".log", {Fault::Kind::no_space, Fault::Effect::none});
    EXPECT_FALSE(appender().commit().has_value());
    renew_appender();
    EXPECT_OK(archive().try_resume()) << "round " << round;
  }
  is_over = true;
  readers.clear();
  EXPECT_EQ(archive().stats().reopens, rounds);
}

// The failed write has reached the file all the same. Until a re-open has made it durable, a power
// cut may take it: nobody is shown it, though the store that was opened to read has it.
TEST_F(DiskFull, AFailedWriteThatTookEffectIsShownOnlyOnceItIsDurable) {
  for (const DiskOperation operation : {DiskOperation::append, DiskOperation::sync_file}) {
    SCOPED_TRACE(static_cast<int>(operation));
    FaultFs disk(dir.path());
    options.env = disk.env();
    given_archive();
    const auto first = static_cast<std::int64_t>(model.size()) + 1;
    given_frames(first, first + 11);
    append_range(first + 12, first + 14);
    disk.fail_next(operation, ".log", {Fault::Kind::no_space, Fault::Effect::whole});
    ASSERT_FALSE(appender().commit().has_value());
    renew_appender();
    expect_health(Health::disk_full);
    expect_model();

    disk.set_capacity(disk.used_bytes());
    ASSERT_FALSE(archive().try_resume().has_value());
    expect_health(Health::disk_full);
    EXPECT_EQ(archive().stats().reopens, 1U);
    EXPECT_EQ(archive().newest(stream(), epoch()), Seq{first + 11});
    EXPECT_EQ(archive().find_stream("repos")->epochs.back().newest, Seq{first + 11});
    expect_model();

    disk.set_capacity(std::nullopt);
    ASSERT_OK(archive().try_resume());
    expect_health(Health::ok);
    for (std::int64_t seq = first + 12; seq <= first + 14; ++seq) {
      model[seq] = std::string(as_text(make_frame(seq)));  // it was there all the time
    }
    expect_model();
    close();
  }
}

// -- A real one -----------------------------------------------------------------------------------

// A mount namespace of this thread's own, with 64 MiB of tmpfs at `where`. False with errno.
bool mount_small_disk(const fs::path& where) {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", where.c_str(), "tmpfs", 0, "size=64m") == 0;
}

// Becomes root of a user namespace where it is not root already.
bool become_root() { return ::geteuid() == 0 || ::unshare(CLONE_NEWUSER) == 0; }

// Tried in a child, because it cannot be undone.
std::string why_not_mountable() {
  const TempDir dir;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(become_root() && mount_small_disk(dir.path()) ? 0 : errno);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return std::strerror(WIFEXITED(status) ? WEXITSTATUS(status) : EINTR);
}

void append_until_full(storage::Archive& archive, storage::StreamId stream, FrameMap& model,
                       std::int64_t now_ms) {
  auto taken = archive.appender(stream);
  ASSERT_OK(taken);
  storage::Appender appender = std::move(taken).value();
  for (std::int64_t seq = to_int(appender.newest()) + 1; seq < 100'000; seq += 10) {
    FrameMap pending;
    for (std::int64_t i = seq; i < seq + 10; ++i) {
      const Bytes frame = make_frame({.seq = i, .blocks_bytes = 4'000});
      const auto judgement = appender.offer(frame, now_ms);
      ASSERT_OK(judgement);
      pending[i] = std::string(as_text(frame));
    }
    if (const auto committed = appender.commit(); !committed) return;
    model.merge(pending);
  }
  FAIL() << "the disk never became full";
}

// Runs in a process of its own. Exits with 0 if all is well.
void fill_a_real_disk(const fs::path& mount_point, std::uint64_t free_bytes_min) {
  ASSERT_TRUE(become_root() && mount_small_disk(mount_point)) << std::strerror(errno);
  ManualClock clock(kFirstFrameMs);
  storage::ArchiveOptions options = small_archive_options(clock);
  options.free_bytes = nullptr;  // asks the system
  options.free_bytes_min = free_bytes_min;
  options.partition_bytes_max = 3 << 20;
  options.background = true;
  const fs::path ballast = mount_point / "ballast";
  std::ofstream(ballast) << std::string(32 << 20, 'b');

  auto opened = storage::Archive::open(mount_point / "archive", options);
  ASSERT_OK(opened);
  std::unique_ptr<storage::Archive> archive = std::move(opened).value();
  storage::StreamSpec spec;
  spec.name = "repos";
  const auto stream = archive->ensure_stream(spec);
  ASSERT_OK(stream);
  const storage::EpochNumber epoch = stream->epochs.back().number;

  FrameMap model;
  ASSERT_NO_FATAL_FAILURE(append_until_full(*archive, stream->id, model, clock.now_ms()));
  EXPECT_GT(model.size(), 500U);
  EXPECT_EQ(to_string(archive->health()), "disk_full");
  EXPECT_NE(archive->stats().health_detail, "");
  FrameMap read;
  EXPECT_OK(read_into(read, *archive, stream->id, epoch));
  EXPECT_EQ(differences(model, read), "");

  if (free_bytes_min > 0) {
    // It stopped before the disk did. Files that are closed meanwhile give back what was allocated
    // ahead of need, so that there may be more room again by now.
    EXPECT_GE(fs::space(mount_point).available, free_bytes_min / 2);
  }
  fs::remove(ballast);
  ASSERT_OK(archive->try_resume());
  EXPECT_EQ(to_string(archive->health()), "ok");
  const std::size_t before = model.size();
  ASSERT_NO_FATAL_FAILURE(append_until_full(*archive, stream->id, model, clock.now_ms()));
  EXPECT_GT(model.size(), before + 500);
  read.clear();
  EXPECT_OK(read_into(read, *archive, stream->id, epoch));
  EXPECT_EQ(differences(model, read), "");

  archive.reset();
  options.access = storage::Access::read_only;
  options.free_bytes_min = 0;
  opened = storage::Archive::open(mount_point / "archive", options);
  ASSERT_OK(opened);
  read.clear();
  EXPECT_OK(read_into(read, **opened, stream->id, epoch));
  EXPECT_EQ(differences(model, read), "");
}

// gtest prints nothing in the process of a death test but what it writes to stderr. Returns how
// many failures there are.
int print_failures() {
  const testing::TestResult& result =
      *testing::UnitTest::GetInstance()->current_test_info()->result();
  int failures = 0;
  for (int i = 0; i < result.total_part_count(); ++i) {
    const testing::TestPartResult& part = result.GetTestPartResult(i);
    if (!part.failed()) continue;
    ++failures;
    std::fprintf(stderr, "%s:%d: %s\n", part.file_name(), part.line_number(), part.message());
  }
  return failures;
}

void run_in_own_process(std::uint64_t free_bytes_min) {
  if (const std::string why = why_not_mountable(); !why.empty()) {
    const char* ci = std::getenv("CI");
    ASSERT_FALSE(ci != nullptr && std::string(ci) == "true" && ::geteuid() == 0)
        << "a tmpfs cannot be mounted: " << why;
    GTEST_SKIP() << "a tmpfs cannot be mounted: " << why;
  }
  const TempDir dir;
  // A fresh process has no threads yet: all that it makes share its mount namespace.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        fill_a_real_disk(dir.path(), free_bytes_min);
        std::_Exit(print_failures() == 0 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(DiskFullDeathTest, OnASmallFileSystemNothingAcknowledgedIsLost) { run_in_own_process(0); }
TEST(DiskFullDeathTest, TheMinimumStopsWritingBeforeTheFileSystemIsFull) {
  run_in_own_process(4 << 20);
}

}  // namespace
}  // namespace standpipe::test
