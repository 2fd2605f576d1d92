#include "schema/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <memory>

#include "schema/utf8.h"

namespace standpipe {
namespace {

constexpr const char* kTextPattern = "%Y-%m-%dT%H:%M:%S.%eZ %v";
constexpr const char* kJsonPattern = R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ",%v})";

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      break;
  }
  return spdlog::level::err;
}

std::atomic<bool> is_json{false};

// Never destroyed: threads may log while the process ends.
spdlog::logger& logger() {
  static spdlog::logger* const instance = [] {
    auto* made = new spdlog::logger("standpipe", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern(kTextPattern, spdlog::pattern_time_type::utc);
    made->set_level(spdlog::level::info);
    made->flush_on(spdlog::level::debug);
    return made;
  }();
  return *instance;
}

// Escapes as JSON does. Text that is not UTF-8 has every byte above ASCII escaped, as \u00xx, so
// that a line is always UTF-8 and nothing of what was sent is lost.
std::string escape(std::string_view text, bool escapes_quotes) {
  const bool is_utf8 = is_valid_utf8(text);
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      escaped += "\\n";
    } else if (c == '\t') {
      escaped += "\\t";
    } else if (byte < 0x20 || byte == 0x7F || (byte >= 0x80 && !is_utf8)) {
      char code[8];
      std::snprintf(code, sizeof(code), "\\u%04x", static_cast<unsigned>(byte));
      escaped += code;
    } else {
      if (escapes_quotes && (c == '"' || c == '\\')) escaped.push_back('\\');
      escaped.push_back(c);
    }
  }
  return escaped;
}

}  // namespace

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warn:
      return "warn";
    case LogLevel::error:
      break;
  }
  return "error";
}

Result<LogLevel> parse_log_level(std::string_view text) {
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warn, LogLevel::error}) {
    if (text == to_string(level)) return level;
  }
  return Error{Errc::invalid,
               "log level \"" + std::string(text) + "\" is not one of debug, info, warn, error"};
}

void log(LogLevel level, std::string_view text) {
  if (!log_is_on(level)) return;
  std::string line;  // with our names of the levels: spdlog says "warning"
  if (is_json.load()) {
    line.append("\"level\":\"").append(to_string(level)).append("\",\"text\":\"");
    line.append(escape(text, true)).append("\"");
  } else {
    line.append(to_string(level)).append(" ").append(escape(text, false));
  }
  logger().log(to_spdlog(level), line);
}

void log_set_level(LogLevel level) { logger().set_level(to_spdlog(level)); }

bool log_is_on(LogLevel level) { return logger().should_log(to_spdlog(level)); }

void log_set_form(LogForm form) {
  is_json.store(form == LogForm::json);
  logger().set_pattern(form == LogForm::json ? kJsonPattern : kTextPattern,
                       spdlog::pattern_time_type::utc);
}

bool LogEvery::log(LogLevel level, std::string_view text) {
  const std::int64_t now_ms = clock_->now_ms();
  std::int64_t next_ms = next_ms_.load();
  // Of several threads that are due at once, one writes. A clock set back by more than an interval
  // must not silence the place for ever.
  const bool is_due = now_ms >= next_ms || next_ms - now_ms > interval_ms_;
  if (!is_due || !next_ms_.compare_exchange_strong(next_ms, now_ms + interval_ms_)) {
    left_out_.fetch_add(1);
    return false;
  }
  const std::uint64_t left_out = left_out_.exchange(0);
  if (left_out == 0) {
    standpipe::log(level, text);
  } else {
    standpipe::log(level, std::string(text) + " (and " + std::to_string(left_out) +
                              " more like it since the last such line)");
  }
  return true;
}

}  // namespace standpipe
