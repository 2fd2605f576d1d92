#include "tests/support/repair_fixture.h"

namespace standpipe::test {

namespace fs = std::filesystem;
using nlohmann::json;

void RepairFixture::given_archive_of_three(bool closes) {
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

void RepairFixture::put_back() {
  write_files(archive_dir(), intact);
  write_file(archive_dir() / "archive.lock", {});
  fs::remove_all(repaired());
}

void RepairFixture::damage(const std::string& file, const std::string& bytes) {
  put_back();
  write_file(archive_dir() / file, bytes);
}

Outcome RepairFixture::run_repair(std::vector<std::string> more) const {
  std::vector<std::string> all{"repair",     "--data", archive_dir().string(),
                               "--min-free", "0",      "--quiet"};
  all.insert(all.end(), more.begin(), more.end());
  return run_standpipe(all);
}

json RepairFixture::report() const {
  const Outcome outcome = run_repair({"--json"});
  EXPECT_EQ(outcome.err, "");
  return json::parse(outcome.out, nullptr, false);
}

std::vector<std::string> RepairFixture::files_with(const std::string& ending) const {
  std::vector<std::string> out;
  for (const auto& [name, bytes] : intact) {
    if (name.ends_with(ending) && !bytes.empty()) out.push_back(name);
  }
  return out;
}

std::vector<std::string> RepairFixture::tables_of(const std::string& family) const {
  std::vector<std::string> out;
  for (const std::string& file : files_with(".sst")) {
    if (intact.at(file).find("name" + family) != std::string::npos) out.push_back(file);
  }
  return out;
}

// Looks at what was made: opens, verifies, reads, and holds the ledger against the model.
std::string RepairFixture::judge_repaired(Kept& kept) {
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

RepairFixture::Kept RepairFixture::repair_and_judge() {
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

}  // namespace standpipe::test
