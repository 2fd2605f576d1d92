// Backups of a mirror that runs and of archives that nobody holds, and archives made of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/mirror_fixture.h"
#include "tests/support/process.h"
#include "tests/support/scale.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

// Several partitions, so that tables are sealed while others are written.
const std::vector<std::string> kSmallPartitions{"--partition-bytes", "200KiB"};

class MirrorBackup : public MirrorFixture {
 protected:
  fs::path backup() const { return dir / "backup"; }
  fs::path current() const { return backup() / "current"; }

  // Expects success, and silence on stderr.
  static json run_json(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const Outcome outcome = run_standpipe(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json::parse(outcome.out, nullptr, false);
  }
  json back_up() const { return back_up_to(backup()); }
  json back_up_to(const fs::path& where) const {
    return run_json(
        {"backup", "--data", archive().string(), "--output", where.string(), "--quiet"});
  }
  static Outcome restore(const fs::path& from, const fs::path& to) {
    return run_standpipe({"restore", "--from", from.string(), "--data", to.string(), "--quiet"});
  }
  static std::int64_t newest_in(const fs::path& data) {
    return run_json({"inspect", "--data", data.string()})["streams"][0]["epochs"][0]["newest"];
  }
  // That every stored byte of the copy is as it was written.
  static void expect_verifies(const fs::path& data) {
    const Outcome verified = run_standpipe({"inspect", "--data", data.string(), "--check"});
    EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  }
  // Until a backup that runs has begun a copy, or has come to its end.
  void wait_for_copying() const {
    const fs::path was = fs::read_symlink(current());
    const std::size_t left = count_in(backup(), ".partial");
    const Deadline deadline = deadline_from_now();
    while (fs::read_symlink(current()) == was && count_in(backup(), ".partial") == left &&
           std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
  }
  // The original is gone; what the backup has stands in its place.
  void given_restored() {
    fs::remove_all(archive());
    const Outcome restored = restore(backup(), archive());
    ASSERT_EQ(restored.status, 0) << restored.err;
  }
  // A mirror on the archive, which goes on with the upstream: it has exactly 1 .. `last`, and no
  // gap.
  void expect_whole(std::int64_t last) {
    given_mirror(kSmallPartitions);
    wait_until_durable(last);
    Subscriber all = subscribe("?cursor=0");
    for (std::int64_t seq = 1; seq <= last; ++seq) {
      ASSERT_TRUE(all.next_frame() == make_frame(seq)) << seq;
    }
    EXPECT_TRUE(all.read_until_pong().empty());
    EXPECT_EQ(json::parse(http_get(port(), "/stream/repos/gaps").body)["gaps"], json::array());
    stop();
  }
  static std::size_t count_in(const fs::path& where, const std::string& ending) {
    std::size_t count = 0;
    for (const fs::directory_entry& entry : fs::directory_iterator(where)) {
      if (entry.path().filename().string().ends_with(ending)) ++count;
    }
    return count;
  }
  static bool are_on_one_file_system(const fs::path& a, const fs::path& b) {
    struct stat of_a {
    }, of_b{};
    EXPECT_EQ(::stat(a.c_str(), &of_a), 0);
    EXPECT_EQ(::stat(b.c_str(), &of_b), 0);
    return of_a.st_dev == of_b.st_dev;
  }
};

TEST_F(MirrorBackup, OfAMirrorThatIngestsAndServesGoesOnFromUpstreamByItself) {
  given_upstream(holding(1, 2'000));
  given_mirror(kSmallPartitions);
  Subscriber subscriber = subscribe("?cursor=0");
  wait_until_durable(2'000);
  upstream().append(upstream_frames(2'001, 6'000));  // comes in while the backup is made
  const json first = back_up();
  EXPECT_EQ(first["tables"], first["tables_new"]);
  EXPECT_GE(newest_in(current()), 2'000);  // what was durable before it was asked for
  expect_verifies(current());
  for (std::int64_t seq = 1; seq <= 6'000; ++seq) {
    ASSERT_TRUE(subscriber.next_frame() == make_frame(seq)) << seq;
  }

  wait_until_durable(6'000);
  upstream().append(upstream_frames(6'001, 7'000));
  wait_until_durable(7'000);
  const json second = back_up();
  EXPECT_LT(second["tables_new"], second["tables"]);
  EXPECT_GE(newest_in(current()), 7'000);
  expect_verifies(current());
  EXPECT_EQ(count_in(current() / "db", ".sst"), second["tables"].get<std::size_t>());
  EXPECT_EQ(fs::read_symlink(current()), "0000000002");
  EXPECT_FALSE(fs::exists(backup() / "0000000001"));
  EXPECT_FALSE(fs::exists(archive() / "checkpoint"));
  kill();

  given_restored();
  upstream().append(upstream_frames(7'001, 7'500));
  expect_whole(7'500);
  EXPECT_GE(newest_in(current()), 7'000);  // the backup has not changed with it
  EXPECT_LE(newest_in(current()), 7'000);
}

TEST_F(MirrorBackup, OfAnArchiveThatNobodyHoldsAfterACleanEndAndAfterACrash) {
  given_upstream(holding(1, 3'000));
  given_mirror(kSmallPartitions);
  wait_until_durable(1'000);
  kill();
  const std::int64_t stored = newest_in(archive());
  back_up();  // much of it in the log alone
  EXPECT_EQ(newest_in(current()), stored);
  expect_verifies(current());
  given_mirror(kSmallPartitions);
  wait_until_durable(3'000);
  stop();
  back_up();
  EXPECT_EQ(newest_in(current()), 3'000);
  given_restored();
  expect_whole(3'000);
}

TEST_F(MirrorBackup, OnAnotherFileSystemWhatIsNewIsCopiedAndTheRestIsNot) {
  given_upstream(holding(1, 2'000));
  given_mirror(kSmallPartitions);
  wait_until_durable(2'000);
  stop();
  const TempDir elsewhere;
  const fs::path there = elsewhere / "backup";
  const json first = back_up_to(there);
  const bool is_one = are_on_one_file_system(archive(), there);
  EXPECT_EQ(first["bytes_copied"] == first["bytes"], !is_one);
  const json again = back_up_to(there);
  EXPECT_EQ(again["tables_new"], 0);
  EXPECT_LT(again["bytes_copied"], 250'000);  // what is not in tables
  EXPECT_GT(again["bytes"], 900'000);
  fs::remove_all(archive());
  ASSERT_EQ(restore(there, archive()).status, 0);
  expect_whole(2'000);
}

// Whenever it is broken off, the copy before it is whole, and the next one succeeds.
TEST_F(MirrorBackup, ABackupThatIsKilledLeavesTheOlderOne) {
  std::mt19937_64 random(20260729);
  given_upstream(holding(1, 1'000));
  given_mirror(kSmallPartitions);
  wait_until_durable(1'000);
  const auto begun = std::chrono::steady_clock::now();
  back_up();
  const auto whole_us = std::chrono::duration_cast<std::chrono::microseconds>(
                            std::chrono::steady_clock::now() - begun)
                            .count();
  std::int64_t last = 1'000;
  std::int64_t before = newest_in(current());
  const std::size_t rounds = scaled(10);
  for (std::size_t round = 0; round < rounds; ++round) {
    upstream().append(upstream_frames(last + 1, last + 200));
    last += 200;
    wait_until_durable(last);
    Process broken({"backup", "--data", archive().string(), "--output", backup().string()});
    auto within_us = static_cast<std::uint64_t>(whole_us);
    if (round % 2 == 0) {  // while it copies, which takes a few milliseconds of it
      wait_for_copying();
      within_us = 5'000;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % within_us));
    broken.signal(SIGKILL);
    broken.wait();
    const std::int64_t now = newest_in(current());
    EXPECT_GE(now, before);
    expect_verifies(current());
    before = now;
  }
  back_up();
  EXPECT_EQ(newest_in(current()), last);
  EXPECT_EQ(count_in(backup(), ".partial"), 0U);
  EXPECT_FALSE(fs::exists(archive() / "checkpoint"));
  kill();
  given_restored();
  expect_whole(last);
}

TEST_F(MirrorBackup, WhatAnInterruptedOneLeftIsRemovedByTheNext) {
  given_imported({make_frame(1), make_frame(2)});
  back_up();
  fs::create_directories(backup() / "0000000007.partial" / "db");
  std::ofstream(backup() / "0000000007.partial" / "db" / "000012.sst") << "half";
  fs::create_directories(backup() / "0000000005" / "db");  // whole, but never made current
  fs::create_symlink("0000000005", backup() / "current.partial");
  EXPECT_EQ(newest_in(current()), 2);
  back_up();
  EXPECT_EQ(newest_in(current()), 2);
  EXPECT_EQ(count_in(backup(), ".partial"), 0U);
  EXPECT_FALSE(fs::exists(backup() / "0000000005"));
  EXPECT_EQ(fs::read_symlink(current()), "0000000008");
}

TEST_F(MirrorBackup, WhatAnInterruptedOneLeftIsRemovedByTheNextStartOfTheMirror) {
  given_upstream(holding(1, 100));
  given_mirror();
  wait_until_durable(100);
  stop();
  fs::create_directories(archive() / "checkpoint" / "db");
  fs::create_directories(archive() / "checkpoint.partial" / "db");
  given_mirror();
  EXPECT_FALSE(fs::exists(archive() / "checkpoint"));
  EXPECT_FALSE(fs::exists(archive() / "checkpoint.partial"));
  stop();
}

TEST_F(MirrorBackup, ATableThatIsDamagedIsNotRestoredAndIsNamed) {
  given_upstream(holding(1, 2'000));
  given_mirror(kSmallPartitions);
  wait_until_durable(2'000);
  stop();
  back_up();
  fs::path largest;
  for (const fs::directory_entry& entry : fs::directory_iterator(current() / "db")) {
    if (entry.path().extension() != ".sst") continue;
    if (largest.empty() || entry.file_size() > fs::file_size(largest)) largest = entry.path();
  }
  const auto flip = [&largest] {
    std::fstream file(largest, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(20'000);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(20'000);
    file.put(byte);
  };
  flip();
  fs::remove_all(archive());
  const Outcome refused = restore(backup(), archive());
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("db/" + largest.filename().string()));
  EXPECT_THAT(refused.err, HasSubstr("checksum"));
  EXPECT_FALSE(fs::exists(archive() / "db"));
  flip();
  ASSERT_EQ(restore(backup(), archive()).status, 0);  // what was left does not stand in its way
  expect_whole(2'000);
}

TEST_F(MirrorBackup, WhatCannotBeMeantIsRefusedAndNothingIsTouched) {
  const auto expect_refusal = [](const Outcome& outcome, const std::string& text) {
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr(text));
  };
  const auto backing_up = [this](const fs::path& where) {
    return run_standpipe({"backup", "--data", archive().string(), "--output", where.string()});
  };
  expect_refusal(backing_up(backup()), "no archive in " + archive().string());
  given_imported({make_frame(1), make_frame(2)});
  fs::create_directory(dir / "photos");
  std::ofstream(dir / "photos" / "cat.jpg") << "meow";
  expect_refusal(backing_up(dir / "photos"),
                 "holds cat.jpg: a backup wants a directory of its own");
  back_up();
  expect_refusal(restore(backup(), dir / "photos"), "is not empty: it holds cat.jpg");
  expect_refusal(restore(backup(), archive()), "is not empty");
  expect_refusal(restore(dir / "photos", dir / "new"), "no archive in");
  fs::rename(archive(), dir / "first");
  given_imported({make_frame(1)});
  expect_refusal(backing_up(backup()), "is a backup of another archive");
  EXPECT_EQ(newest_in(current()), 2);
}

}  // namespace
}  // namespace standpipe::test
