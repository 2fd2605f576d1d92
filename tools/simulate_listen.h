// `simulate --listen`: the network as an upstream for other programs.
#pragma once

#include <string>
#include <string_view>

#include "schema/base/result.h"
#include "tools/sim/host.h"

namespace standpipe::tools {

// Until a signal, which is what `is_stopping` of the options becomes. `ready_file`: written once it
// listens; empty: none.
Result<void> listen_until_stopped(sim::HostOptions options, const std::string& ready_file);

}  // namespace standpipe::tools
