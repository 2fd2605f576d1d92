// The archive as a whole: streams, epochs, partitions, re-opening, refusing.

#include "storage/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/archive_fixture.h"

namespace standpipe::test {
namespace {

using storage::Archive;
using storage::PartitionInfo;
using storage::PartitionState;
using testing::HasSubstr;

class ArchiveTest : public ArchiveFixture {
 protected:
  std::vector<PartitionInfo> sealed() {
    std::vector<PartitionInfo> found;
    for (const PartitionInfo& partition : archive().partitions()) {
      if (partition.state == PartitionState::sealed) found.push_back(partition);
    }
    return found;
  }
};

TEST_F(ArchiveTest, GivesBackWhatWasCommitted) {
  given_archive();
  given_frames(100, 150);
  expect_model();
}

TEST_F(ArchiveTest, HoldsEverythingAfterACleanStop) {
  given_archive();
  given_frames(1, 40);
  close();
  reopen();
  expect_model();
}

TEST_F(ArchiveTest, HoldsEverythingAfterACrash) {
  given_archive();
  given_frames(1, 40);
  crash();
  reopen();
  expect_model();
  given_frames(41, 60);
  crash();
  reopen();
  expect_model();
}

TEST_F(ArchiveTest, ReadsAcrossPartitionsThatRollBySize) {
  options.partition_bytes_max = 2000;
  given_archive();
  given_frames(1, 100);
  EXPECT_GT(sealed().size(), 3U);
  expect_model();
  crash();
  reopen();
  expect_model();
}

TEST_F(ArchiveTest, RollsWithinOneCommit) {
  options.partition_bytes_max = 2000;
  given_archive();
  given_frames(1, 100, /*frames_per_commit=*/100);
  EXPECT_GT(sealed().size(), 3U);
  expect_model();
}

TEST_F(ArchiveTest, DropsTheOldestPartitionAndSaysSo) {
  options.partition_bytes_max = 2000;
  given_archive();
  given_frames(1, 60);
  const Seq last = sealed().front().last;
  drop_oldest();
  expect_model();
  const auto gaps = archive().gaps(stream(), epoch(), kSeqNone, kSeqMax, 10);
  ASSERT_OK(gaps);
  ASSERT_EQ(gaps->size(), 1U);
  EXPECT_EQ(gaps->front().after, kSeqNone);
  EXPECT_EQ(gaps->front().before, next(last));
  EXPECT_EQ(gaps->front().reason, storage::GapReason::retention);
  drop_oldest();
  crash();
  reopen();
  expect_model();
}

// RocksDB opens the directory for each column family, and lets go of it when nothing holds the
// family any more: not a reader, not what a thread keeps for the next look.
TEST_F(ArchiveTest, DroppedPartitionsLeaveNoDescriptors) {
  options.partition_bytes_max = 2000;
  given_archive();
  const auto directories = [&] {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const auto target = std::filesystem::read_symlink(entry.path(), gone);
      if (!gone && target.filename() == "db") ++count;
    }
    return count;
  };
  std::int64_t newest = 0;
  std::size_t before = 0;
  for (int round = 0; round < 5; ++round) {
    given_frames(newest + 1, newest + 40);
    newest += 40;
    expect_model();
    while (sealed().size() > 2) drop_oldest();
    if (round == 1) before = directories();
  }
  EXPECT_LE(directories(), before);
}

TEST_F(ArchiveTest, RefusesToDropAPartitionThatIsNotTheOldest) {
  options.partition_bytes_max = 2000;
  given_archive();
  given_frames(1, 60);
  const auto dropped = archive().drop_partition(sealed().at(1).id);
  ASSERT_FALSE(dropped);
  EXPECT_EQ(dropped.error().code, Errc::invalid);
  expect_model();
}

TEST_F(ArchiveTest, ReadsTheSameFromARewrittenPartition) {
  given_archive();
  given_frames(1, 60, /*frames_per_commit=*/3);
  ASSERT_OK(archive().seal(stream()));
  const PartitionInfo before = sealed().front();
  const auto rewritten = archive().rewrite_partition(before.id);
  ASSERT_OK(rewritten);
  expect_model();
  ASSERT_EQ(sealed().size(), 1U);
  const PartitionInfo after = sealed().front();
  EXPECT_EQ(after.id, *rewritten);
  EXPECT_EQ(after.digest, before.digest);
  EXPECT_LT(after.groups, before.groups);
  EXPECT_OK(archive().verify_files());
  given_frames(61, 80);
  crash();
  reopen();
  expect_model();
}

TEST_F(ArchiveTest, BeginsAnEpochWithItsOwnSeqs) {
  given_archive();
  given_frames(1000, 1010);
  const auto begun = archive().begin_epoch(stream(), "upstream began anew");
  ASSERT_OK(begun);
  EXPECT_EQ(begun->number, storage::EpochNumber{2});
  auto appender = archive().appender(stream());
  ASSERT_OK(appender);
  const Bytes frame = make_frame({.seq = 5});
  ASSERT_OK(appender->offer(frame, clock.now_ms()));
  ASSERT_OK(appender->commit());
  auto old_reader = archive().reader(stream(), storage::EpochNumber{1});
  ASSERT_OK(old_reader);
  const auto old_frame = old_reader->find(Seq{1005});
  ASSERT_OK(old_frame);
  EXPECT_TRUE(old_frame->has_value());
  auto new_reader = archive().reader(stream(), storage::EpochNumber{2});
  ASSERT_OK(new_reader);
  const auto new_frame = new_reader->find(Seq{5});
  ASSERT_OK(new_frame);
  ASSERT_TRUE(new_frame->has_value());
  EXPECT_TRUE(equal((*new_frame)->run->frame_of((*new_frame)->first_frame), frame));
}

TEST_F(ArchiveTest, AnAppenderEndsWithItsEpoch) {
  given_archive();
  append(1);
  ASSERT_OK(archive().begin_epoch(stream(), "test"));
  const auto report = appender().commit();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, Errc::closed);
}

TEST_F(ArchiveTest, HasOneAppenderPerStream) {
  given_archive();
  append(1);
  const auto second = archive().appender(stream());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::busy);
}

TEST_F(ArchiveTest, RefusesASecondWriterAndAReaderBesideIt) {
  given_archive();
  const auto writer = Archive::open(archive_dir(), options);
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code, Errc::busy);
  EXPECT_THAT(writer.error().detail, HasSubstr("held for writing by process"));
  storage::ArchiveOptions read_only = options;
  read_only.access = storage::Access::read_only;
  const auto reader = Archive::open(archive_dir(), read_only);
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code, Errc::busy);
}

TEST_F(ArchiveTest, ManyMayReadAndNoneOfThemWrites) {
  given_archive();
  given_frames(1, 20);
  crash();
  storage::ArchiveOptions read_only = options;
  read_only.access = storage::Access::read_only;
  const auto one = Archive::open(archive_dir(), read_only);
  ASSERT_OK(one);
  const auto two = Archive::open(archive_dir(), read_only);
  ASSERT_OK(two);
  auto reader = (*two)->reader(stream(), epoch());
  ASSERT_OK(reader);
  const auto frame = reader->find(Seq{20});
  ASSERT_OK(frame);
  EXPECT_TRUE(frame->has_value());
  const auto appender = (*two)->appender(stream());
  ASSERT_FALSE(appender);
  EXPECT_EQ(appender.error().code, Errc::closed);
  const auto writer = Archive::open(archive_dir(), options);
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code, Errc::busy);
}

TEST_F(ArchiveTest, ReadingChangesNoFile) {
  given_archive();
  given_frames(1, 20);
  crash();
  const auto files = [this] {
    std::map<std::string, std::string> contents;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(archive_dir())) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      contents[entry.path()] = std::string(std::istreambuf_iterator<char>(in), {});
    }
    return contents;
  };
  const auto before = files();
  storage::ArchiveOptions read_only = options;
  read_only.access = storage::Access::read_only;
  {
    const auto archive = Archive::open(archive_dir(), read_only);
    ASSERT_OK(archive);
    const auto frames = test::read_all(**archive, stream(), epoch());
    ASSERT_OK(frames);
    EXPECT_EQ(frames->size(), 20U);
  }
  EXPECT_TRUE(files() == before);
}

TEST_F(ArchiveTest, FindsNoArchiveWhereThereIsNone) {
  storage::ArchiveOptions read_only = options;
  read_only.access = storage::Access::read_only;
  const auto archive = Archive::open(dir.path() / "nothing", read_only);
  ASSERT_FALSE(archive);
  EXPECT_EQ(archive.error().code, Errc::not_found);
}

TEST_F(ArchiveTest, KeepsAStreamsKindAndUpstream) {
  given_archive();
  storage::StreamSpec spec{"other", storage::StreamKind::repos, "wss://a.example", {}};
  ASSERT_OK(archive().ensure_stream(spec));
  spec.url = "wss://b.example";
  const auto moved = archive().ensure_stream(spec);
  ASSERT_FALSE(moved);
  EXPECT_THAT(moved.error().detail, HasSubstr("wss://a.example"));
  ASSERT_OK(archive().ensure_stream(spec, /*change_upstream=*/true));
  EXPECT_EQ(archive().find_stream("other")->spec.url, "wss://b.example");
  spec.density = storage::Density::sparse;
  ASSERT_OK(archive().ensure_stream(spec));
  spec.density = storage::Density::automatic;  // asks nothing
  ASSERT_OK(archive().ensure_stream(spec));
  EXPECT_EQ(archive().find_stream("other")->spec.density, storage::Density::sparse);
  spec.kind = storage::StreamKind::labels;
  EXPECT_FALSE(archive().ensure_stream(spec));
  spec.name = "../etc";
  const auto bad_name = archive().ensure_stream(spec);
  ASSERT_FALSE(bad_name);
  EXPECT_EQ(bad_name.error().code, Errc::invalid);
}

TEST_F(ArchiveTest, QuietStreamsShareAFamilyAndKeepApart) {
  options.partition_bytes_max = 2000;
  given_archive();
  for (const char* name : {"labeler-a", "labeler-b"}) {
    const auto info = archive().ensure_stream({name, storage::StreamKind::labels, "", {}});
    ASSERT_OK(info);
    auto appender = archive().appender(info->id);
    ASSERT_OK(appender);
    for (std::int64_t seq = 1; seq <= 40; ++seq) {
      ASSERT_OK(appender->offer(make_frame({.seq = seq}), clock.now_ms()));
      ASSERT_OK(appender->commit());
    }
  }
  const auto labeler = archive().find_stream("labeler-a");
  std::vector<PartitionInfo> own;
  for (const PartitionInfo& partition : archive().partitions()) {
    if (partition.stream != labeler->id) continue;
    EXPECT_EQ(partition.container, "frames/shared");
    own.push_back(partition);
  }
  ASSERT_GT(own.size(), 2U);
  ASSERT_OK(archive().drop_partition(own.front().id));
  ASSERT_OK(archive().rewrite_partition(own.at(1).id));
  const auto count = [&](std::string_view name) {
    auto reader = archive().reader(archive().find_stream(name)->id, storage::EpochNumber{1});
    std::size_t frames = 0;
    Seq after = archive().find_stream(name)->epochs.front().window_floor;
    for (;;) {
      const auto step = reader->read_after(after);
      EXPECT_OK(step);
      const auto* slice = std::get_if<storage::RunSlice>(&*step);
      if (slice == nullptr) return frames;
      frames += slice->run->frames.size() - slice->first_frame;
      after = slice->run->last();
    }
  };
  EXPECT_EQ(count("labeler-a"), 40 - own.front().frames);
  EXPECT_EQ(count("labeler-b"), 40U);
}

}  // namespace
}  // namespace standpipe::test
