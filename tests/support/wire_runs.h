// Runs in wire form, as a commit reports them, of a test's own frames.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "storage/run.h"
#include "tests/support/frames.h"

namespace standpipe::test {

// Of make_frame(spec), in order; the seqs must rise.
storage::WireRunPtr make_run(std::span<const FrameSpec> specs);
// Of make_frame(seq) for first .. last.
storage::WireRunPtr make_run(std::int64_t first, std::int64_t last);

}  // namespace standpipe::test
