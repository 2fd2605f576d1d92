// What becomes of a stream whose disk is full or fails, and of those who are told of its frames.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <string_view>

#include "tests/support/archiver_fixture.h"

namespace standpipe::test {
namespace {

using archiver::StreamState;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using StreamArchiverDisk = ArchiverFixture;

TEST_F(StreamArchiverDisk, AFullDiskIsWaitedForAndNothingIsMissingThen) {
  std::atomic<std::uint64_t> free = 5'000;
  options.free_bytes = [&] { return free.load(); };
  options.free_bytes_min = 1'000;
  given_archive();
  given_upstream(1, 5);
  start();
  wait_for_newest(5);
  free = 999;
  server().append(frames(6, 9));
  wait_for_state(StreamState::disk_full);
  EXPECT_THAT(status().last_error, HasSubstr("999"));
  EXPECT_THAT(fatal(), IsEmpty());
  server().append(frames(10, 12));
  free = 1'000;
  wait_for_newest(12);
  stop();
  EXPECT_EQ(differences(stored(1, 12), read_all()), "");
  EXPECT_THAT(gaps(), IsEmpty());
  EXPECT_THAT(cursors(), ElementsAre(0, 5));
}

TEST_F(StreamArchiverDisk, AWriteThatFailsEndsItOnceAndNothingMoreIsPublished) {
  given_failing_disk();
  given_archive();
  given_paced_upstream(50);
  start();
  server().release(5);
  wait_for_newest(5);
  disk->fail_next(DiskOperation::append, ".log", {});
  server().release_all();
  wait_for_state(StreamState::failed);
  EXPECT_THAT(status().last_error, HasSubstr("IO error: injected"));
  const std::vector<std::string> told = durable();
  EXPECT_THAT(told, ElementsAre("1:1", "1:2", "1:3", "1:4", "1:5"));
  server().wait_for_end(0);
  stop();
  EXPECT_THAT(fatal(), ElementsAre(Errc::io));
  EXPECT_EQ(durable(), told);
  EXPECT_EQ(server().connections().size(), 1U);
  crash();
}

// Upstream is not asked again for what turns out to be stored: so it must be told of here.
TEST_F(StreamArchiverDisk, WhatAFailedCommitStoredAllTheSameIsPublishedAfterTheReopen) {
  given_failing_disk();
  given_archive();
  given_paced_upstream(50);
  start();
  server().release(5);
  wait_for_newest(5);
  disk->fail_next(DiskOperation::append, ".log", {Fault::Kind::no_space, Fault::Effect::whole});
  server().release(3);
  server().wait_for_connections(2);
  // The first of them is stored, with whatever was in its commit.
  EXPECT_GE(server().connection(1).cursor, 6);
  server().release_all();
  wait_for_newest(50);
  stop();
  std::int64_t told = 0;
  for (const std::string& one : durable()) {
    const std::int64_t seq = std::stoll(one.substr(2));
    ASSERT_LE(seq, told + 1) << "nobody was told of seq " << told + 1;
    told = std::max(told, seq);
  }
  EXPECT_EQ(told, 50);
  EXPECT_EQ(differences(stored(1, 50), read_all()), "");
  crash();
}

// Two batches, for the partition rolls between them; the second finds no room. The first is stored:
// who is live is told of it though the disk stays full.
TEST_F(StreamArchiverDisk, TheDurableHalfOfAFailedCommitIsPublishedAtOnce) {
  given_failing_disk();
  options.partition_bytes_max = 8 * make_frame(1).size();
  std::atomic<int> batches = 0;
  std::atomic<bool> is_rolling = false;
  options.on_step = [&](std::string_view step) {
    if (is_rolling && step == "commit" && ++batches == 1) disk->set_capacity(disk->used_bytes());
  };
  given_archive();
  given_paced_upstream(40);
  // All of what follows is in one commit: the writer is held until it has come.
  hold_writer();
  start();
  server().release(1);
  wait_until_held();
  is_rolling = true;
  server().release(27);
  wait_until_queued(2, 28);
  let_writer_go();
  wait_for_state(StreamState::disk_full);
  const auto newest = to_int(archive().newest(stream(), epoch()));
  const std::vector<std::string> told = durable();
  EXPECT_GT(newest, 1);
  EXPECT_LT(newest, 28);
  EXPECT_GE(told.size(), static_cast<std::size_t>(newest));
  disk->set_capacity(std::nullopt);
  server().release_all();
  wait_for_newest(40);
  stop();
  EXPECT_EQ(differences(stored(1, 40), read_all()), "");
  EXPECT_EQ(durable().size(), 40U);
  crash();
}

}  // namespace
}  // namespace standpipe::test
