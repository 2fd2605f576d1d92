// The disk that the crash tests trust: what it keeps, loses, refuses, and gives back.
#include "tests/support/fault_fs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "tests/support/temp_dir.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;
using rocksdb::EnvOptions;
using testing::ElementsAre;
using testing::IsSupersetOf;

class FaultFsTest : public ::testing::Test {
 protected:
  std::string at(const std::string& name) const { return (dir.path() / name).string(); }
  rocksdb::Env& env() { return *disk.env(); }

  std::unique_ptr<rocksdb::WritableFile> create(const std::string& name) {
    std::unique_ptr<rocksdb::WritableFile> file;
    EXPECT_TRUE(env().NewWritableFile(at(name), &file, EnvOptions()).ok()) << name;
    return file;
  }
  // A file whose bytes and, if wanted, name are durable.
  void given_synced(const std::string& name, const std::string& bytes) {
    const auto file = create(name);
    ASSERT_TRUE(file->Append(bytes).ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(file->Close().ok());
    sync_directory();
  }
  void sync_directory() {
    std::unique_ptr<rocksdb::Directory> directory;
    ASSERT_TRUE(env().NewDirectory(dir.path().string(), &directory).ok());
    ASSERT_TRUE(directory->Fsync().ok());
  }
  // What is really on the disk; "(absent)" if there is no such file.
  std::string content(const std::string& name) const {
    std::ifstream in(at(name), std::ios::binary);
    if (!in) return "(absent)";
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  std::vector<std::string> trace() const {
    std::vector<std::string> out;
    for (const DiskStep& step : disk.trace()) out.push_back(to_string(step));
    return out;
  }

  TempDir parent{TempDir::Where::memory};
  struct Root {
    explicit Root(fs::path where) : path_(std::move(where)) { fs::create_directory(path_); }
    const fs::path& path() const { return path_; }
    fs::path path_;
  } dir{parent / "disk"};
  FaultFs disk{dir.path()};
};

TEST_F(FaultFsTest, CountsEveryOperationThatChangesSomething) {
  const auto file = create("a");
  ASSERT_TRUE(file->Append("hello").ok());
  ASSERT_TRUE(file->Flush().ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(file->Truncate(2).ok());
  ASSERT_TRUE(file->Close().ok());
  ASSERT_TRUE(env().RenameFile(at("a"), at("b")).ok());
  ASSERT_TRUE(env().LinkFile(at("b"), at("c")).ok());
  ASSERT_TRUE(env().DeleteFile(at("b")).ok());
  ASSERT_TRUE(env().CreateDir(at("d")).ok());
  sync_directory();
  ASSERT_TRUE(env().DeleteDir(at("d")).ok());
  EXPECT_THAT(trace(),
              ElementsAre("create a", "append a 5", "sync a", "truncate a 2", "close a", "rename a",
                          "link c", "remove b", "mkdir d", "sync directory .", "rmdir d"));
  EXPECT_EQ(disk.step_text(2), "2 append a 5");
}

TEST_F(FaultFsTest, DoesNotCountInfoLogsNorWhatIsOutside) {
  create("LOG");
  std::unique_ptr<rocksdb::WritableFile> file;
  ASSERT_TRUE(env().NewWritableFile((parent / "outside").string(), &file, EnvOptions()).ok());
  EXPECT_EQ(disk.steps(), 0U);
}

TEST_F(FaultFsTest, WhatWasNotSyncedIsGoneUnderSeedZeroAndThereUnderSeedOne) {
  for (const std::uint64_t seed : {0U, 1U}) {
    given_synced("a", "synced.");
    std::unique_ptr<rocksdb::WritableFile> file;
    ASSERT_TRUE(env().ReopenWritableFile(at("a"), &file, EnvOptions()).ok());
    ASSERT_TRUE(file->Append("written").ok());
    file.reset();
    disk.materialize(seed);
    EXPECT_EQ(content("a"), seed == 0 ? "synced." : "synced.written");
  }
}

TEST_F(FaultFsTest, ASyncedFileWithoutASyncOfItsDirectoryMayBeMissing) {
  const auto file = create("a");
  ASSERT_TRUE(file->Append("bytes").ok());
  ASSERT_TRUE(file->Sync().ok());
  disk.materialize(0);
  EXPECT_EQ(content("a"), "(absent)");
}

TEST_F(FaultFsTest, ASyncedNameWithoutASyncOfTheFileMayBeEmpty) {
  const auto file = create("a");
  ASSERT_TRUE(file->Append("bytes").ok());
  sync_directory();
  disk.materialize(0);
  EXPECT_EQ(content("a"), "");
}

TEST_F(FaultFsTest, DeletedAndReplacedFilesComeBackUntilTheDirectoryIsSynced) {
  given_synced("a", "1");
  given_synced("b", "2");
  given_synced("c", "3");
  ASSERT_TRUE(env().DeleteFile(at("a")).ok());
  ASSERT_TRUE(env().RenameFile(at("b"), at("c")).ok());
  EXPECT_EQ(content("a"), "(absent)");
  EXPECT_EQ(content("c"), "2");
  disk.materialize(0);
  EXPECT_EQ(content("a"), "1");
  EXPECT_EQ(content("b"), "2");
  EXPECT_EQ(content("c"), "3");

  ASSERT_TRUE(env().DeleteFile(at("a")).ok());
  ASSERT_TRUE(env().RenameFile(at("b"), at("c")).ok());
  sync_directory();
  disk.materialize(0);
  EXPECT_EQ(content("a"), "(absent)");
  EXPECT_EQ(content("b"), "(absent)");
  EXPECT_EQ(content("c"), "2");
}

TEST_F(FaultFsTest, ANameThatIsReplacedIsNeverMissing) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    given_synced("CURRENT", "old");
    const auto file = create("temporary");
    ASSERT_TRUE(file->Append("new").ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(env().RenameFile(at("temporary"), at("CURRENT")).ok());
    disk.materialize(seed);
    seen.insert(content("CURRENT"));
  }
  EXPECT_THAT(seen, ElementsAre("new", "old"));
}

TEST_F(FaultFsTest, TruncatedBytesComeBackUntilTheFileIsSynced) {
  given_synced("a", "0123456789");
  ASSERT_EQ(content("a"), "0123456789");
  create("a");  // empties it
  EXPECT_EQ(content("a"), "");
  disk.materialize(0);
  EXPECT_EQ(content("a"), "0123456789");

  const auto file = create("a");
  ASSERT_TRUE(file->Sync().ok());
  disk.materialize(0);
  EXPECT_EQ(content("a"), "");
}

TEST_F(FaultFsTest, TornTailsKeepWhatWasSyncedAndZeroWholeSectors) {
  std::set<std::string> kinds;
  for (std::uint64_t seed = 2; seed < 80; ++seed) {
    given_synced("a", std::string(512, 's'));
    std::unique_ptr<rocksdb::WritableFile> file;
    ASSERT_TRUE(env().ReopenWritableFile(at("a"), &file, EnvOptions()).ok());
    ASSERT_TRUE(file->Append(std::string(1024, 'w')).ok());
    file.reset();
    disk.materialize(seed);
    const std::string bytes = content("a");
    ASSERT_GE(bytes.size(), 512U);
    ASSERT_LE(bytes.size(), 1536U);
    ASSERT_EQ(bytes.substr(0, 512), std::string(512, 's'));
    std::string kind;
    for (std::size_t from = 512; from < bytes.size(); from += 512) {
      const std::string sector = bytes.substr(from, 512);
      const bool is_written = sector == std::string(sector.size(), 'w');
      ASSERT_TRUE(is_written || sector == std::string(sector.size(), '\0')) << "seed " << seed;
      kind += is_written ? 'w' : '0';
      if (sector.size() < 512) kind += '-';
    }
    kinds.insert(kind);
  }
  EXPECT_THAT(kinds, IsSupersetOf({"", "w", "0", "ww", "w0", "0w", "00", "w-", "0-", "w0-"}));
}

TEST_F(FaultFsTest, TheSameSeedLeavesTheSameBytes) {
  std::set<std::string> left;
  for (int round = 0; round < 3; ++round) {
    const Root root(parent / ("disk" + std::to_string(round)));
    FaultFs fresh(root.path());
    std::unique_ptr<rocksdb::WritableFile> file;
    const std::string path = (root.path() / "a").string();
    ASSERT_TRUE(fresh.env()->NewWritableFile(path, &file, EnvOptions()).ok());
    ASSERT_TRUE(file->Append(std::string(20'000, 'w')).ok());
    fresh.materialize(1234);
    left.insert(content("../" + root.path().filename().string() + "/a"));
  }
  EXPECT_EQ(left.size(), 1U);
}

TEST_F(FaultFsTest, NothingHasAnEffectFromTheCutOn) {
  given_synced("a", "1");
  const auto file = create("b");
  disk.cut_at(disk.steps() + 2);
  EXPECT_TRUE(file->Append("written").ok());
  EXPECT_FALSE(disk.is_cut());
  EXPECT_FALSE(file->Append("lost").ok());
  EXPECT_TRUE(disk.is_cut());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_FALSE(env().DeleteFile(at("a")).ok());
  EXPECT_EQ(content("a"), "1");
  EXPECT_EQ(content("b"), "written");
  const std::uint64_t steps = disk.steps();
  EXPECT_EQ(disk.step_text(steps), std::to_string(steps) + " append b 4");
  disk.materialize(0);
  EXPECT_EQ(content("b"), "(absent)");
  given_synced("c", "power is back");
}

TEST_F(FaultFsTest, AFailedAppendLeavesNothingHalfOrAllOfIt) {
  const struct {
    Fault::Effect effect;
    std::string left;
  } cases[] = {{Fault::Effect::none, "before."},
               {Fault::Effect::part, "before.1234"},
               {Fault::Effect::whole, "before.12345678"}};
  for (const auto& [effect, left] : cases) {
    const auto file = create("a");
    ASSERT_TRUE(file->Append("before.").ok());
    disk.fail_at(disk.steps() + 1, {Fault::Kind::io, effect});
    EXPECT_TRUE(file->Append("12345678").IsIOError());
    EXPECT_EQ(content("a"), left);
    EXPECT_TRUE(file->Append("|").ok());  // the next one succeeds
    EXPECT_EQ(content("a"), left + "|");
  }
}

TEST_F(FaultFsTest, AFailedSyncThatTookEffectMakesTheBytesDurable) {
  const auto file = create("a");
  sync_directory();
  ASSERT_TRUE(file->Append("bytes").ok());
  disk.fail_at(disk.steps() + 1, {Fault::Kind::io, Fault::Effect::whole});
  EXPECT_TRUE(file->Sync().IsIOError());
  disk.materialize(0);
  EXPECT_EQ(content("a"), "bytes");
}

TEST_F(FaultFsTest, ALaterSyncDoesNotBringBackWhatAFailedOneLost) {
  const auto file = create("a");
  sync_directory();
  ASSERT_TRUE(file->Append("lost.").ok());
  disk.fail_at(disk.steps() + 1, {Fault::Kind::io, Fault::Effect::none});
  EXPECT_TRUE(file->Sync().IsIOError());
  ASSERT_TRUE(file->Append("kept").ok());
  EXPECT_TRUE(file->Sync().ok());
  disk.materialize(0);
  EXPECT_EQ(content("a"), std::string(5, '\0') + "kept");
}

TEST_F(FaultFsTest, TheNextOperationOfAKindOnAFileOfThatNameFailsAndNoOther) {
  const auto log = create("1.log");
  const auto other = create("2.aside");
  disk.fail_next(DiskOperation::append, ".log", {});
  EXPECT_TRUE(log->Sync().ok());
  EXPECT_TRUE(other->Append("kept").ok());
  EXPECT_TRUE(log->Append("lost").IsIOError());
  EXPECT_TRUE(log->Append("kept").ok());
  EXPECT_EQ(content("1.log"), "kept");
  EXPECT_EQ(content("2.aside"), "kept");
}

TEST_F(FaultFsTest, ThePowerGoesAtTheNextOperationOfAKind) {
  const auto log = create("1.log");
  const auto other = create("2.aside");
  disk.cut_at_next(DiskOperation::sync_file, ".log");
  EXPECT_TRUE(other->Sync().ok());
  EXPECT_TRUE(log->Append("1").ok());
  EXPECT_FALSE(disk.is_cut());
  EXPECT_FALSE(log->Sync().ok());
  EXPECT_TRUE(disk.is_cut());
  EXPECT_FALSE(other->Append("2").ok());
}

TEST_F(FaultFsTest, AFailedRenameOrRemovalTakesEffectOnlyWhenToldTo) {
  given_synced("a", "1");
  disk.fail_at(disk.steps() + 1, {Fault::Kind::io, Fault::Effect::none});
  EXPECT_FALSE(env().DeleteFile(at("a")).ok());
  EXPECT_EQ(content("a"), "1");
  disk.fail_at(disk.steps() + 1, {Fault::Kind::io, Fault::Effect::whole});
  EXPECT_FALSE(env().RenameFile(at("a"), at("b")).ok());
  EXPECT_EQ(content("a"), "(absent)");
  EXPECT_EQ(content("b"), "1");
}

TEST_F(FaultFsTest, AFullDiskTakesWhatFitsAndGetsSpaceBackFromDeletions) {
  given_synced("a", std::string(60, 'a'));
  disk.set_capacity(100);
  EXPECT_EQ(disk.free_bytes(), 40U);
  const auto file = create("b");
  const rocksdb::Status full = file->Append(std::string(50, 'b'));
  EXPECT_TRUE(full.IsNoSpace()) << full.ToString();
  EXPECT_EQ(content("b"), std::string(40, 'b'));
  EXPECT_EQ(disk.free_bytes(), 0U);
  ASSERT_TRUE(env().DeleteFile(at("a")).ok());
  EXPECT_EQ(disk.used_bytes(), 40U);
  EXPECT_TRUE(file->Append(std::string(60, 'c')).ok());
  EXPECT_TRUE(file->Append("d").IsNoSpace());
}

TEST_F(FaultFsTest, ADirectoryWhoseNameWasNotSyncedTakesItsFilesWithIt) {
  ASSERT_TRUE(env().CreateDir(at("d")).ok());
  const auto file = create("d/a");
  ASSERT_TRUE(file->Sync().ok());
  std::unique_ptr<rocksdb::Directory> directory;
  ASSERT_TRUE(env().NewDirectory(at("d"), &directory).ok());
  ASSERT_TRUE(directory->Fsync().ok());
  disk.materialize(0);
  EXPECT_FALSE(fs::exists(at("d")));
}

TEST_F(FaultFsTest, FilesThatBypassTheLayerStayAsTheyAre) {
  std::ofstream(at("lock")) << "holder";
  disk.materialize(0);
  EXPECT_EQ(content("lock"), "holder");
}

TEST_F(FaultFsTest, ADirectoryMadePastTheLayerIsDurableWithWhatIsSyncedInIt) {
  fs::create_directories(dir.path() / "x" / "y");
  given_synced("x/y/a", "1");
  std::unique_ptr<rocksdb::Directory> directory;
  ASSERT_TRUE(env().NewDirectory(at("x/y"), &directory).ok());
  ASSERT_TRUE(directory->Fsync().ok());
  const auto file = create("x/y/b");
  disk.materialize(0);
  EXPECT_EQ(content("x/y/a"), "1");
  EXPECT_EQ(content("x/y/b"), "(absent)");
}

// RocksDB itself on it: a synced write survives the cut, an unsynced one need not.
TEST_F(FaultFsTest, RocksDbKeepsItsSyncedWritesThroughACut) {
  ASSERT_TRUE(env().CreateDir(at("db")).ok());
  sync_directory();  // RocksDB does not do it: a cut would take the whole database
  rocksdb::Options options;
  options.create_if_missing = true;
  options.env = disk.env();
  rocksdb::DB* raw = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open(options, at("db"), &raw).ok());
  std::unique_ptr<rocksdb::DB> db(raw);
  rocksdb::WriteOptions synced;
  synced.sync = true;
  ASSERT_TRUE(db->Put(synced, "synced", "1").ok());
  ASSERT_TRUE(db->Put({}, "unsynced", "2").ok());
  disk.cut_at(disk.steps() + 1);
  EXPECT_FALSE(db->Put(synced, "cut", "3").ok());
  db.reset();
  disk.materialize(0);

  options.env = rocksdb::Env::Default();
  options.create_if_missing = false;
  ASSERT_TRUE(rocksdb::DB::Open(options, at("db"), &raw).ok());
  db.reset(raw);
  std::string value;
  EXPECT_TRUE(db->Get({}, "synced", &value).ok());
  EXPECT_EQ(value, "1");
  EXPECT_TRUE(db->Get({}, "unsynced", &value).IsNotFound());
  EXPECT_TRUE(db->Get({}, "cut", &value).IsNotFound());
}

}  // namespace
}  // namespace standpipe::test
