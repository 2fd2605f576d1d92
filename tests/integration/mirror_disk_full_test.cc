// A mirror whose disk is full, fails or is damaged: what it can serve it serves, what it cannot
// store it asks for again, and where it cannot go on it ends and says why.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/mirror_fixture.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr std::int64_t kLast = 5'000;
constexpr std::size_t kBlocksBytes = 4'000;

// Of the disk's 64 MiB. The frames are 21 MB; RocksDB takes 8 MiB ahead of need.
struct Room {
  std::uint64_t ballast_bytes = 0;
  std::string free_bytes_min;
};

Bytes large_frame(std::int64_t seq) {
  return make_frame({.seq = seq, .blocks_bytes = kBlocksBytes});
}

std::vector<UpstreamFrame> large_frames(std::int64_t first, std::int64_t last) {
  std::vector<UpstreamFrame> made;
  for (std::int64_t seq = first; seq <= last; ++seq) made.push_back({seq, large_frame(seq)});
  return made;
}

// That the subscriber gets exactly the frames `first` to `last` next.
void expect_large_frames(Subscriber& subscriber, std::int64_t first, std::int64_t last) {
  for (std::int64_t seq = first; seq <= last; ++seq) {
    try {
      const Bytes frame = subscriber.next_frame();
      ASSERT_EQ(seq_of(frame), seq);
      ASSERT_TRUE(frame == large_frame(seq)) << seq;
    } catch (const std::exception& error) {
      throw std::runtime_error(
          fmt::format("seq {} of {} to {}: {}", seq, first, last, error.what()));
    }
  }
}

class MirrorDiskFull : public MirrorFixture {
 protected:
  HttpReply health_reply() const { return http_get(port(), "/xrpc/_health"); }

  // Returns the reply that has it. Never more than kTestDeadline.
  HttpReply wait_for_status(const std::string& status) const {
    const auto deadline = std::chrono::steady_clock::now() + kTestDeadline;
    for (;;) {
      HttpReply reply = health_reply();
      if (nlohmann::json::parse(reply.body)["status"] == status) return reply;
      if (std::chrono::steady_clock::now() > deadline) {
        throw std::runtime_error("waited in vain for " + status + ": " + reply.body + "\n" +
                                 process().error_text());
      }
      std::this_thread::yield();
    }
  }
};

// -- A file system of the test's own --------------------------------------------------------------

// A mount namespace of this thread's own, with 64 MiB of tmpfs at `where`. False with errno.
bool mount_small_disk(const fs::path& where) {
  return (::geteuid() == 0 || ::unshare(CLONE_NEWUSER) == 0) && ::unshare(CLONE_NEWNS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", where.c_str(), "tmpfs", 0, "size=64m") == 0;
}

// Tried in a child, because it cannot be undone.
std::string why_not_mountable() {
  const TempDir dir;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(mount_small_disk(dir.path()) ? 0 : errno);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return std::strerror(WIFEXITED(status) ? WEXITSTATUS(status) : EINTR);
}

class MirrorDiskFullDeathTest : public MirrorDiskFull {
 protected:
  // In a process of its own, whose children share its mounts. Exits with 0 if all is well.
  void fill_and_make_room(const Room& room) {
    fs::create_directory(archive());
    ASSERT_TRUE(mount_small_disk(archive())) << std::strerror(errno);
    const fs::path ballast = archive() / "ballast";
    std::ofstream(ballast) << std::string(room.ballast_bytes, 'b');
    UpstreamOptions script;
    script.frames = large_frames(1, 100);
    given_upstream(std::move(script));
    given_mirror({"--min-free", room.free_bytes_min, "--partition-bytes", "2MiB",
                  "--partition-span", "1s", "--partition-bytes-min", "1MiB", "--live-bytes",
                  "1MiB"});
    wait_until_durable(100);
    Subscriber from_start = subscribe("?cursor=0");
    expect_large_frames(from_start, 1, 50);
    Subscriber live = subscribe();
    EXPECT_TRUE(live.read_until_pong().empty());

    upstream().append(large_frames(101, kLast));
    const HttpReply full = wait_for_status("disk_full");
    EXPECT_EQ(full.status, 200);
    const std::int64_t newest = health()["streams"][0]["seq"];
    EXPECT_GT(newest, 100);
    EXPECT_LT(newest, kLast);

    // Serving goes on, to those who are there and to those who come.
    expect_large_frames(from_start, 51, newest);
    Subscriber latecomer = subscribe("?cursor=0");
    expect_large_frames(latecomer, 1, newest);

    fs::remove(ballast);
    expect_large_frames(from_start, newest + 1, kLast);
    expect_large_frames(latecomer, newest + 1, kLast);
    expect_large_frames(live, 101, kLast);
    // Which of the two depends on how long ago the last frame came.
    EXPECT_THAT(health()["status"].get<std::string>(), AnyOf("ok", "catching_up"));
    // Everybody is where the archive is, and nothing comes twice.
    upstream().append(kLast + 1, large_frame(kLast + 1));
    for (Subscriber* one : {&from_start, &latecomer, &live}) {
      expect_large_frames(*one, kLast + 1, kLast + 1);
      EXPECT_TRUE(one->read_until_pong().empty());
    }
    stop();
    given_server();
    Subscriber again = subscribe("?cursor=0");
    expect_large_frames(again, 1, kLast + 1);
    EXPECT_EQ(http_get(port(), "/xrpc/_health").status, 200);
    stop();
  }

  // gtest prints nothing in the process of a death test but what it writes to stderr. Returns how
  // many failures there are.
  static int print_failures() {
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

  void run_in_own_process(const Room& room) {
    if (const std::string why = why_not_mountable(); !why.empty()) {
      const char* ci = std::getenv("CI");
      ASSERT_FALSE(ci != nullptr && std::string(ci) == "true" && ::geteuid() == 0)
          << "a tmpfs cannot be mounted: " << why;
      GTEST_SKIP() << "a tmpfs cannot be mounted: " << why;
    }
    // A fresh process has no threads yet: all that it makes share its mount namespace.
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
          try {
            fill_and_make_room(room);
          } catch (const std::exception& error) {
            ADD_FAILURE() << error.what();
            // It would outlive us, and hold what we are waited for by.
            const Outcome ended = kill();
            ADD_FAILURE() << "status " << ended.status << "; it said: " << ended.err;
          }
          std::_Exit(print_failures() == 0 ? 0 : 1);
        },
        testing::ExitedWithCode(0), "");
  }
};

TEST_F(MirrorDiskFullDeathTest, ServingGoesOnAndIngestResumesWhenThereIsRoom) {
  run_in_own_process({52 << 20, "0"});
}
TEST_F(MirrorDiskFullDeathTest, TheMinimumThatStaysFreeStopsAndResumesLikewise) {
  run_in_own_process({40 << 20, "4MiB"});
}

// -- Where it cannot go on ------------------------------------------------------------------------

// Damage in the middle of what was acknowledged.
TEST_F(MirrorDiskFull, AnArchiveThatIsCorruptAtTheStartIsRefusedByName) {
  given_upstream(holding(1, 2'000));
  given_mirror();
  wait_until_durable(2'000);
  kill();  // what it holds is in the log
  fs::path log;
  for (const fs::directory_entry& entry : fs::directory_iterator(archive() / "db")) {
    if (entry.path().extension() != ".log") continue;
    if (log.empty() || entry.file_size() > fs::file_size(log)) log = entry.path();
  }
  ASSERT_GT(fs::file_size(log), 500'000U);
  {
    std::fstream file(log, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(200'000);
    file.put('\x5a').put('\xa5').put('\x5a');
  }
  const auto before = fs::last_write_time(log);
  const Outcome refused = run_standpipe(arguments_of("mirror", {"--listen", "127.0.0.1:0"}));
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("corrupt"));
  EXPECT_THAT(refused.err, HasSubstr(log.string() + " at byte "));
  EXPECT_EQ(fs::last_write_time(log), before);
}

// A limit on the size of its files is an I/O error that no amount of room ends.
TEST_F(MirrorDiskFull, AnErrorOfTheDiskEndsItWithTheFileAndTheReason) {
  ::signal(SIGXFSZ, SIG_IGN);  // children inherit it: their write fails in place of them
  given_upstream(holding(1, 100));
  given_mirror();
  wait_until_durable(100);
  Subscriber subscriber = subscribe("?cursor=0");
  const rlimit limit{1 << 20, 1 << 20};
  ASSERT_EQ(::prlimit(process().id(), RLIMIT_FSIZE, &limit, nullptr), 0);
  upstream().append(upstream_frames(101, 5'000));
  Received end;
  const std::vector<Bytes> got = subscriber.read_to_end(&end);
  const Outcome ended = process().wait();
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("File too large"));
  EXPECT_THAT(ended.err, HasSubstr(archive().string()));
  EXPECT_TRUE(std::holds_alternative<TcpEnd>(end)) << describe(end);
  EXPECT_GT(got.size(), 100U);
  // It takes up where it stood: whoever was there gets each frame once.
  given_mirror();
  wait_until_durable(5'000);
  const auto last = static_cast<std::int64_t>(got.size());
  for (std::int64_t seq = 1; seq <= last; ++seq) {
    ASSERT_TRUE(got[static_cast<std::size_t>(seq - 1)] == make_frame(seq)) << seq;
  }
  Subscriber again = subscribe("?cursor=" + std::to_string(last));
  for (std::int64_t seq = last + 1; seq <= 5'000; ++seq) {
    ASSERT_TRUE(again.next_frame() == make_frame(seq)) << seq;
  }
}

}  // namespace
}  // namespace standpipe::test
