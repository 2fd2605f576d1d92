// The DID documents of a simulated network in one file: a JSON object by DID, each as
// plc.directory serves it.
#pragma once

#include <cstdint>
#include <string>

#include "schema/base/result.h"
#include "tools/sim/labels.h"
#include "tools/sim/network.h"

namespace standpipe::tools::sim {

// Of all accounts that have appeared so far, and of the labeler if there is one; returns how many.
// The file has its name once it is complete. "-" is standard output. io.
Result<std::uint64_t> write_did_docs(const Network& network, const Labeler* labeler,
                                     const std::string& path);

}  // namespace standpipe::tools::sim
