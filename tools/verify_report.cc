#include "tools/verify_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "tools/values.h"

namespace standpipe::tools {
namespace {

// Fields stay in the order in which they are written: lines are read by people, too.
using json = nlohmann::ordered_json;

std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::uint64_t frames_per_second(const VerifySummary& summary) {
  return summary.totals.frames * 1000 /
         static_cast<std::uint64_t>(std::max<std::int64_t>(summary.took_ms, 1));
}

json seq_as_json(Seq seq) { return seq == kSeqNone ? json() : json(to_int(seq)); }

json signatures_as_json(const SignatureCounts& counts) {
  return {{"valid", counts.valid},           {"wrong", counts.wrong},
          {"unchecked", counts.unchecked()}, {"no_document", counts.no_document},
          {"no_key", counts.no_key},         {"key_changed", counts.key_changed},
          {"no_answer", counts.no_answer},   {"unreadable", counts.unreadable}};
}

json directory_as_json(const std::optional<PlcStats>& directory) {
  if (!directory) return nullptr;
  return {{"requests", directory->asked},      {"documents", directory->found},
          {"nobody", directory->none},         {"refused", directory->refused},
          {"no_answer", directory->no_answer}, {"from_cache", directory->from_cache}};
}

bool is_all_zero(const SignatureCounts& counts) {
  return counts.valid + counts.wrong + counts.unchecked() == 0;
}

template <typename Counts>
json counts_as_json(const Counts& counts) {
  json out = json::object();
  for (const auto& [name, count] : counts) out[std::string(name)] = count;
  return out;
}

std::string counts_as_text(const std::map<std::string_view, std::uint64_t>& counts) {
  std::string out;
  for (const auto& [name, count] : counts) {
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name, format_count(count));
  }
  return out;
}

std::string signatures_as_text(std::string_view name, const SignatureCounts& counts) {
  std::string out =
      fmt::format("  {} valid {}, wrong {}, unchecked {}", name, format_count(counts.valid),
                  format_count(counts.wrong), format_count(counts.unchecked()));
  if (counts.unchecked() > 0) {
    out += fmt::format(" (no document {}, no key {}, key changed {}, no answer {}, unreadable {})",
                       format_count(counts.no_document), format_count(counts.no_key),
                       format_count(counts.key_changed), format_count(counts.no_answer),
                       format_count(counts.unreadable));
  }
  return out + "\n";
}

class Text {
 public:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }
  void raw(std::string_view text) { out_ += text; }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

std::string_view verdict_of(const VerifySummary& summary, const Result<void>& result) {
  if (!result) return "failed";
  return summary.totals.findings == 0 ? "clean" : "findings";
}

}  // namespace

std::string to_text_line(const VerifyRow& row) {
  const std::string place =
      row.seq ? std::to_string(to_int(*row.seq)) : fmt::format("frame {}", row.frame);
  const std::string op = row.finding->op ? fmt::format("  [{}]", *row.finding->op) : std::string();
  return one_line(fmt::format("{}  {}  {}{}  {}", place, row.did.empty() ? "-" : row.did,
                              row.finding->what, op, row.finding->detail)) +
         "\n";
}

std::string to_json_line(const VerifyRow& row) {
  json out;
  out["seq"] = row.seq ? json(to_int(*row.seq)) : json();
  if (!row.seq) out["frame"] = row.frame;
  out["did"] = row.did;
  out["what"] = row.finding->what;
  if (row.finding->op) out["op"] = *row.finding->op;
  out["detail"] = row.finding->detail;
  return dumped(out);
}

std::string to_text(const VerifySummary& summary, const Result<void>& result) {
  const VerifyTotals& totals = summary.totals;
  Text text;
  text.line("{}: {} frames, seq {} .. {}, {}, {} frames/s", one_line(summary.source),
            format_count(totals.frames), to_int(totals.first), to_int(totals.last),
            format_size(totals.bytes), format_count(frames_per_second(summary)));
  if (summary.has_files) text.line("  every stored byte matches its checksums");
  if (totals.frames > 0) text.line("  kinds: {}", counts_as_text(totals.by_kind));
  text.line("  checked: blocks {}, commit objects {}, operations {}, inversions {}, chain {}",
            format_count(totals.blocks), format_count(totals.objects),
            format_count(totals.operations), format_count(totals.inversions),
            format_count(totals.chained));
  if (totals.lacks_prev_data > 0) {
    text.line("  of before Sync v1.1, not inverted: {}, of which too big {}",
              format_count(totals.lacks_prev_data), format_count(totals.too_big));
  }
  text.raw(signatures_as_text("signatures:", totals.signatures));
  if (!is_all_zero(totals.labels)) {
    text.raw(signatures_as_text("signatures of labels:", totals.labels));
  }
  if (summary.did_documents_refused + summary.did_documents_without_key > 0) {
    text.line("  DID documents: {}, of which without a usable key {}; refused {}",
              format_count(summary.did_documents), format_count(summary.did_documents_without_key),
              format_count(summary.did_documents_refused));
  }
  if (summary.directory) {
    const PlcStats& asked = *summary.directory;
    text.line(
        "  directory: {} requests, documents {}, nobody {}, refused {}, no answer {}; from the "
        "cache {}",
        format_count(asked.asked), format_count(asked.found), format_count(asked.none),
        format_count(asked.refused), format_count(asked.no_answer), format_count(asked.from_cache));
  }
  if (totals.breaks_across_gaps > 0) {
    text.line("  breaks of chains where the archive has a gap: {}",
              format_count(totals.breaks_across_gaps));
  }
  if (totals.repos_forgotten > 0) {
    text.line("  repositories forgotten for want of room (--repos-max): {}",
              format_count(totals.repos_forgotten));
  }
  if (totals.findings > 0) {
    text.line("  findings: {} ({})", format_count(totals.findings),
              counts_as_text(totals.by_finding));
  }
  if (summary.left_out > 0) {
    text.line("  of which not listed (--findings-max): {}", format_count(summary.left_out));
  }
  text.line("  result: {}", verdict_of(summary, result));
  return text.take();
}

std::string to_json_line(const VerifySummary& summary, const Result<void>& result) {
  const VerifyTotals& totals = summary.totals;
  json out = {{"source", summary.source},
              {"frames", totals.frames},
              {"bytes", totals.bytes},
              {"first", seq_as_json(totals.first)},
              {"last", seq_as_json(totals.last)},
              {"kinds", counts_as_json(totals.by_kind)},
              {"checked",
               {{"stored_files", summary.has_files},
                {"blocks", totals.blocks},
                {"commit_objects", totals.objects},
                {"operations", totals.operations},
                {"inversions", totals.inversions},
                {"chain", totals.chained}}},
              {"lacks_prev_data", totals.lacks_prev_data},
              {"too_big", totals.too_big},
              {"signatures", signatures_as_json(totals.signatures)},
              {"label_signatures", signatures_as_json(totals.labels)},
              {"did_documents",
               {{"read", summary.did_documents},
                {"refused", summary.did_documents_refused},
                {"without_key", summary.did_documents_without_key}}},
              {"directory", directory_as_json(summary.directory)},
              {"breaks_across_gaps", totals.breaks_across_gaps},
              {"repos_forgotten", totals.repos_forgotten},
              {"findings", totals.findings},
              {"findings_by_kind", counts_as_json(totals.by_finding)},
              {"findings_left_out", summary.left_out},
              {"took_ms", summary.took_ms},
              {"frames_per_second", frames_per_second(summary)},
              {"result", verdict_of(summary, result)},
              {"error", nullptr}};
  if (!result) {
    out["error"] = {{"code", code_name(result.error().code)}, {"detail", result.error().detail}};
  }
  return dumped(out);
}

}  // namespace standpipe::tools
