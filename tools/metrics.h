// All that a mirror knows of itself, as metrics of Prometheus. docs/metrics.md lists them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "replay/health.h"
#include "replay/options.h"
#include "storage/types.h"
#include "tools/mirror.h"
#include "tools/mirror_status.h"
#include "tools/process_usage.h"

namespace standpipe::tools {

struct MetricsSample {
  std::string verb;     // "mirror", "archive", "serve"
  std::string version;  // ours
  std::uint32_t format_version = 0;
  MirrorSample mirror;
  replay::HealthReport health;
  std::vector<storage::StreamInfo> streams;  // all of the archive
  std::vector<storage::PartitionInfo> partitions;
  std::map<std::string, std::size_t> live_bytes;  // by stream, where it serves
  std::optional<replay::ServerOptions> serving;   // likewise, as they are in effect
  archiver::StreamOptions following;
  storage::ArchiveOptions archive;
  ProcessUsage process;
};

// The oldest partition of the stream's newest epoch that holds frames; null: there is none.
const storage::PartitionInfo* oldest_partition(const MetricsSample& sample,
                                               const storage::StreamInfo& stream);

// Every family is there, whatever runs. Labels have few values: names of streams, and those of our
// enumerations; never a DID, never an address. Any thread.
std::string metrics_text(const MetricsSample& sample);

}  // namespace standpipe::tools
