#include "tools/archive_options.h"

#include <fmt/format.h>

#include "tools/values.h"

namespace standpipe::tools {

void add_archive_options(OptionTable& table, storage::ArchiveOptions& archive) {
  table.duration_ms("partition-span", &archive.partition_span_ms,
                    "Begin a new partition after this much clock (default 24h; a sixteenth of the "
                    "age that is retained, but at least 1h)");
  table.size("partition-bytes", &archive.partition_bytes_max,
             fmt::format("Begin a new partition before it exceeds this (default {})",
                         format_size(archive.partition_bytes_max)));
  table.size("partition-bytes-min", &archive.partition_bytes_min,
             fmt::format("A smaller partition stays open beyond its span (default {})",
                         format_size(archive.partition_bytes_min)));
  table.duration_ms("partition-age-max", &archive.partition_age_max_ms,
                    fmt::format("... but not for longer than this (default {})",
                                format_duration_ms(archive.partition_age_max_ms)));
  table.size("min-free", &archive.free_bytes_min,
             fmt::format("Write nothing while the disk has less room than this (default {})",
                         format_size(archive.free_bytes_min)));
  table.size("quarantine-bytes", &archive.quarantine_bytes_max,
             fmt::format("Keep at most this much of what cannot be archived (default {})",
                         format_size(archive.quarantine_bytes_max)));
}

}  // namespace standpipe::tools
