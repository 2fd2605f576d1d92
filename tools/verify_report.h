// What `verify` says: a line for each finding, and the sums.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "schema/base/result.h"
#include "tools/plc_keys.h"
#include "tools/verify_run.h"

namespace standpipe::tools {

struct VerifySummary {
  std::string source;      // the file, or the archive, stream and epoch
  bool has_files = false;  // the stored bytes of the archive match their checksums
  VerifyTotals totals;
  std::uint64_t left_out = 0;  // findings of which no line was written
  std::size_t did_documents = 0;
  std::size_t did_documents_refused = 0;
  std::size_t did_documents_without_key = 0;
  std::optional<PlcStats> directory;  // of --plc
  std::int64_t took_ms = 0;
};

// With line ends. JSON: {seq, did, what, op, detail}; `seq` is null and `frame` its number where a
// frame has no seq.
std::string to_text_line(const VerifyRow& row);
std::string to_json_line(const VerifyRow& row);

// `result` says whether all of the range was read. JSON: one line, in which "result" is "clean",
// "findings" or "failed"; the last with "error": {code, detail}.
std::string to_text(const VerifySummary& summary, const Result<void>& result);
std::string to_json_line(const VerifySummary& summary, const Result<void>& result);

}  // namespace standpipe::tools
