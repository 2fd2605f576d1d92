// Points in time as text: the datetime of atproto, and RFC 3339 in general.
// Spec: atproto lexicon, "datetime".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "schema/base/result.h"

namespace standpipe {

inline constexpr std::size_t kDatetimeBytesMax = 64;

// A datetime that is valid by the strict rules, as it was written. The text is kept, because
// datetimes are never re-formatted on their way.
class Datetime {
 public:
  // malformed with the rule that is broken: syntax, no such day or hour, -00:00, before year 0.
  static Result<Datetime> parse(std::string_view text);

  const std::string& text() const { return text_; }
  std::int64_t ms() const { return ms_; }  // since 1970; fractions beyond milliseconds are cut off

  // Compares the text, so that 12:00Z and 12:00+00:00 differ; compare ms() for the instant.
  friend bool operator==(const Datetime& a, const Datetime& b) { return a.text_ == b.text_; }

 private:
  Datetime(std::string_view text, std::int64_t ms) : text_(text), ms_(ms) {}

  std::string text_;
  std::int64_t ms_;
};

// Milliseconds since 1970 of an RFC 3339 datetime; nullopt if it is not one. More forgiving than
// Datetime, since it judges nobody: small letters, -00:00, leap seconds and any number of fraction
// digits are read. Years 0000 to 9999; fractions beyond milliseconds are cut off.
std::optional<std::int64_t> parse_datetime_ms(std::string_view text);

// "2026-01-02T03:04:05.678Z". Years outside of 0000 to 9999 get the digits and the sign they need.
std::string format_datetime_ms(std::int64_t ms);

}  // namespace standpipe
