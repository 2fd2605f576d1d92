// `simulate --listen`: the network as an upstream for other programs.
#pragma once

#include <string>
#include <string_view>

#include "schema/base/result.h"
#include "tools/sim/host.h"

namespace standpipe::tools {

// Until a signal. `ready_file`: written once it listens; empty: none.
Result<void> listen_until_stopped(const sim::HostOptions& options, const std::string& ready_file);

}  // namespace standpipe::tools
