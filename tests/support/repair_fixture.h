// An archive to be damaged, and what `standpipe repair` makes of it held against what went in.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/support/archive_files.h"
#include "tests/support/archive_fixture.h"
#include "tests/support/process.h"

namespace standpipe::test {

inline constexpr std::int64_t kLast = 72;
inline constexpr std::int64_t kSkippedFirst = 31, kSkippedLast = 33;  // by upstream
inline constexpr std::size_t kFrameBytes = 30'000;  // four are a commit, and a block of a table

class RepairFixture : public ArchiveFixture {
 protected:
  // Three partitions: two sealed ones, and one whose frames are only in the log if it crashes.
  void given_archive_of_three(bool closes);

  void put_back();  // as it was; what was made of it is removed
  // As it was, but for this file.
  void damage(const std::string& file, const std::string& bytes);

  std::filesystem::path repaired() const { return archive_dir().string() + ".repaired"; }
  // With no demand for free space, and silent.
  Outcome run_repair(std::vector<std::string> more = {}) const;
  nlohmann::json report() const;  // as JSON, without accepting anything

  struct Kept {
    std::set<std::int64_t> lost;  // of the model
    bool has_lost_gaps = false;   // what upstream skipped is called lost, too
    std::string wrong;            // in words; empty if all is as it must be
  };
  // Runs both forms of the verb on what is damaged. What was damaged must stay as it was.
  Kept repair_and_judge();
  // Looks at what was made: that it opens and verifies, and its frames and gaps against the model.
  std::string judge_repaired(Kept& kept);

  // Files of the intact archive that are not empty.
  std::vector<std::string> files_with(const std::string& ending) const;
  // The tables of a family whose name begins so: it stands in their properties, which RocksDB does
  // not compress, after the end of the property's name.
  std::vector<std::string> tables_of(const std::string& family) const;

  Files intact;  // of the archive, before it is damaged
};

}  // namespace standpipe::test
