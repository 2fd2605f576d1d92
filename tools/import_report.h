// What an import says: a line per durable commit, and a summary at its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "schema/base/result.h"
#include "storage/types.h"
#include "tools/import_run.h"

namespace standpipe::tools {

// One line per commit: {"seq":N,"frames":M}, written whole, after the commit is durable.
class CommitReportFile {
 public:
  CommitReportFile() = default;
  // `path` empty: nothing is written. "-": stdout. A file is appended to.
  static Result<CommitReportFile> open(const std::string& path);
  CommitReportFile(CommitReportFile&& other) noexcept;
  CommitReportFile& operator=(CommitReportFile&& other) noexcept;
  ~CommitReportFile();

  Result<void> write(std::uint64_t frames, Seq newest);

 private:
  std::string path_;
  int fd_ = -1;
};

struct ImportSummary {
  std::string stream;  // empty: it came to nothing
  storage::EpochNumber epoch{};
  std::size_t files = 0;  // read to their end
  ImportTotals totals;
};

std::string to_text(const ImportSummary& summary);  // several lines
// One line; `result` as "error": null or {code, detail}.
std::string to_json_line(const ImportSummary& summary, const Result<void>& result);

}  // namespace standpipe::tools
