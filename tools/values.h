// The values that people write on a command line: sizes, durations, times, seqs; and back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "schema/base/result.h"
#include "schema/seq.h"

namespace standpipe::tools {

// Every error is Errc::invalid and says what would be allowed.

// "4096", "64KiB", "256GiB", "10MB": bytes. Powers of 1024 with an i, of 1000 without.
Result<std::uint64_t> parse_size(std::string_view text);
// "500ms", "90s", "15m", "24h", "30d": milliseconds. The unit is required, except for "0".
Result<std::int64_t> parse_duration_ms(std::string_view text);
// RFC 3339 with a zone, "2026-07-04T14:38:07Z": milliseconds since 1970.
Result<std::int64_t> parse_time_ms(std::string_view text);
// 0 .. 2^53-1.
Result<Seq> parse_seq(std::string_view text);
// Decimal digits alone, `min` .. `max`.
Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t min, std::uint64_t max);

// "not_found": how JSON names an error's code.
std::string_view code_name(Errc code);
std::optional<Errc> parse_code_name(std::string_view name);

std::string format_size(std::uint64_t bytes);     // "512 B", "1.5 GiB"
std::string format_count(std::uint64_t count);    // "12,345"
std::string format_duration_ms(std::int64_t ms);  // "24h", as parse_duration_ms reads it
std::string one_line(std::string_view text);      // line breaks and controls become spaces

}  // namespace standpipe::tools
