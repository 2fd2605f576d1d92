#include "tools/import_report.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "tools/values.h"

namespace standpipe::tools {

using nlohmann::json;

Result<CommitReportFile> CommitReportFile::open(const std::string& path) {
  CommitReportFile file;
  file.path_ = path;
  if (path.empty()) return file;
  file.fd_ = path == "-" ? ::dup(STDOUT_FILENO)
                         : ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file.fd_ < 0) {
    return Error{Errc::io, fmt::format("cannot write --report {}: {}", path, std::strerror(errno))};
  }
  return file;
}

CommitReportFile::CommitReportFile(CommitReportFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

CommitReportFile& CommitReportFile::operator=(CommitReportFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  return *this;
}

CommitReportFile::~CommitReportFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> CommitReportFile::write(std::uint64_t frames, Seq newest) {
  if (fd_ < 0) return {};
  const std::string line =
      fmt::format(R"({{"seq":{},"frames":{}}})", to_int(newest), frames) + "\n";
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = ::write(fd_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      return Error{Errc::io, fmt::format("cannot write --report {}: {}; seq {} is durable", path_,
                                         std::strerror(errno), to_int(newest))};
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

std::string to_text(const ImportSummary& summary) {
  const ImportTotals& totals = summary.totals;
  const storage::AppenderStats& judged = totals.judged;
  std::string out = fmt::format(
      "{} epoch {}: {} frames read ({}), {} accepted ({}), newest seq {}\n"
      "  duplicates {}, conflicts {}, late {}, quarantined {}, noted {}, refused {}\n",
      summary.stream, to_int(summary.epoch), format_count(totals.frames), format_size(totals.bytes),
      format_count(judged.accepted), format_size(totals.accepted_bytes), to_int(totals.newest),
      format_count(judged.duplicates), format_count(judged.conflicts), format_count(judged.late),
      format_count(judged.quarantined), format_count(judged.noted), format_count(judged.refused));
  for (const auto& [reason, count] : totals.kept_aside) {
    fmt::format_to(std::back_inserter(out), "  kept aside: {} {}\n", to_string(reason),
                   format_count(count));
  }
  for (const storage::Gap& gap : totals.gaps) {
    fmt::format_to(std::back_inserter(out), "  gap after {} before {}: {}\n", to_int(gap.after),
                   to_int(gap.before), storage::to_string(gap.reason));
  }
  if (judged.gaps > totals.gaps.size()) {
    fmt::format_to(std::back_inserter(out), "  {} gaps in all: 'standpipe inspect' lists them\n",
                   format_count(judged.gaps));
  }
  return out;
}

std::string to_json_line(const ImportSummary& summary, const Result<void>& result) {
  const ImportTotals& totals = summary.totals;
  const storage::AppenderStats& judged = totals.judged;
  json by_reason = json::object();
  for (const auto& [reason, count] : totals.kept_aside) {
    by_reason[std::string(to_string(reason))] = count;
  }
  json gaps = json::array();
  for (const storage::Gap& gap : totals.gaps) {
    gaps.push_back({{"after", to_int(gap.after)},
                    {"before", to_int(gap.before)},
                    {"reason", storage::to_string(gap.reason)}});
  }
  json out = {{"stream", summary.stream},
              {"epoch", to_int(summary.epoch)},
              {"files", summary.files},
              {"frames", totals.frames},
              {"bytes", totals.bytes},
              {"accepted", judged.accepted},
              {"accepted_bytes", totals.accepted_bytes},
              {"duplicates", judged.duplicates},
              {"conflicts", judged.conflicts},
              {"late", judged.late},
              {"quarantined", judged.quarantined},
              {"noted", judged.noted},
              {"refused", judged.refused},
              {"kept_aside_by_reason", std::move(by_reason)},
              {"gaps", judged.gaps},
              {"gaps_listed", std::move(gaps)},
              {"commits", judged.commits},
              {"newest", totals.newest == kSeqNone ? json() : json(to_int(totals.newest))},
              {"upstream_reset", totals.was_reset},
              {"error", nullptr}};
  if (!result) {
    out["error"] = {{"code", code_name(result.error().code)}, {"detail", result.error().detail}};
  }
  return out.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace standpipe::tools
