// What each byte of a #commit frame belongs to.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "schema/base/bytes.h"

namespace standpipe::test {

struct FrameRegion {
  std::string name;  // "op path", "MST node", "prevData", "time", ...
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Of a frame that is as it should be; in order, every byte once. Ends the process with any other.
std::vector<FrameRegion> regions_of_commit(ByteView frame);

// Whether a change there must be found, whoever looks: blocks, ops, prevData, and the signature,
// which is in the blocks; and what the signed commit object repeats.
bool is_proved(const std::string& region);

// With another seq, encoded in as many bytes: both must be above 2^32.
Bytes with_seq(Bytes frame, std::int64_t seq);

// A #account frame, active, which says nothing else.
Bytes account_frame(std::string_view did, std::int64_t seq);

}  // namespace standpipe::test
