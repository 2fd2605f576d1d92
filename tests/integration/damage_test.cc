// Our own bytes are wrong: a flipped byte, a lost file, a shortened log, a newer format, a second
// writer. Whatever it is, it is said, nothing wrong is served, nothing acknowledged is missing
// without a word, and nothing is overwritten.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "storage/rows.h"
#include "storage/store.h"
#include "tests/support/archive_files.h"
#include "tests/support/archive_fixture.h"
#include "tests/support/archive_text.h"
#include "tests/support/child_process.h"
#include "tests/support/fault_fs.h"
#include "tests/support/scale.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class Damage : public ArchiveFixture {
 protected:
  // 24 frames, two partitions: one sealed, one open, whose frames are only in the log if it
  // crashes.
  void given_small_archive(bool closes) {
    given_archive();
    for (std::int64_t seq = 1; seq <= 24; ++seq) {
      clock.advance(1500);  // the witness follows each commit
      append({.seq = seq, .blocks_bytes = seq == 20 ? 40'000U : 300U});
      if (seq % 3 == 0) commit();
      if (seq == 12) {
        ASSERT_OK(archive().seal(stream()));
      }
    }
    clock.advance(1500);
    ASSERT_OK(appender().offer_foreign(Unarchivable::text_message, as_bytes("text"), 1));
    append(25);
    commit();
    const Result<std::vector<std::string>> text = describe_archive(archive());
    ASSERT_OK(text);
    described = *text;
    closes ? close() : crash();
    intact = read_files(archive_dir());
  }

  enum class Outcome : std::uint8_t {
    at_open,
    by_reading,
    by_verifying,
    by_note,  // the archive is whole and says in its notes what was wrong
    nothing_missing,
    wrong,
  };
  struct Verdict {
    Outcome outcome{};
    std::string detail;
  };

  // Opens what is there and reads everything.
  Verdict judge() {
    const Files before = read_files(archive_dir());
    const Result<void> opened = try_open();
    if (!opened) {
      if (opened.error().code != Errc::corrupt) {
        return {Outcome::wrong, "refused, but not as corrupt: " + to_string(opened.error())};
      }
      if (const std::string what = overwritten(before, archive_dir()); !what.empty()) {
        return {Outcome::wrong, what + " by an open that was refused: " + opened.error().detail};
      }
      return {Outcome::at_open, opened.error().detail};
    }
    FrameMap frames;
    const Result<void> read = read_into(frames, archive(), stream(), epoch());
    for (const auto& [seq, bytes] : frames) {
      if (!model.contains(seq) || model.at(seq) != bytes) {
        return {Outcome::wrong, "served a wrong frame for seq " + std::to_string(seq)};
      }
    }
    if (!read) {
      if (read.error().code != Errc::corrupt) {
        return {Outcome::wrong, "reading failed, not as corrupt: " + to_string(read.error())};
      }
      return {Outcome::by_reading, read.error().detail};
    }
    if (const std::string gone = differences(model, frames); !gone.empty()) {
      return {Outcome::wrong, "missing without a word: " + gone};
    }
    Result<std::vector<std::string>> text = describe_archive(archive());
    if (!text) return {Outcome::by_reading, text.error().detail};
    std::string noted;
    std::erase_if(*text, [&](const std::string& line) {
      if (!line.starts_with("note damage")) return false;
      noted += line;
      return true;
    });
    if (const std::string other = difference(described, *text); !other.empty()) {
      return {Outcome::wrong, "says something else: " + other};
    }
    const Result<void> verified = archive().verify_files();
    if (!verified) return {Outcome::by_verifying, verified.error().detail};
    return {noted.empty() ? Outcome::nothing_missing : Outcome::by_note, noted};
  }

  // Damages, judges, and puts the archive back as it was.
  Verdict judge_with(const std::string& file, const std::string& bytes) {
    write_files(archive_dir(), intact);
    write_file(archive_dir() / file, bytes);
    Verdict verdict = judge();
    crash();
    return verdict;
  }

  void flip_every_file();

  std::vector<std::string> described;  // what describe_archive() says of the intact one
  Files intact;
};

// Every position of a small file; both ends and a sample of a large one.
std::vector<std::size_t> positions(std::size_t size, std::uint64_t seed) {
  static constexpr std::size_t kWhole = 1'500;
  static constexpr std::size_t kEnd = 160;
  const std::size_t sample = scaled(200);
  const std::size_t stride = std::max<std::size_t>(1, kWhole / scaled(kWhole));
  std::set<std::size_t> out;
  if (size <= kWhole) {
    for (std::size_t at = 0; at < size; at += stride) out.insert(at);
  } else {
    for (std::size_t at = 0; at < kEnd; at += stride) {
      out.insert(at);
      out.insert(size - 1 - at);
    }
    std::mt19937_64 random(seed);
    for (std::size_t i = 0; i < sample; ++i) out.insert(random() % size);
  }
  return {out.begin(), out.end()};
}

// What an error about damage to `file` must name: the file, or what stands in it.
bool names_place(const std::string& detail, const std::string& file) {
  const std::string name = fs::path(file).filename().string();
  return detail.find(name) != std::string::npos;
}

// Options are the program's own at each start, and the identity is nobody's business.
bool carries_nothing(const std::string& file) {
  return file.starts_with("db/OPTIONS") || file == "db/IDENTITY";
}

void Damage::flip_every_file() {
  std::printf("%-24s %7s %8s %8s %8s %8s %8s\n", "file", "flips", "open", "read", "verify", "note",
              "harmless");
  int failures = 0;
  for (const auto& [file, bytes] : intact) {
    std::array<int, 6> counts{};
    const std::vector<std::size_t> at = positions(bytes.size(), bytes.size());
    for (const std::size_t position : at) {
      std::string damaged = bytes;
      damaged[position] = static_cast<char>(damaged[position] ^ (1 << (position % 8)));
      const Verdict verdict = judge_with(file, damaged);
      ++counts[static_cast<std::size_t>(verdict.outcome)];
      const bool is_reported =
          verdict.outcome != Outcome::nothing_missing && verdict.outcome != Outcome::wrong;
      const std::string where = file + " byte " + std::to_string(position);
      if (verdict.outcome == Outcome::wrong) {
        ADD_FAILURE() << where << ": " << verdict.detail;
        ++failures;
      } else if (!is_reported && !carries_nothing(file)) {
        ADD_FAILURE() << where << " was not noticed";
        ++failures;
      } else if (is_reported && !names_place(verdict.detail, file)) {
        ADD_FAILURE() << where << " is not named: " << verdict.detail;
        ++failures;
      }
      if (failures > 20) return;
    }
    std::printf("%-24s %7d %8d %8d %8d %8d %8d\n", file.c_str(), static_cast<int>(at.size()),
                counts[0], counts[1], counts[2], counts[3], counts[4]);
    std::fflush(stdout);
  }
}

TEST_F(Damage, AFlippedByteInAnyFileOfAClosedArchiveIsReportedOrHarmless) {
  given_small_archive(true);
  flip_every_file();
}

TEST_F(Damage, AFlippedByteInAnyFileOfACrashedArchiveIsReportedOrHarmless) {
  given_small_archive(false);
  flip_every_file();
}

// -- Logs -----------------------------------------------------------------------------------------

std::vector<std::string> logs_of(const Files& files) {
  std::vector<std::string> out;
  for (const auto& [name, bytes] : files) {
    if (name.ends_with(".log")) out.push_back(name);
  }
  return out;
}

TEST_F(Damage, AMissingLogIsReported) {
  given_small_archive(false);
  ASSERT_FALSE(logs_of(intact).empty());
  for (const std::string& log : logs_of(intact)) {
    if (intact.at(log).empty()) continue;
    write_files(archive_dir(), intact);
    fs::remove(archive_dir() / log);
    const Verdict verdict = judge();
    EXPECT_EQ(verdict.outcome, Outcome::at_open) << log << ": " << verdict.detail;
    crash();
  }
}

TEST_F(Damage, ALogShortenedByAnyLengthIsReported) {
  given_small_archive(false);
  const std::string log = logs_of(intact).back();
  const std::string& bytes = intact.at(log);
  ASSERT_GT(bytes.size(), 1'000U);
  const std::size_t stride = std::max<std::size_t>(1, bytes.size() / scaled(150));
  for (std::size_t size = 0; size < bytes.size(); size += stride) {
    const Verdict verdict = judge_with(log, bytes.substr(0, size));
    EXPECT_EQ(verdict.outcome, Outcome::at_open)
        << "cut to " << size << " of " << bytes.size() << " bytes: " << verdict.detail;
  }
}

TEST_F(Damage, ALogWhoseTailIsZeroedIsReported) {
  given_small_archive(false);
  const std::string log = logs_of(intact).back();
  for (const std::size_t zeroed : {1U, 100U, 512U, 1'000U, 1'024U, 3'000U}) {
    std::string bytes = intact.at(log);
    std::fill(bytes.end() - static_cast<std::ptrdiff_t>(zeroed), bytes.end(), '\0');
    const Verdict verdict = judge_with(log, bytes);
    EXPECT_EQ(verdict.outcome, Outcome::at_open) << zeroed << " bytes: " << verdict.detail;
  }
}

TEST_F(Damage, AMissingFileIsReported) {
  given_small_archive(true);
  for (const auto& [file, bytes] : intact) {
    write_files(archive_dir(), intact);
    fs::remove(archive_dir() / file);
    const Verdict verdict = judge();
    EXPECT_NE(verdict.outcome, Outcome::wrong) << file << ": " << verdict.detail;
    // Without these the archive is whole: options are the program's own, the identity is unused,
    // and the witness is an alarm that cannot witness its own absence.
    const bool is_needed = !bytes.empty() && !file.starts_with("db/OPTIONS") &&
                           file != "db/IDENTITY" && file != "witness";
    EXPECT_EQ(verdict.outcome, is_needed ? Outcome::at_open : Outcome::nothing_missing)
        << file << ": " << verdict.detail;
    crash();
  }
}

// The last batch was written and never synced: nobody was told that it is durable, and the power
// cut left some of its sectors.
TEST_F(Damage, ATornTailThatNobodyWasToldAboutOpens) {
  fs::create_directory(dir / "disk");
  FaultFs disk(dir / "disk");
  options.env = disk.env();
  const fs::path torn_dir = dir / "disk" / "archive";
  Result<std::unique_ptr<storage::Archive>> opened = storage::Archive::open(torn_dir, options);
  ASSERT_OK(opened);
  storage::StreamSpec spec;
  spec.name = "repos";
  const Result<storage::StreamInfo> made = (*opened)->ensure_stream(spec);
  ASSERT_OK(made);
  FrameMap expected;
  {
    Result<storage::Appender> taken = (*opened)->appender(made->id);
    ASSERT_OK(taken);
    storage::Appender appending = std::move(taken).value();
    for (std::int64_t seq = 1; seq <= 10; ++seq) {
      const Bytes frame = make_frame({.seq = seq, .blocks_bytes = 1'000});
      ASSERT_OK(appending.offer(frame, clock.now_ms()));
      ASSERT_OK(appending.commit());
      expected[seq] = std::string(as_text(frame));
    }
    for (std::int64_t seq = 11; seq <= 14; ++seq) {
      ASSERT_OK(appending.offer(make_frame({.seq = seq, .blocks_bytes = 1'000}), clock.now_ms()));
    }
    disk.cut_at_next(DiskOperation::sync_file, ".log");  // the append happens, its sync does not
    EXPECT_FALSE(appending.commit().has_value());
  }
  opened->reset();
  disk.materialize(1);  // all of it got there
  options.env = nullptr;
  const Files whole = read_files(torn_dir);
  std::string log;
  for (const std::string& name : logs_of(whole)) {
    if (log.empty() || whole.at(name).size() > whole.at(log).size()) log = name;
  }
  const std::size_t size = whole.at(log).size();
  ASSERT_GT(size, 14'000U);
  const std::size_t last_sector = size / 512 * 512;
  std::vector<std::string> torn;
  for (std::size_t sectors = 1; sectors <= 5; ++sectors) {
    const std::size_t from = last_sector - (sectors - 1) * 512;
    torn.push_back(whole.at(log).substr(0, from));                                   // not there
    torn.push_back(whole.at(log).substr(0, from) + std::string(size - from, '\0'));  // zeroed
    std::string hole = whole.at(log);
    std::fill_n(hole.begin() + static_cast<std::ptrdiff_t>(from - 512), 512, '\0');
    torn.push_back(hole);  // a later sector got there, an earlier one did not
    torn.push_back(whole.at(log).substr(0, from - 100));  // by bytes
  }
  for (const std::string& bytes : torn) {
    if (bytes == whole.at(log)) continue;
    write_files(torn_dir, whole);
    write_file(torn_dir / log, bytes);
    opened = storage::Archive::open(torn_dir, options);
    ASSERT_OK(opened);
    const Result<FrameMap> frames = test::read_all(**opened, made->id, storage::EpochNumber{1});
    ASSERT_OK(frames);
    EXPECT_EQ(differences(expected, *frames), "");
    opened->reset();
  }
}

// -- Refusals -------------------------------------------------------------------------------------

TEST_F(Damage, ASecondWriterInThisProcessIsRefusedByName) {
  given_archive();
  const auto second = storage::Archive::open(archive_dir(), options);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(to_string(second.error().code), "busy");
  EXPECT_THAT(second.error().detail,
              AllOf(HasSubstr(archive_dir().string()), HasSubstr(std::to_string(::getpid())),
                    HasSubstr("writ")));
  given_frames(1, 3);  // the first is not disturbed
  expect_model();
}

TEST_F(Damage, ASecondWriterInAnotherProcessIsRefusedByName) {
  given_archive();
  close();
  ChildProcess holder({STANDPIPE_CRASH_CHILD_PATH, "hold", archive_dir().string(), "write"});
  ASSERT_EQ(holder.read_line(), "held");
  for (const storage::Access access : {storage::Access::write, storage::Access::read_only}) {
    options.access = access;
    const Result<void> second = try_open();
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(to_string(second.error().code), "busy");
    EXPECT_THAT(second.error().detail,
                AllOf(HasSubstr(std::to_string(holder.id())), HasSubstr("process")));
  }
  holder.close_input();
  EXPECT_EQ(holder.wait(), 0);
  options.access = storage::Access::write;
  EXPECT_OK(try_open());
}

TEST_F(Damage, AKilledWriterHoldsNothing) {
  given_archive();
  close();
  ChildProcess holder({STANDPIPE_CRASH_CHILD_PATH, "hold", archive_dir().string(), "write"});
  ASSERT_EQ(holder.read_line(), "held");
  holder.kill_now();
  holder.wait();
  EXPECT_OK(try_open());
}

TEST_F(Damage, ReadersShareAndKeepAWriterOut) {
  given_archive();
  given_frames(1, 8);
  close();
  ChildProcess holder({STANDPIPE_CRASH_CHILD_PATH, "hold", archive_dir().string(), "read"});
  ASSERT_EQ(holder.read_line(), "held");
  const Result<void> writer = try_open();
  ASSERT_FALSE(writer.has_value());
  EXPECT_EQ(to_string(writer.error().code), "busy");
  EXPECT_THAT(writer.error().detail, HasSubstr("read"));
  options.access = storage::Access::read_only;
  EXPECT_OK(try_open());
  expect_model();
}

TEST_F(Damage, ReadingOnlyChangesNothingOnDisk) {
  given_small_archive(false);
  options.access = storage::Access::read_only;
  ASSERT_OK(try_open());
  expect_model();
  crash();
  EXPECT_EQ(overwritten(intact, archive_dir()), "");
  EXPECT_EQ(read_files(archive_dir()).size(), intact.size());
}

TEST_F(Damage, ANewerFormatIsRefusedAndBothVersionsNamed) {
  given_archive();
  given_frames(1, 8);
  close();
  {
    const auto store = storage::Store::open(archive_dir() / "db", options);
    ASSERT_OK(store);
    const auto row = (*store)->get(storage::kMetaContainer, storage::format_key());
    ASSERT_OK(row);
    ASSERT_TRUE(row->has_value());
    Result<storage::FormatRow> format = storage::parse_format_row(**row);
    ASSERT_OK(format);
    format->version = 9;
    storage::StoreBatch batch;
    batch.put(storage::kMetaContainer, storage::format_key(), storage::encode_format_row(*format));
    ASSERT_OK((*store)->write(batch));
  }
  const Files before = read_files(archive_dir());
  const Result<void> opened = try_open();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(to_string(opened.error().code), "unsupported");
  EXPECT_THAT(opened.error().detail, AllOf(HasSubstr("9"), HasSubstr("1"), HasSubstr("format")));
  EXPECT_EQ(overwritten(before, archive_dir()), "");
}

// Another thread finds the damage between the sync of a commit and its publication. What is
// acknowledged is shown all the same: live subscribers are told of it.
TEST_F(Damage, FoundBesideACommitTakesNothingBackOfIt) {
  bool is_damaging = false;
  options.on_step = [&](std::string_view step) {
    if (is_damaging && step == "commit") {
      is_damaging = false;
      EXPECT_FALSE(archive().verify_files().has_value());
    }
  };
  options.partition_bytes_max = 10'000;
  given_archive();
  for (std::int64_t seq = 1; seq <= 8; ++seq) append({.seq = seq, .blocks_bytes = 1'000});
  commit();
  ASSERT_OK(archive().seal(stream()));
  for (const fs::directory_entry& entry : fs::directory_iterator(archive_dir() / "db")) {
    if (entry.path().extension() != ".sst") continue;
    std::string bytes = file_text(entry.path());
    bytes[bytes.size() / 3] ^= 1;
    write_file(entry.path(), bytes);
  }
  for (std::int64_t seq = 9; seq <= 12; ++seq) append({.seq = seq, .blocks_bytes = 1'000});
  is_damaging = true;
  const auto committed = appender().commit();  // into a partition that it opens
  ASSERT_OK(committed);
  EXPECT_EQ(to_string(archive().health()), "corrupt");
  EXPECT_EQ(committed->runs.back()->last(), Seq{12});
  EXPECT_EQ(archive().newest(stream(), epoch()), Seq{12});
  EXPECT_FALSE(appender().commit().has_value());
  crash();
}

}  // namespace
}  // namespace standpipe::test
