// How many descriptors this process may have open.
#pragma once

#include <cstddef>

namespace standpipe {

// Raises the limit (RLIMIT_NOFILE) as far as the process may; what it is then. SIZE_MAX: none. Any
// thread.
std::size_t raise_descriptor_limit();

}  // namespace standpipe
