#include "storage/retention.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "storage/options.h"

namespace standpipe::storage {
namespace {

constexpr std::int64_t kHourMs = 3'600'000;
constexpr std::int64_t kDefaultSpanMs = 24 * kHourMs;
constexpr std::int64_t kSpansPerAge = 16;
constexpr std::int64_t kOpenSharesPerAge = 4;
constexpr std::uint64_t kPartitionsPerLimit = 8;

}  // namespace

const RetentionLimits& RetentionPolicy::of(std::string_view stream) const {
  const auto own = by_stream.find(stream);
  return own == by_stream.end() ? each : own->second;
}

bool RetentionPolicy::is_limited() const {
  return each.is_limited() ||
         std::any_of(by_stream.begin(), by_stream.end(),
                     [](const auto& entry) { return entry.second.is_limited(); });
}

PartitionCut partition_cut(const ArchiveOptions& options, const RetentionLimits& limits) {
  PartitionCut cut{kDefaultSpanMs, options.partition_bytes_max, options.partition_age_max_ms};
  if (limits.age_ms) {
    cut.span_ms = std::clamp(*limits.age_ms / kSpansPerAge, kHourMs, kDefaultSpanMs);
  }
  if (options.partition_span_ms) cut.span_ms = *options.partition_span_ms;
  if (limits.age_ms) {
    cut.age_max_ms =
        std::min(cut.age_max_ms, std::max(cut.span_ms, *limits.age_ms / kOpenSharesPerAge));
  }
  if (limits.stored_bytes) {
    cut.bytes_max = std::min(cut.bytes_max, *limits.stored_bytes / kPartitionsPerLimit);
  }
  return cut;
}

std::vector<Expiry> expired_partitions(std::vector<StoredPartition> partitions,
                                       std::int64_t clock_ms, const RetentionLimits& limits) {
  std::sort(partitions.begin(), partitions.end(),
            [](const StoredPartition& a, const StoredPartition& b) {
              return std::tuple(a.partition.epoch, a.partition.first) <
                     std::tuple(b.partition.epoch, b.partition.first);
            });
  std::uint64_t stored = 0;
  for (const StoredPartition& one : partitions) stored += one.stored_bytes;
  std::vector<Expiry> expired;
  for (std::size_t i = 0; i + 1 < partitions.size(); ++i) {
    const PartitionInfo& partition = partitions[i].partition;
    if (partition.state != PartitionState::sealed) break;
    const bool is_old = limits.age_ms && clock_ms - partition.clock_last_ms >= *limits.age_ms;
    const bool is_too_much = limits.stored_bytes && stored > *limits.stored_bytes;
    if (!is_old && !is_too_much) break;
    expired.push_back({partition.id, is_old ? ExpiryReason::age : ExpiryReason::bytes});
    stored -= partitions[i].stored_bytes;
  }
  return expired;
}

}  // namespace standpipe::storage
