#include "tools/values.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <optional>

#include "schema/frame.h"

namespace standpipe::tools {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 10> kSizeUnits{{{"", 1},
                                           {"B", 1},
                                           {"KiB", 1ULL << 10},
                                           {"MiB", 1ULL << 20},
                                           {"GiB", 1ULL << 30},
                                           {"TiB", 1ULL << 40},
                                           {"KB", 1'000},
                                           {"MB", 1'000'000},
                                           {"GB", 1'000'000'000},
                                           {"TB", 1'000'000'000'000}}};

constexpr std::array<Unit, 5> kDurationUnits{
    {{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};

struct CodeName {
  Errc code;
  std::string_view name;
};

constexpr std::array<CodeName, 9> kCodeNames{{{Errc::malformed, "malformed"},
                                              {Errc::unsupported, "unsupported"},
                                              {Errc::not_found, "not_found"},
                                              {Errc::corrupt, "corrupt"},
                                              {Errc::io, "io"},
                                              {Errc::limit, "limit"},
                                              {Errc::closed, "closed"},
                                              {Errc::busy, "busy"},
                                              {Errc::invalid, "invalid"}}};

// The digits at the start of `text`, which is moved past them. nullopt without any, or where the
// number does not fit.
std::optional<std::uint64_t> take_digits(std::string_view& text) {
  std::uint64_t value = 0;
  std::size_t taken = 0;
  while (taken < text.size() && text[taken] >= '0' && text[taken] <= '9') {
    const auto digit = static_cast<std::uint64_t>(text[taken] - '0');
    if (value > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
    ++taken;
  }
  if (taken == 0) return std::nullopt;
  text.remove_prefix(taken);
  return value;
}

template <std::size_t kCount>
std::optional<std::uint64_t> with_unit(std::string_view text, const std::array<Unit, kCount>& units,
                                       std::uint64_t max) {
  const std::optional<std::uint64_t> number = take_digits(text);
  if (!number) return std::nullopt;
  for (const Unit& unit : units) {
    if (text != unit.name) continue;
    if (*number > max / unit.factor) return std::nullopt;
    return *number * unit.factor;
  }
  return std::nullopt;
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  const auto bytes = with_unit(text, kSizeUnits, std::numeric_limits<std::int64_t>::max());
  if (bytes) return *bytes;
  return Error{Errc::invalid,
               fmt::format("'{}' is not a size: a whole number of bytes, or with one of KiB, MiB, "
                           "GiB, TiB, KB, MB, GB, TB, as in 64MiB",
                           text)};
}

Result<std::int64_t> parse_duration_ms(std::string_view text) {
  if (text == "0") return std::int64_t{0};
  const auto ms = with_unit(text, kDurationUnits, std::numeric_limits<std::int64_t>::max());
  if (ms) return static_cast<std::int64_t>(*ms);
  return Error{Errc::invalid,
               fmt::format("'{}' is not a duration: a whole number with one of ms, s, m, h, d, as "
                           "in 24h",
                           text)};
}

Result<std::int64_t> parse_time_ms(std::string_view text) {
  const std::optional<std::int64_t> ms = parse_datetime_ms(text);
  if (ms) return *ms;
  return Error{
      Errc::invalid,
      fmt::format("'{}' is not a time: RFC 3339 with a zone, as in 2026-07-04T14:38:07Z", text)};
}

Result<Seq> parse_seq(std::string_view text) {
  std::string_view rest = text;
  const std::optional<std::uint64_t> number = take_digits(rest);
  if (!number || !rest.empty() || *number > static_cast<std::uint64_t>(to_int(kSeqMax))) {
    return Error{Errc::invalid, fmt::format("'{}' is not a seq: a whole number from 0 to {}", text,
                                            to_int(kSeqMax))};
  }
  return Seq{static_cast<std::int64_t>(*number)};
}

Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t min, std::uint64_t max) {
  std::string_view rest = text;
  const std::optional<std::uint64_t> number = take_digits(rest);
  if (!number || !rest.empty() || *number < min || *number > max) {
    return Error{Errc::invalid,
                 fmt::format("'{}' is not a whole number from {} to {}", text, min, max)};
  }
  return *number;
}

std::string_view code_name(Errc code) {
  for (const CodeName& one : kCodeNames) {
    if (one.code == code) return one.name;
  }
  return "unknown";
}

std::optional<Errc> parse_code_name(std::string_view name) {
  for (const CodeName& one : kCodeNames) {
    if (one.name == name) return one.code;
  }
  return std::nullopt;
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes);
  std::size_t name = 0;
  while (value >= 1024 && name + 1 < kNames.size()) {
    value /= 1024;
    ++name;
  }
  return fmt::format("{:.1f} {}", value, kNames[name]);
}

std::string format_count(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string format_duration_ms(std::int64_t ms) {
  if (ms <= 0) return "0";
  for (std::size_t i = kDurationUnits.size(); i-- > 0;) {
    const auto factor = static_cast<std::int64_t>(kDurationUnits[i].factor);
    if (ms % factor == 0) return fmt::format("{}{}", ms / factor, kDurationUnits[i].name);
  }
  return fmt::format("{}ms", ms);
}

std::string one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

}  // namespace standpipe::tools
