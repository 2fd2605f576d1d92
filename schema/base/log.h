// One line per event, to stderr. The only global of the project.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "schema/base/clock.h"
#include "schema/base/result.h"

namespace standpipe {

enum class LogLevel : std::uint8_t { debug, info, warn, error };

std::string_view to_string(LogLevel level);               // "debug", "info", "warn", "error"
Result<LogLevel> parse_log_level(std::string_view text);  // invalid, and names the four

enum class LogForm : std::uint8_t {
  text,  // 2026-01-02T03:04:05.678Z warn upstream closed the connection
  json,  // {"time":"2026-01-02T03:04:05.678Z","level":"warn","text":"upstream closed ..."}
};

// Writes one line, whatever `text` holds: control characters and bytes that are not UTF-8 are
// escaped, since much of what is logged was sent by strangers. Any thread; a line is never torn.
void log(LogLevel level, std::string_view text);

inline void log_debug(std::string_view text) { log(LogLevel::debug, text); }
inline void log_info(std::string_view text) { log(LogLevel::info, text); }
inline void log_warn(std::string_view text) { log(LogLevel::warn, text); }
inline void log_error(std::string_view text) { log(LogLevel::error, text); }

// Lines below `level` are dropped. At first info. Any thread.
void log_set_level(LogLevel level);
bool log_is_on(LogLevel level);  // for text that is costly to make

// At first text. To be called before other threads log.
void log_set_form(LogForm form);

// A line that foreign garbage could repeat without end: at most one per interval, which then says
// how many were left out. One object for each place that logs, held by whoever logs there.
// Any thread. `clock` must outlive it.
class LogEvery {
 public:
  LogEvery(const Clock& clock, std::int64_t interval_ms)
      : clock_(&clock), interval_ms_(interval_ms) {}

  // Returns whether a line was due.
  bool log(LogLevel level, std::string_view text);

 private:
  const Clock* clock_;  // not ours
  const std::int64_t interval_ms_;
  std::atomic<std::int64_t> next_ms_ = INT64_MIN;  // nothing is written before
  std::atomic<std::uint64_t> left_out_ = 0;        // since the last line that was written
};

}  // namespace standpipe
