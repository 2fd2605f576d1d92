// What subscribers of the fan-out bench cost in memory, of the server and of the kernel.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>

#include "tests/support/bench_process.h"

namespace standpipe::test {

// Until the kernel's buffers have stood still for some looks.
inline MemoryUse settled_memory(pid_t process) {
  MemoryUse use = memory_use(process);
  for (int same = 0; same < 5;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const MemoryUse now = memory_use(process);
    const auto change = static_cast<double>(now.tcp_bytes) - static_cast<double>(use.tcp_bytes);
    same = std::abs(change) < 0.01 * static_cast<double>(now.tcp_bytes) + 65'536 ? same + 1 : 0;
    use = now;
  }
  return use;
}

// KB of each subscriber. Less than before is not of their making: buffers of others, who have read
// meanwhile.
struct MemoryEach {
  MemoryEach(const MemoryUse& before, const MemoryUse& after, std::size_t subscribers) {
    const auto each = [&](std::uint64_t MemoryUse::*what) {
      const auto more = static_cast<double>(after.*what) - static_cast<double>(before.*what);
      return std::max(more, 0.0) / 1024 / static_cast<double>(subscribers);
    };
    const double process = each(&MemoryUse::process_bytes), tcp = each(&MemoryUse::tcp_bytes),
                 objects = each(&MemoryUse::socket_bytes);
    all = process + tcp + objects;
    text = fmt::format(
        "{}: {:.1f} private of the server, {:.1f} TCP buffers and {:.1f} kernel "
        "objects of both ends{}",
        subscribers, process, tcp, objects,
        after.socket_bytes == 0 ? " (not readable: left out)" : "");
  }
  double all = 0;
  std::string text;
};

}  // namespace standpipe::test
