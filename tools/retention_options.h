// What an archive keeps: --retain-age, --retain-bytes and --retain.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schema/base/result.h"
#include "storage/options.h"
#include "storage/retention.h"
#include "tools/options.h"

namespace standpipe::tools {

void add_retention_options(OptionTable& table, storage::RetentionPolicy& policy);

// "STREAM=14d,200GiB": an age, a size, or both in any order; "STREAM=all" keeps everything.
// invalid: says what is allowed.
Result<std::pair<std::string, storage::RetentionLimits>> parse_stream_retention(
    std::string_view text);

// What the table cannot judge option by option: partitions longer than the age that is kept.
Result<void> check_retention(const storage::ArchiveOptions& archive);
// That each stream which is named is one of the archive's.
Result<void> check_retained_streams(const storage::RetentionPolicy& policy,
                                    const std::vector<storage::StreamInfo>& streams);

}  // namespace standpipe::tools
