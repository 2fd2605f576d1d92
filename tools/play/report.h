// The account of a fixture: which faults happened, for whom, and what each connection asked for and
// was sent. The same run has the same report: it holds no times, ports or addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/play/fault_book.h"
#include "tools/play/server.h"

namespace standpipe::tools::play {

struct FixtureFigures {
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;
  std::int64_t first_seq = 0;  // 0: it is empty
  std::int64_t last_seq = 0;
  std::optional<std::uint64_t> released;  // frames that may go so far; none: all
};

// JSON in one line, with its end. docs/fixtures.md has the format.
std::string report_text(const FixtureFigures& fixture,
                        const std::vector<ConnectionRecord>& connections,
                        const std::vector<FaultAccount>& faults);

// The faults that did not happen, in one line; empty: all did.
std::string missed_text(const std::vector<FaultAccount>& faults);

}  // namespace standpipe::tools::play
