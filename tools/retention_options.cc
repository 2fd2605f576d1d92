#include "tools/retention_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "storage/archive.h"
#include "tools/values.h"

namespace standpipe::tools {
namespace {

using storage::RetentionLimits;

Result<std::int64_t> parse_age(std::string_view text) {
  STANDPIPE_TRY(const std::int64_t age_ms, parse_duration_ms(text));
  if (age_ms < storage::kRetentionAgeMinMs || age_ms > storage::kRetentionAgeMaxMs) {
    return Error{Errc::invalid, fmt::format("'{}': an age to keep is {} to {}", text,
                                            format_duration_ms(storage::kRetentionAgeMinMs),
                                            format_duration_ms(storage::kRetentionAgeMaxMs))};
  }
  return age_ms;
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  STANDPIPE_TRY(const std::uint64_t bytes, parse_size(text));
  if (bytes < storage::kRetentionBytesMin) {
    return Error{Errc::invalid, fmt::format("'{}': bytes to keep are at least {}", text,
                                            format_size(storage::kRetentionBytesMin))};
  }
  return bytes;
}

Error not_a_retention(std::string_view text) {
  return Error{Errc::invalid,
               fmt::format("'{}': wanted STREAM=AGE, STREAM=SIZE, STREAM=AGE,SIZE or "
                           "STREAM=all, as in repos=14d,200GiB",
                           text)};
}

// One of an age and a size; each at most once.
Result<void> take_part(std::string_view part, RetentionLimits& limits) {
  if (parse_duration_ms(part)) {
    if (limits.age_ms) return Error{Errc::invalid, fmt::format("'{}': a second age", part)};
    STANDPIPE_TRY(limits.age_ms, parse_age(part));
    return {};
  }
  if (!parse_size(part)) {
    return Error{Errc::invalid, fmt::format("'{}' is neither an age, as in 14d, nor a size, as in "
                                            "200GiB",
                                            part)};
  }
  if (limits.stored_bytes) return Error{Errc::invalid, fmt::format("'{}': a second size", part)};
  STANDPIPE_TRY(limits.stored_bytes, parse_bytes(part));
  return {};
}

}  // namespace

Result<std::pair<std::string, RetentionLimits>> parse_stream_retention(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals + 1 == text.size()) return not_a_retention(text);
  std::pair<std::string, RetentionLimits> parsed(text.substr(0, equals), RetentionLimits{});
  STANDPIPE_CHECK(storage::check_stream_name(parsed.first));
  std::string_view rest = text.substr(equals + 1);
  if (rest == "all") return parsed;
  for (;;) {
    const std::size_t comma = rest.find(',');
    if (const auto taken = take_part(rest.substr(0, comma), parsed.second); !taken) {
      return Error{Errc::invalid, fmt::format("{}: {}", parsed.first, taken.error().detail)};
    }
    if (comma == std::string_view::npos) return parsed;
    rest.remove_prefix(comma + 1);
  }
}

void add_retention_options(OptionTable& table, storage::RetentionPolicy& policy) {
  table.judged(
      "retain-age", "DURATION", OptionTable::Times::once,
      [&policy](std::string_view text) -> Result<void> {
        STANDPIPE_TRY(policy.each.age_ms, parse_age(text));
        return {};
      },
      "Let go of partitions that end further behind the newest frame of their stream "
      "(default: keep all)");
  table.judged(
      "retain-bytes", "SIZE", OptionTable::Times::once,
      [&policy](std::string_view text) -> Result<void> {
        STANDPIPE_TRY(policy.each.stored_bytes, parse_bytes(text));
        return {};
      },
      "Let go of the oldest partitions of a stream while it stores more than this in "
      "table files; the log comes on top (default: keep all)");
  table.judged(
      "retain", "STREAM=AGE,SIZE", OptionTable::Times::any,
      [&policy](std::string_view text) -> Result<void> {
        STANDPIPE_TRY(auto parsed, parse_stream_retention(text));
        const std::string name = parsed.first;
        if (policy.by_stream.insert(std::move(parsed)).second) return {};
        return Error{Errc::invalid, fmt::format("'{}': stream {} has one already", text, name)};
      },
      "For one stream, in place of the two above: repos=14d,200GiB, mod.bsky.app=1GiB, "
      "labels=all; repeatable");
}

Result<void> check_retention(const storage::ArchiveOptions& archive) {
  if (!archive.partition_span_ms) return {};
  const std::int64_t span_ms = *archive.partition_span_ms;
  const auto check = [span_ms](const RetentionLimits& limits,
                               std::string_view option) -> Result<void> {
    if (!limits.age_ms || span_ms <= *limits.age_ms) return {};
    return Error{
        Errc::invalid,
        fmt::format("--partition-span {} is longer than {} {}: partitions go whole, so it "
                    "has to be shorter",
                    format_duration_ms(span_ms), option, format_duration_ms(*limits.age_ms))};
  };
  STANDPIPE_CHECK(check(archive.retention.each, "--retain-age"));
  for (const auto& [stream, limits] : archive.retention.by_stream) {
    STANDPIPE_CHECK(check(limits, fmt::format("--retain {}", stream)));
  }
  return {};
}

Result<void> check_retained_streams(const storage::RetentionPolicy& policy,
                                    const std::vector<storage::StreamInfo>& streams) {
  for (const auto& [name, limits] : policy.by_stream) {
    const auto is_it = [&name = name](const storage::StreamInfo& one) {
      return one.spec.name == name;
    };
    if (std::any_of(streams.begin(), streams.end(), is_it)) continue;
    std::vector<std::string> names;
    for (const storage::StreamInfo& one : streams) names.push_back(one.spec.name);
    return Error{Errc::invalid, fmt::format("--retain {}: the archive has no stream of that name, "
                                            "but {}",
                                            name, fmt::join(names, ", "))};
  }
  return {};
}

}  // namespace standpipe::tools
