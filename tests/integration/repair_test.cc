// `standpipe repair` on archives that were damaged in every way that we can think of: what it makes
// opens and verifies, each frame of it is one that went in, byte for byte, each that is missing is
// in the ledger as lost and nothing else is, and the damaged archive stays as it was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "storage/store.h"
#include "tests/support/archive_files.h"
#include "tests/support/archive_fixture.h"
#include "tests/support/archive_text.h"
#include "tests/support/child_process.h"
#include "tests/support/process.h"
#include "tests/support/scale.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

constexpr std::int64_t kLast = 72;
constexpr std::int64_t kSkippedFirst = 31, kSkippedLast = 33;  // by upstream
constexpr std::size_t kFrameBytes = 30'000;  // four are a commit, and a block of a table

class Repair : public ArchiveFixture {
 protected:
  // Three partitions: two sealed ones, and one whose frames are only in the log if it crashes.
  void given_archive_of_three(bool closes) {
    given_archive();
    model.clear();
    for (std::int64_t seq = 1; seq <= kLast; ++seq) {
      if (seq >= kSkippedFirst && seq <= kSkippedLast) continue;
      clock.advance(1500);  // the witness follows each commit
      append({.seq = seq, .blocks_bytes = kFrameBytes});
      if (seq % 4 == 0) commit();
      if (seq == 24 || seq == 48) {
        ASSERT_OK(archive().seal(stream()));
      }
    }
    ASSERT_OK(appender().offer_foreign(Unarchivable::text_message, as_bytes("text"), 1));
    commit();
    closes ? close() : crash();
    intact = read_files(archive_dir());
  }

  void put_back() {
    write_files(archive_dir(), intact);
    write_file(archive_dir() / "archive.lock", {});
    fs::remove_all(repaired());
  }
  void damage(const std::string& file, const std::string& bytes) {
    put_back();
    write_file(archive_dir() / file, bytes);
  }

  fs::path repaired() const { return archive_dir().string() + ".repaired"; }
  Outcome run_repair(std::vector<std::string> more = {}) const {
    std::vector<std::string> all{"repair",     "--data", archive_dir().string(),
                                 "--min-free", "0",      "--quiet"};
    all.insert(all.end(), more.begin(), more.end());
    return run_standpipe(all);
  }
  json report() const {
    const Outcome outcome = run_repair({"--json"});
    EXPECT_EQ(outcome.err, "");
    return json::parse(outcome.out, nullptr, false);
  }

  // What the repaired archive does not hold of the model; what is wrong with it, in words, is
  // `wrong`.
  struct Kept {
    std::set<std::int64_t> lost;
    bool has_lost_gaps = false;
    std::string wrong;
  };
  Kept repair_and_judge();
  std::string judge_repaired(Kept& kept);

  std::vector<std::string> files_with(const std::string& ending) const {
    std::vector<std::string> out;
    for (const auto& [name, bytes] : intact) {
      if (name.ends_with(ending) && !bytes.empty()) out.push_back(name);
    }
    return out;
  }
  // The tables of a family whose name begins so: it stands in their properties, which RocksDB does
  // not compress, after the end of the property's name.
  std::vector<std::string> tables_of(const std::string& family) const {
    std::vector<std::string> out;
    for (const std::string& file : files_with(".sst")) {
      if (intact.at(file).find("name" + family) != std::string::npos) out.push_back(file);
    }
    return out;
  }

  Files intact;
};

// Looks at what was made: opens, verifies, reads, and holds the ledger against the model.
std::string Repair::judge_repaired(Kept& kept) {
  storage::ArchiveOptions read_only = options;
  read_only.access = storage::Access::read_only;
  const auto opened = storage::Archive::open(repaired(), read_only);
  if (!opened) return "does not open: " + opened.error().detail;
  if (const auto verified = (*opened)->verify_files(); !verified) {
    return "does not verify: " + verified.error().detail;
  }
  const auto found = (*opened)->find_stream("repos");
  if (!found) return "the stream is gone";
  const storage::EpochNumber number = found->epochs.back().number;
  FrameMap frames;
  if (const auto read = read_into(frames, **opened, found->id, number); !read) {
    return "cannot be read: " + read.error().detail;
  }
  for (const auto& [seq, bytes] : frames) {
    if (!model.contains(seq)) return "made up seq " + std::to_string(seq);
    if (model.at(seq) != bytes) return "other bytes for seq " + std::to_string(seq);
  }
  for (const auto& [seq, bytes] : model) {
    if (!frames.contains(seq)) kept.lost.insert(seq);
  }
  const auto gaps = (*opened)->gaps(found->id, number, kSeqNone, Seq{kLast + 1}, 1000);
  if (!gaps) return gaps.error().detail;
  std::set<std::int64_t> told, explained;
  for (const storage::Gap& gap : *gaps) {
    for (auto seq = to_int(gap.after) + 1; seq < to_int(gap.before); ++seq) {
      if (frames.contains(seq)) return "a gap over seq " + std::to_string(seq);
      if (gap.reason == storage::GapReason::lost) told.insert(seq);
      explained.insert(seq);
    }
  }
  for (std::int64_t seq = kSkippedFirst; seq <= kSkippedLast; ++seq) {
    if (!explained.contains(seq)) return "seq " + std::to_string(seq) + " is a silent gap";
  }
  for (const std::int64_t seq : told) {
    // What upstream skipped is lost where the ledger itself cannot be read, and nowhere else.
    const bool was_skipped = seq >= kSkippedFirst && seq <= kSkippedLast;
    if (was_skipped) kept.has_lost_gaps = true;
    if (!model.contains(seq) && !was_skipped) {
      return "seq " + std::to_string(seq) + " never was, and is called lost";
    }
  }
  for (const std::int64_t seq : kept.lost) {
    if (!told.contains(seq)) return "seq " + std::to_string(seq) + " is missing without a word";
  }
  return {};
}

Repair::Kept Repair::repair_and_judge() {
  Kept kept;
  const Files before = read_files(archive_dir());
  const Outcome said = run_repair();
  if (said.status != 1) kept.wrong = "status " + std::to_string(said.status) + ": " + said.err;
  const Outcome made = run_repair({"--accept-loss"});
  if (made.status != 0) {
    kept.wrong = "status " + std::to_string(made.status) + ": " + made.err;
    return kept;
  }
  if (const std::string what = overwritten(before, archive_dir()); !what.empty()) {
    kept.wrong = "the damaged archive: " + what;
  }
  if (read_files(archive_dir()).size() != before.size()) kept.wrong = "files were added to it";
  if (kept.wrong.empty()) kept.wrong = judge_repaired(kept);
  return kept;
}

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

// What is made is an archive like any other: it takes what follows.
TEST_F(Repair, ARepairedArchiveGoesOn) {
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

TEST_F(Repair, AHeldArchiveIsRefusedByName) {
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

TEST_F(Repair, TooLittleRoomIsRefusedWithItsFigures) {
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

TEST_F(Repair, BadInputIsRefused) {
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
  EXPECT_EQ(read_file(repaired() / "precious"), "bytes");
  const Outcome elsewhere = run_repair({"--accept-loss", "--into", (dir / "there").string() + "/"});
  EXPECT_EQ(elsewhere.status, 0) << elsewhere.err;
  EXPECT_TRUE(fs::exists(dir / "there" / "db" / "CURRENT"));
}

// Killed once a file of this ending is there: nothing has the new archive's name, the damaged one
// is as it was, and the next run begins anew.
TEST_F(Repair, KilledAtAnyPointItIsSimplyRunAgain) {
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
