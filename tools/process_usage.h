// What the kernel says of this process.
#pragma once

#include <cstdint>

namespace standpipe::tools {

struct ProcessUsage {
  std::uint64_t resident_bytes = 0, virtual_bytes = 0;
  std::uint64_t descriptors = 0;      // open
  std::uint64_t descriptors_max = 0;  // RLIMIT_NOFILE
  std::uint64_t threads = 0;
  double cpu_seconds = 0;         // of all threads, since the start
  double started_at_seconds = 0;  // since 1970
};

// From /proc/self; what it does not say is 0. Any thread.
ProcessUsage process_usage();

}  // namespace standpipe::tools
