// Which damage to RocksDB's log is told from a torn tail. The logs are RocksDB's own.

#include "storage/log_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "storage/store.h"
#include "tests/support/archive_fixture.h"
#include "tests/support/temp_dir.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::size_t kBatches = 24;
constexpr std::size_t kValueBytes = 3000;  // some batches straddle the log's blocks of 32 KiB

class LogCheckTest : public ::testing::Test {
 protected:
  // A database whose log holds kBatches batches, one value each; closed without a flush.
  void SetUp() override {
    ManualClock clock(0);
    const auto store = storage::Store::open(db(), small_archive_options(clock));
    ASSERT_OK(store);
    for (std::size_t i = 0; i < kBatches; ++i) {
      storage::StoreBatch batch;
      std::string value;
      for (std::size_t j = 0; j < kValueBytes; ++j) {
        value.push_back(static_cast<char>('a' + (i * 7 + j * 13 + j / 97) % 26));
      }
      batch.put(storage::kMetaContainer, "key" + std::to_string(i), std::move(value));
      ASSERT_OK((*store)->write(batch));
    }
  }

  fs::path db() const { return dir_ / "db"; }

  fs::path newest_log() const {
    std::vector<fs::path> logs;
    for (const auto& entry : fs::directory_iterator(db())) {
      if (entry.path().extension() == ".log") logs.push_back(entry.path());
    }
    return *std::max_element(logs.begin(), logs.end());
  }
  static std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write(const fs::path& path, const std::string& contents) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << contents;
  }
  void change_log(const std::function<void(std::string&)>& change) const {
    std::string contents = read(newest_log());
    change(contents);
    write(newest_log(), contents);
  }

  std::string complaint(std::uint64_t first_live = 0) const {
    Result<void> checked = storage::check_manifest(db());
    if (checked) checked = storage::check_logs(db(), first_live);
    if (checked) return "";
    EXPECT_EQ(checked.error().code, Errc::corrupt);
    return checked.error().detail;
  }

 private:
  TempDir dir_;
};

TEST_F(LogCheckTest, AWholeLogIsInOrder) { EXPECT_EQ(complaint(), ""); }

TEST_F(LogCheckTest, AFlippedByteInTheMiddleIsDamageAndItsPlaceIsNamed) {
  change_log([](std::string& log) { log[log.size() / 2] ^= 1; });
  EXPECT_THAT(complaint(), HasSubstr(newest_log().string() + " at byte "));
  EXPECT_THAT(complaint(), HasSubstr("what was written later"));
}

// All bytes around the beginning and the end of the last record, and a sample in between.
TEST_F(LogCheckTest, AnyFlippedByteOfTheLastBatchIsDamage) {
  const std::string whole = read(newest_log());
  const std::size_t begin = whole.size() - kValueBytes - 60;
  for (std::size_t at = begin; at < whole.size(); ++at) {
    const bool is_edge = at < begin + 80 || at + 20 > whole.size();
    if (!is_edge && at % 37 != 0) continue;
    change_log([at](std::string& log) { log[at] = static_cast<char>(log[at] ^ 0x40); });
    EXPECT_NE(complaint(), "") << "byte " << at << " of " << whole.size();
    write(newest_log(), whole);
  }
}

TEST_F(LogCheckTest, ALastBatchCutAnywhereIsATornTail) {
  const std::string whole = read(newest_log());
  for (std::size_t cut = 1; cut < kValueBytes; cut += 37) {
    write(newest_log(), whole.substr(0, whole.size() - cut));
    EXPECT_EQ(complaint(), "") << cut << " bytes cut off";
  }
}

TEST_F(LogCheckTest, ALastBatchWithZeroedSectorsIsATornTail) {
  change_log([](std::string& log) {
    const std::size_t sector = (log.size() / 512 - 2) * 512;
    std::fill_n(log.begin() + static_cast<std::ptrdiff_t>(sector), 512, '\0');
  });
  EXPECT_EQ(complaint(), "");
}

TEST_F(LogCheckTest, ALogOfZeroesIsATornTail) {
  change_log([](std::string& log) { std::fill(log.begin(), log.end(), '\0'); });
  EXPECT_EQ(complaint(), "");
}

TEST_F(LogCheckTest, ZeroedSectorsBeforeALaterBatchAreDamage) {
  change_log([](std::string& log) {
    const std::size_t sector = log.size() / 2 / 512 * 512;
    std::fill_n(log.begin() + static_cast<std::ptrdiff_t>(sector), 512, '\0');
  });
  EXPECT_NE(complaint(), "");
}

// A family that is flushed begins a new log, and what others hold keeps the old one: whatever is
// missing at the end of the old one shows in the numbers of the new one.
TEST_F(LogCheckTest, AnOlderLogThatEndsEarlyIsDamageOnceALaterOneFollows) {
  fs::path older;
  {
    ManualClock clock(0);
    const auto store = storage::Store::open(db(), small_archive_options(clock));
    ASSERT_OK(store);
    older = newest_log();
    storage::StoreBatch first;
    first.put(storage::kQuarantineContainer, "key", "value");
    ASSERT_OK((*store)->write(first));
    storage::StoreBatch second;
    second.put(storage::kMetaContainer, "key", std::string(kValueBytes, 'x'));
    ASSERT_OK((*store)->write(second));
    ASSERT_OK((*store)->flush(storage::kQuarantineContainer));
    storage::StoreBatch later;
    later.put(storage::kMetaContainer, "later", "value");
    ASSERT_OK((*store)->write(later));
  }
  EXPECT_EQ(complaint(), "");
  ASSERT_NE(newest_log(), older);
  const std::string whole = read(older);
  write(older, whole.substr(0, whole.size() - kValueBytes / 2));
  EXPECT_THAT(complaint(), HasSubstr("batch sequence number"));
  EXPECT_THAT(complaint(), HasSubstr(newest_log().string()));
}

TEST_F(LogCheckTest, ATornBatchThatNobodyWasToldOfDoesNotAccuseTheNextLog) {
  const fs::path older = newest_log();
  const std::string whole = read(older);
  write(older, whole.substr(0, whole.size() - kValueBytes / 2));
  {
    ManualClock clock(0);
    const auto store = storage::Store::open(db(), small_archive_options(clock));
    ASSERT_OK(store);
    storage::StoreBatch batch;
    batch.put(storage::kMetaContainer, "later", "value");
    ASSERT_OK((*store)->write(batch));
  }
  EXPECT_EQ(complaint(), "");
}

// RocksDB deletes logs late, and a crash may leave an old one whose successors are gone.
TEST_F(LogCheckTest, ALogThatRecoveryDoesNotReadAccusesNobody) {
  const fs::path older = newest_log();
  const fs::path leftover = db() / "000001.log";
  fs::copy_file(older, leftover);
  change_log([](std::string& log) { log.erase(); });
  EXPECT_EQ(complaint(2), "");
  fs::copy_file(leftover, older, fs::copy_options::overwrite_existing);
  EXPECT_NE(complaint(), "");
  EXPECT_EQ(complaint(2), "");
}

TEST_F(LogCheckTest, TheStoreKnowsTheFirstLogThatRecoveryReads) {
  ManualClock clock(0);
  const auto store = storage::Store::open(db(), small_archive_options(clock));
  ASSERT_OK(store);
  const std::uint64_t newest = std::stoull(newest_log().stem().string());
  storage::StoreBatch batch;
  batch.put(storage::kMetaContainer, "later", "value");
  ASSERT_OK((*store)->write(batch));
  EXPECT_LE((*store)->first_live_log(), newest);
  ASSERT_OK((*store)->flush_all());
  EXPECT_GT((*store)->first_live_log(), newest);
}

// The end of a log may be in memory only, whatever a later sync says: nothing may rest on it.
TEST_F(LogCheckTest, TheStoreIsDoneWithTheLogsThatItRecovered) {
  const std::uint64_t older = std::stoull(newest_log().stem().string());
  ManualClock clock(0);
  const auto store = storage::Store::open(db(), small_archive_options(clock));
  ASSERT_OK(store);
  EXPECT_GT((*store)->first_live_log(), older);
  const auto last = (*store)->get(storage::kMetaContainer, "key" + std::to_string(kBatches - 1));
  ASSERT_OK(last);
  EXPECT_TRUE(last->has_value());
}

TEST_F(LogCheckTest, AMissingCurrentIsDamageWhereThereAreLogs) {
  fs::remove(db() / "CURRENT");
  EXPECT_THAT(complaint(), HasSubstr("CURRENT is missing"));
}

TEST_F(LogCheckTest, ACurrentThatNamesNoManifestIsDamage) {
  write(db() / "CURRENT", "MANIFEST-999999\n");
  EXPECT_THAT(complaint(), HasSubstr("MANIFEST-999999"));
  write(db() / "CURRENT", "MANIFEST-");
  EXPECT_THAT(complaint(), HasSubstr("does not name a manifest"));
}

TEST_F(LogCheckTest, NoDatabaseIsInOrder) {
  fs::remove_all(db());
  EXPECT_EQ(complaint(), "");
}

}  // namespace
}  // namespace standpipe::test
