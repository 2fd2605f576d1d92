// The options of an archive, for every verb that writes to one.
#pragma once

#include "storage/options.h"
#include "tools/options.h"

namespace standpipe::tools {

// --partition-span, --partition-bytes, ..., --min-free, --quarantine-bytes.
void add_archive_options(OptionTable& table, storage::ArchiveOptions& archive);

}  // namespace standpipe::tools
