#include "tools/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/frame.h"

namespace standpipe::tools {
namespace {

using nlohmann::json;

constexpr std::size_t kGapsMax = 1'000;          // listed per epoch
constexpr std::size_t kQuarantineMax = 100'000;  // counted by reason
constexpr std::size_t kQuarantineListed = 10;
constexpr std::size_t kQuarantineHeadBytes = 32;  // of each one listed
constexpr std::size_t kNotesMax = 20;

// 0 is "never" wherever a time is stored.
json time_or_null(std::int64_t ms) { return ms == 0 ? json() : json(format_datetime_ms(ms)); }

json seq_or_null(Seq seq) { return seq == kSeqNone ? json() : json(to_int(seq)); }

json describe_partition(const storage::PartitionInfo& partition) {
  return {{"id", to_int(partition.id)},
          {"state", storage::to_string(partition.state)},
          {"container", partition.container},
          {"codec", partition.codec},
          {"first", seq_or_null(partition.first)},
          {"last", seq_or_null(partition.last)},
          {"clock_first", time_or_null(partition.clock_first_ms)},
          {"clock_last", time_or_null(partition.clock_last_ms)},
          {"frames", partition.frames},
          {"raw_bytes", partition.raw_bytes},
          {"groups", partition.groups},
          {"digest", to_hex(partition.digest)}};
}

json describe_gap(const storage::Gap& gap) {
  return {{"after", to_int(gap.after)},
          {"before", to_int(gap.before)},
          {"missing", distance(gap.after, gap.before) - 1},
          {"reason", storage::to_string(gap.reason)},
          {"recorded", time_or_null(gap.recorded_ms)},
          {"detail", gap.detail}};
}

Result<json> describe_epoch(const storage::Archive& archive, const storage::EpochInfo& epoch) {
  json out = {{"number", to_int(epoch.number)},
              {"id", to_hex(epoch.id)},
              {"started", time_or_null(epoch.started_ms)},
              {"reason", epoch.reason},
              {"origin", epoch.origin ? json(to_int(*epoch.origin)) : json()},
              {"floor", to_int(epoch.floor)},
              {"newest", seq_or_null(epoch.newest)},
              {"window_floor", to_int(epoch.window_floor)},
              {"clock", time_or_null(epoch.clock_ms)},
              {"frames", epoch.frames},
              {"raw_bytes", epoch.raw_bytes},
              {"partitions", json::array()},
              {"gaps", json::array()}};
  // The one that is made ready for what comes next is empty: it belongs behind the others.
  std::vector<storage::PartitionInfo> partitions = archive.partitions();
  std::stable_partition(partitions.begin(), partitions.end(),
                        [](const auto& partition) { return partition.frames > 0; });
  for (const storage::PartitionInfo& partition : partitions) {
    if (partition.stream != epoch.stream || partition.epoch != epoch.number) continue;
    out["partitions"].push_back(describe_partition(partition));
  }
  STANDPIPE_TRY(const auto gaps,
                archive.gaps(epoch.stream, epoch.number, kSeqNone, kSeqMax, kGapsMax + 1));
  for (std::size_t i = 0; i < std::min(gaps.size(), kGapsMax); ++i) {
    out["gaps"].push_back(describe_gap(gaps[i]));
  }
  out["gaps_complete"] = gaps.size() <= kGapsMax;
  return out;
}

Result<json> describe_stream(const storage::Archive& archive, const storage::StreamInfo& stream) {
  json out = {
      {"name", stream.spec.name},       {"kind", storage::to_string(stream.spec.kind)},
      {"url", stream.spec.url},         {"density", storage::to_string(stream.spec.density)},
      {"id", to_hex(stream.unique_id)}, {"created", time_or_null(stream.created_ms)},
      {"epochs", json::array()}};
  for (const storage::EpochInfo& epoch : stream.epochs) {
    STANDPIPE_TRY(json described, describe_epoch(archive, epoch));
    out["epochs"].push_back(std::move(described));
  }
  return out;
}

using StreamNames = std::map<storage::StreamId, std::string>;

std::string name_of(const StreamNames& names, storage::StreamId id) {
  const auto found = names.find(id);
  return found == names.end() ? "" : found->second;
}

Result<json> describe_quarantine(const storage::Archive& archive, const StreamNames& names) {
  const storage::ArchiveStats stats = archive.stats();
  STANDPIPE_TRY(const auto entries, archive.quarantine(kQuarantineMax));
  json by_reason = json::object();
  json newest = json::array();
  for (const storage::QuarantineEntry& entry : entries) {
    auto& count = by_reason[std::string(to_string(entry.reason))];
    count = count.is_null() ? 1 : count.get<std::uint64_t>() + 1;
    if (newest.size() >= kQuarantineListed) continue;
    const ByteView head =
        as_bytes(entry.bytes).first(std::min(entry.bytes.size(), kQuarantineHeadBytes));
    newest.push_back({{"number", entry.number},
                      {"stream", name_of(names, entry.stream)},
                      {"reason", to_string(entry.reason)},
                      {"received", time_or_null(entry.received_ms)},
                      {"seq", entry.seq ? json(to_int(*entry.seq)) : json()},
                      {"bytes", entry.bytes_total},
                      {"head", to_hex(head)}});
  }
  return json{{"entries", stats.quarantine_entries},
              {"bytes", stats.quarantine_bytes},
              {"by_reason", std::move(by_reason)},
              {"newest", std::move(newest)}};
}

Result<json> describe_notes(const storage::Archive& archive, const StreamNames& names) {
  STANDPIPE_TRY(const auto notes, archive.notes(kNotesMax));
  json out = json::array();
  for (const storage::Note& note : notes) {
    out.push_back({{"number", note.number},
                   {"stream", name_of(names, note.stream)},
                   {"when", time_or_null(note.when_ms)},
                   {"kind", note.kind},
                   {"text", note.text}});
  }
  return out;
}

json describe_sizes(const storage::ArchiveStats& stats, std::uint64_t raw_bytes) {
  json out = {{"raw", raw_bytes},
              {"stored", stats.stored_bytes},
              {"log", stats.log_bytes},
              {"free", stats.free_bytes}};
  // Until the first tables are written the log holds everything, and a ratio would mean nothing.
  out["stored_over_raw"] =
      raw_bytes > 0 && stats.stored_bytes > 0
          ? json(static_cast<double>(stats.stored_bytes) / static_cast<double>(raw_bytes))
          : json();
  return out;
}

}  // namespace

Result<std::string> describe_archive(const storage::Archive& archive, std::string_view stream) {
  const storage::ArchiveStats stats = archive.stats();
  json streams = json::array();
  StreamNames names;
  std::uint64_t raw_bytes = 0;
  for (const storage::StreamInfo& info : archive.streams()) {
    names[info.id] = info.spec.name;
    for (const storage::EpochInfo& epoch : info.epochs) raw_bytes += epoch.raw_bytes;
    if (!stream.empty() && info.spec.name != stream) continue;
    STANDPIPE_TRY(json described, describe_stream(archive, info));
    streams.push_back(std::move(described));
  }
  STANDPIPE_TRY(json quarantine, describe_quarantine(archive, names));
  STANDPIPE_TRY(json notes, describe_notes(archive, names));
  const json out = {{"directory", archive.directory().string()},
                    {"archive", to_hex(archive.unique_id())},
                    {"format", archive.format_version()},
                    {"health", storage::to_string(stats.health)},
                    {"health_detail", stats.health_detail},
                    {"bytes", describe_sizes(stats, raw_bytes)},
                    {"streams", std::move(streams)},
                    {"quarantine", std::move(quarantine)},
                    {"notes", std::move(notes)}};
  // Details and notes hold what upstream said, which need not be UTF-8.
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace standpipe::tools
