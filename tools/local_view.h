// The view of an archive that is open in this process.
#pragma once

#include <memory>

#include "tools/archive_view.h"

namespace standpipe::tools {

std::unique_ptr<ArchiveView> make_local_view(std::unique_ptr<storage::Archive> archive);

}  // namespace standpipe::tools
