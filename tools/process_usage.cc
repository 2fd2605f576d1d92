#include "tools/process_usage.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace standpipe::tools {
namespace {

// When the system came up, in seconds since 1970.
double booted_at_seconds() {
  std::ifstream file("/proc/stat");
  for (std::string word; file >> word;) {
    double seconds = 0;
    if (word == "btime" && file >> seconds) return seconds;
  }
  return 0;
}

}  // namespace

ProcessUsage process_usage() {
  ProcessUsage usage;
  std::error_code ec;
  // The directory that counts has a descriptor of its own.
  for (std::filesystem::directory_iterator entry("/proc/self/fd", ec), end; !ec && entry != end;
       entry.increment(ec)) {
    ++usage.descriptors;
  }
  if (usage.descriptors > 0) --usage.descriptors;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) usage.descriptors_max = limit.rlim_cur;

  std::ifstream file("/proc/self/stat");
  const std::string stat{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::size_t name_end = stat.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return usage;
  std::istringstream fields(stat.substr(name_end + 1));
  const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  std::string field;
  // proc(5): the state is field 3.
  for (int number = 3; number <= 24 && fields >> field; ++number) {
    const double value = number == 3 ? 0 : std::stod(field);
    if (number == 14 || number == 15) usage.cpu_seconds += value / ticks;
    if (number == 20) usage.threads = static_cast<std::uint64_t>(value);
    if (number == 22) usage.started_at_seconds = booted_at_seconds() + value / ticks;
    if (number == 23) usage.virtual_bytes = static_cast<std::uint64_t>(value);
    if (number == 24) {
      usage.resident_bytes =
          static_cast<std::uint64_t>(value) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    }
  }
  return usage;
}

}  // namespace standpipe::tools
