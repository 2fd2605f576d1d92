// `standpipe repair` on archives that were damaged in every way that we can think of: what it makes
// opens and verifies, each frame of it is one that went in, byte for byte, each that is missing is
// in the ledger as lost and nothing else is, and the damaged archive stays as it was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "tests/support/repair_fixture.h"
#include "tests/support/scale.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

using Repair = RepairFixture;

TEST_F(Repair, AnArchiveThatIsWholeIsLeftAlone) {
  for (const bool closes : {true, false}) {
    fs::remove_all(archive_dir());
    given_archive_of_three(closes);
    const Files before = read_files(archive_dir());
    const Outcome said = run_standpipe({"repair", "--data", archive_dir().string()});
    EXPECT_EQ(said.status, 0) << said.out << said.err;
    EXPECT_THAT(said.out, AllOf(HasSubstr("is whole"), HasSubstr("69 frames")));
    const Outcome made = run_repair({"--accept-loss"});
    EXPECT_EQ(made.status, 0) << made.err;
    EXPECT_FALSE(fs::exists(repaired()));
    EXPECT_EQ(overwritten(before, archive_dir()), "");
    EXPECT_EQ(read_files(archive_dir()).size(), before.size());
  }
}

// A block is what a checksum covers: nothing around it goes with it.
TEST_F(Repair, AFlippedByteInATableCostsItsBlockAlone) {
  given_archive_of_three(true);
  for (const std::string& table : tables_of("frames/repos/0000000000000002")) {
    std::string bytes = intact.at(table);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    damage(table, bytes);
    const json said = report();
    ASSERT_EQ(said["whole"], false);
    EXPECT_THAT(said["damages"].dump(), HasSubstr(fs::path(table).filename().string()));
    EXPECT_THAT(said["damages"].dump(), HasSubstr("frames/repos/0000000000000002"));
    const Kept kept = repair_and_judge();
    EXPECT_EQ(kept.wrong, "");
    EXPECT_FALSE(kept.has_lost_gaps);
    EXPECT_GE(kept.lost.size(), 1U);
    EXPECT_LE(kept.lost.size(), 4U);
    // One gap, whose ends are the frames on both sides that are whole.
    ASSERT_EQ(said["lost"].size(), 1U) << said.dump();
    EXPECT_EQ(said["lost"][0]["after"], *kept.lost.begin() - 1);
    EXPECT_EQ(said["lost"][0]["before"], *kept.lost.rbegin() + 1);
    EXPECT_EQ(said["lost"][0]["stream"], "repos");
    EXPECT_EQ(said["lost"][0]["epoch"], 1);
  }
}

TEST_F(Repair, AFlippedByteAnywhereIsRepaired) {
  for (const bool closes : {true, false}) {
    fs::remove_all(archive_dir());
    given_archive_of_three(closes);
    std::mt19937_64 random(closes ? 1 : 2);
    for (const auto& [file, bytes] : intact) {
      if (bytes.empty() || file.starts_with("db/OPTIONS") || file == "db/IDENTITY") continue;
      std::size_t lost_most = 0;
      int repairs = 0;
      for (std::size_t i = 0; i < scaled(4); ++i) {
        const std::size_t at = random() % bytes.size();
        std::string flipped = bytes;
        flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
        damage(file, flipped);
        if (run_repair().status == 0) continue;  // a slot of the witness, of two: a start says so
        const Kept kept = repair_and_judge();
        EXPECT_EQ(kept.wrong, "") << file << " byte " << at;
        lost_most = std::max(lost_most, kept.lost.size());
        ++repairs;
      }
      std::printf("%-20s %7zu bytes: %d repairs, at most %zu frames lost\n", file.c_str(),
                  bytes.size(), repairs, lost_most);
    }
  }
}

TEST_F(Repair, MissingFilesAreRepaired) {
  given_archive_of_three(false);
  for (const auto& [file, bytes] : intact) {
    if (bytes.empty() || file.starts_with("db/OPTIONS") || file == "db/IDENTITY" ||
        file == "witness") {
      continue;
    }
    put_back();
    fs::remove(archive_dir() / file);
    const Kept kept = repair_and_judge();
    EXPECT_EQ(kept.wrong, "") << file;
    std::printf("without %-20s %zu frames lost\n", file.c_str(), kept.lost.size());
  }
}

// Its index is gone with its end: the blocks that are left are found by themselves.
TEST_F(Repair, ATableThatIsCutShortKeepsWhatIsInFrontOfTheCut) {
  given_archive_of_three(true);
  const std::string table = tables_of("frames/repos/0000000000000002").front();
  const std::string& bytes = intact.at(table);
  const auto frames = std::size_t{21};
  for (const std::size_t cut : {std::size_t{1}, bytes.size() / 4, bytes.size() / 2}) {
    damage(table, bytes.substr(0, bytes.size() - cut));
    const Kept kept = repair_and_judge();
    EXPECT_EQ(kept.wrong, "") << cut;
    const std::size_t share = frames * cut / bytes.size();
    EXPECT_LE(kept.lost.size(), cut == 1 ? 0 : share + 5) << cut;  // and the block that is cut
    EXPECT_FALSE(kept.has_lost_gaps);
  }
  // A hole in the middle, too: what follows it is found again.
  std::string holed = bytes.substr(0, bytes.size() - 1);
  holed[bytes.size() / 2] = static_cast<char>(holed[bytes.size() / 2] ^ 1);
  damage(table, holed);
  const Kept kept = repair_and_judge();
  EXPECT_EQ(kept.wrong, "");
  EXPECT_GE(kept.lost.size(), 1U);
  EXPECT_LE(kept.lost.size(), 5U);
}

TEST_F(Repair, TruncatedFilesAreRepaired) {
  given_archive_of_three(false);
  for (const auto& [file, bytes] : intact) {
    if (bytes.size() < 2 || file.starts_with("db/OPTIONS") || file == "db/IDENTITY" ||
        file == "witness") {
      continue;  // half of it is a slot of two
    }
    damage(file, bytes.substr(0, bytes.size() / 2));
    const Kept kept = repair_and_judge();
    EXPECT_EQ(kept.wrong, "") << file;
    std::printf("half of %-20s %zu frames lost\n", file.c_str(), kept.lost.size());
  }
}

// RocksDB would open it as it once was, without the tables that came later, and delete them.
TEST_F(Repair, AManifestThatIsCutAnywhereCostsNoFrame) {
  given_archive_of_three(true);
  std::string manifest;
  for (const auto& [file, bytes] : intact) {
    if (file.starts_with("db/MANIFEST")) manifest = file;
  }
  ASSERT_FALSE(manifest.empty());
  const std::size_t size = intact.at(manifest).size();
  for (std::size_t cut = size / 16; cut < size; cut += size / scaled(16)) {
    damage(manifest, intact.at(manifest).substr(0, cut));
    const Kept kept = repair_and_judge();
    EXPECT_EQ(kept.wrong, "") << cut << " of " << size;
    EXPECT_TRUE(kept.lost.empty()) << cut << " of " << size;
  }
}

// All that `meta` held is gone: what the families say of themselves is enough.
TEST_F(Repair, TheDirectoryIsRebuiltFromTheFamilies) {
  given_archive_of_three(true);
  put_back();
  const std::vector<std::string> tables = tables_of("meta");
  ASSERT_FALSE(tables.empty());
  for (const std::string& table : tables) fs::remove(archive_dir() / table);
  fs::remove(archive_dir() / "witness");
  const Kept kept = repair_and_judge();
  EXPECT_EQ(kept.wrong, "");
  EXPECT_TRUE(kept.lost.empty());
  EXPECT_TRUE(kept.has_lost_gaps);  // why they were skipped, nobody knows any more
  storage::ArchiveOptions read_only = options;
  read_only.access = storage::Access::read_only;
  const auto opened = storage::Archive::open(repaired(), read_only);
  ASSERT_OK(opened);
  EXPECT_EQ((*opened)->partitions().size(), 3U);
  EXPECT_EQ((*opened)->find_stream("repos")->epochs.back().newest, Seq{kLast});
}

TEST_F(Repair, AFlippedByteInARowOfMetaCostsNoFrame) {
  given_archive_of_three(true);
  const std::vector<std::string> tables = tables_of("meta");
  ASSERT_FALSE(tables.empty());
  for (const std::string& table : tables) {
    for (std::size_t at = 0; at < 400; at += 400 / scaled(6)) {  // its rows, which come first
      std::string bytes = intact.at(table);
      bytes[at] = static_cast<char>(bytes[at] ^ 4);
      damage(table, bytes);
      const Kept kept = repair_and_judge();
      EXPECT_EQ(kept.wrong, "") << table << " byte " << at;
      EXPECT_TRUE(kept.lost.empty()) << table << " byte " << at;
    }
  }
}

// Who has an upstream need not call the end lost: it is asked for it again.
TEST_F(Repair, TheEndOfAStreamWithAnUpstreamIsNoGap) {
  given_archive();
  storage::StreamSpec spec;
  spec.name = "repos";
  spec.url = "wss://relay.example";
  ASSERT_OK(archive().ensure_stream(spec, /*change_upstream=*/true));
  given_archive_of_three(false);
  put_back();
  for (const std::string& log : files_with(".log")) fs::remove(archive_dir() / log);
  const json said = report();
  ASSERT_EQ(said["lost"].size(), 1U) << said.dump();
  EXPECT_EQ(said["lost"][0]["after"], 48);
  EXPECT_EQ(said["lost"][0]["before"], kLast + 1);
  EXPECT_EQ(said["lost"][0]["asked_again"], true);
  ASSERT_EQ(run_repair({"--accept-loss"}).status, 0);
  storage::ArchiveOptions read_only = options;
  read_only.access = storage::Access::read_only;
  const auto opened = storage::Archive::open(repaired(), read_only);
  ASSERT_OK(opened);
  const storage::EpochInfo epoch = (*opened)->find_stream("repos")->epochs.back();
  EXPECT_EQ(epoch.newest, Seq{48});
  EXPECT_EQ(epoch.floor, Seq{48});  // where a mirror resumes
  EXPECT_EQ(epoch.gaps.of(storage::GapReason::lost).gaps, 0U);
}

// -- Streams that skip, and share a family --------------------------------------------------------

// Every tenth seq, and nobody says why: only the hole around what cannot be read is a loss.
TEST_F(Repair, OfASparseStreamOnlyWhatCannotBeReadIsLost) {
  options.partition_bytes_max = 900'000;
  {
    const auto opened = storage::Archive::open(archive_dir(), options);
    ASSERT_OK(opened);
    for (const std::string name : {"labels-a", "labels-b"}) {
      storage::StreamSpec spec;
      spec.name = name;
      spec.kind = storage::StreamKind::labels;
      const auto made = (*opened)->ensure_stream(spec);
      ASSERT_OK(made);
      auto taken = (*opened)->appender(made->id);
      ASSERT_OK(taken);
      storage::Appender appending = std::move(taken).value();
      for (std::int64_t seq = 10; seq <= 600; seq += 10) {
        const Bytes frame = make_frame({.seq = seq, .blocks_bytes = kFrameBytes});
        ASSERT_OK(appending.offer(frame, clock.now_ms()));
        model[seq] = std::string(as_text(frame));
        if (seq % 40 == 0) {
          ASSERT_OK(appending.commit());
        }
      }
      ASSERT_OK(appending.commit());
    }
    ASSERT_OK((*opened)->close());
  }
  intact = read_files(archive_dir());
  const std::vector<std::string> tables = tables_of("frames/shared");
  ASSERT_FALSE(tables.empty());
  for (const std::string& table : tables) {
    std::string bytes = intact.at(table);
    bytes[bytes.size() / 3] = static_cast<char>(bytes[bytes.size() / 3] ^ 1);
    damage(table, bytes);
    const json said = report();
    ASSERT_EQ(said["lost"].size(), 1U) << said.dump();
    const std::int64_t after = said["lost"][0]["after"], before = said["lost"][0]["before"];
    EXPECT_GE(before - after, 20);  // one frame at least
    EXPECT_LE(before - after, 50);  // a commit
    ASSERT_EQ(run_repair({"--accept-loss"}).status, 0);
    storage::ArchiveOptions read_only = options;
    read_only.access = storage::Access::read_only;
    const auto opened = storage::Archive::open(repaired(), read_only);
    ASSERT_OK(opened);
    for (const storage::StreamInfo& stream : (*opened)->streams()) {
      FrameMap expected = model;
      if (stream.spec.name == said["lost"][0]["stream"]) {
        std::erase_if(expected, [&](const auto& frame) {
          return frame.first > after && frame.first < before;
        });
      }
      const auto frames = test::read_all(**opened, stream.id, storage::EpochNumber{1});
      ASSERT_OK(frames);
      EXPECT_EQ(differences(expected, *frames), "") << stream.spec.name;
    }
  }
}

}  // namespace
}  // namespace standpipe::test
