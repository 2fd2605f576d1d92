#include "tests/support/bench_process.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include "tests/support/http_exchange.h"

namespace standpipe::test {
namespace {

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

std::vector<int> cores_here() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) fail("no list of cores");
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(static_cast<std::size_t>(core), &set)) cores.push_back(core);
  }
  return cores;
}

// False: it may not run there.
bool run_on(const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(static_cast<std::size_t>(core), &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Of lines like "wchar: 1234" and "Slab:  12 kB".
std::uint64_t number_in(const std::string& text, std::string_view name) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name)) continue;
    return std::strtoull(line.c_str() + name.size(), nullptr, 10);
  }
  return 0;
}

std::uint64_t kilobytes_in(const std::string& text, std::string_view name) {
  return number_in(text, name) * 1024;
}

// The kernel's objects of sockets, as /proc/slabinfo has them: "NAME ACTIVE ALL SIZE ...".
std::uint64_t socket_objects(const std::string& text) {
  constexpr std::array kCaches = {
      "TCP",           "TCPv6",   "sock_inode_cache",  "filp",
      "eventpoll_epi", "ep_head", "skbuff_head_cache", "skbuff_small_head"};
  std::uint64_t bytes = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t active = 0, all = 0, size = 0;
    if (!(words >> name >> active >> all >> size)) continue;
    if (std::find(kCaches.begin(), kCaches.end(), name) != kCaches.end()) bytes += active * size;
  }
  return bytes;
}

}  // namespace

BenchCores bench_cores() {
  BenchCores cores;
  cores.all = cores_here();
  cores.server = {cores.all.front()};
  cores.load =
      cores.all.size() == 1 ? cores.all : std::vector(cores.all.begin() + 1, cores.all.end());
  return cores;
}

std::string to_string(const BenchCores& cores) {
  return fmt::format("server on core {}, load on {}{}", fmt::join(cores.server, ","),
                     fmt::join(cores.load, ","),
                     cores.all.size() == 1 ? " (the same: there is one)" : "");
}

PinnedHere::PinnedHere(const std::vector<int>& cores) : before_(cores_here()) {
  if (!run_on(cores)) fail("cannot be pinned to a core");
}
PinnedHere::~PinnedHere() { run_on(before_); }

double process_cpu_seconds(pid_t process) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &time) != 0) {
    fail(fmt::format("no CPU time of process {}", process));
  }
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

std::vector<double> thread_cpu_seconds(pid_t process, std::string_view name) {
  std::vector<double> seconds;
  for (const ThreadUse& thread : thread_uses(process)) {
    if (thread.name == name) seconds.push_back(thread.cpu_seconds);
  }
  if (seconds.empty()) fail(fmt::format("process {} has no thread '{}'", process, name));
  return seconds;
}

std::vector<ThreadUse> thread_uses(pid_t process) {
  std::vector<ThreadUse> uses;
  const std::filesystem::path tasks = fmt::format("/proc/{}/task", process);
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    ThreadUse use;
    use.id = static_cast<pid_t>(std::stol(task.path().filename()));
    use.name = text_of(task.path() / "comm");
    if (use.name.empty()) continue;  // it has ended meanwhile
    use.name.pop_back();             // the end of the line
    // Nanoseconds on a core, nanoseconds in the queue for one, times it was given one.
    use.cpu_seconds = std::strtod(text_of(task.path() / "schedstat").c_str(), nullptr) / 1e9;
    uses.push_back(std::move(use));
  }
  std::sort(uses.begin(), uses.end(),
            [](const ThreadUse& a, const ThreadUse& b) { return a.id < b.id; });
  return uses;
}

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("no limit of descriptors");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("the limit of descriptors cannot be raised");
  return static_cast<std::size_t>(limit.rlim_cur);
}

MemoryUse memory_use(pid_t process) {
  MemoryUse use;
  const std::string maps = text_of(fmt::format("/proc/{}/smaps_rollup", process));
  use.process_bytes = kilobytes_in(maps, "Private_Dirty:") + kilobytes_in(maps, "Private_Clean:");
  const std::string sockets = text_of("/proc/net/sockstat");
  const std::size_t tcp = sockets.find("TCP:");
  const std::size_t pages = tcp == std::string::npos ? tcp : sockets.find(" mem ", tcp);
  if (pages == std::string::npos) fail("/proc/net/sockstat tells no memory of TCP");
  use.tcp_bytes = std::strtoull(sockets.c_str() + pages + 5, nullptr, 10) *
                  static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  use.socket_bytes = socket_objects(text_of("/proc/slabinfo"));
  return use;
}

ProcessSize process_size(pid_t process) {
  ProcessSize size;
  size.resident_bytes = kilobytes_in(text_of(fmt::format("/proc/{}/status", process)), "VmRSS:");
  if (size.resident_bytes == 0) fail(fmt::format("no resident size of process {}", process));
  const std::filesystem::path descriptors = fmt::format("/proc/{}/fd", process);
  for (const auto& descriptor : std::filesystem::directory_iterator(descriptors)) {
    std::error_code gone;  // closed between two looks
    const auto target = std::filesystem::read_symlink(descriptor.path(), gone);
    ++size.descriptors;
    const bool is_table = target.string().find(".sst") != std::string::npos;
    if (!gone && (is_table || target.filename() == "db")) ++size.database_descriptors;
  }
  return size;
}

std::uint64_t available_memory_bytes() {
  return kilobytes_in(text_of("/proc/meminfo"), "MemAvailable:");
}

std::uint64_t monotonic_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(time.tv_nsec);
}

BenchServer::BenchServer(const std::string& verb, std::vector<std::string> arguments,
                         const std::vector<int>& cores)
    : dir_(std::make_unique<TempDir>(TempDir::Where::memory)) {
  start(verb, *dir_ / "archive", std::move(arguments), cores);
}

BenchServer::BenchServer(const std::string& verb, const std::filesystem::path& archive,
                         std::vector<std::string> arguments, const std::vector<int>& cores) {
  start(verb, archive, std::move(arguments), cores);
}

void BenchServer::start(const std::string& verb, const std::filesystem::path& archive,
                        std::vector<std::string> arguments, const std::vector<int>& cores) {
  arguments.insert(arguments.begin(),
                   {verb, "--data", archive.string(), "--quiet", "--log-level", "warn",
                    "--connections", "100000", "--connections-per-address", "100000",
                    "--ping-interval", "1h", "--stall-timeout", "1h"});
  if (verb == "mirror") {
    arguments.insert(arguments.end(), {"--min-free", "0", "--idle-timeout", "1h"});
  }
  const PinnedHere pinned(cores);
  process_ = std::make_unique<NetworkProcess>(std::move(arguments));
}

void wait_until_durable(const NetworkProcess& server, std::int64_t seq) {
  const Deadline deadline = deadline_from_now();
  for (;;) {
    const auto health = nlohmann::json::parse(http_get(server.port(), "/xrpc/_health").body);
    for (const auto& stream : health["streams"]) {
      if (stream["name"] == "repos" && stream["seq"].is_number() && stream["seq"] >= seq) return;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      fail(fmt::format("waited in vain for seq {}: {}\n{}", seq, health.dump(),
                       server.error_text()));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

ForkedProcess::ForkedProcess(const std::vector<int>& cores, const std::function<void()>& run) {
  const pid_t parent = ::getpid();
  id_ = ::fork();
  if (id_ < 0) fail("no fork");
  if (id_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  int status = 0;
  try {
    if (!run_on(cores)) fail("cannot be pinned to a core");
    run();
  } catch (const std::exception& thrown) {
    fmt::print(stderr, "{}\n", thrown.what());
    status = 1;
  }
  ::_exit(status);
}

ForkedProcess::~ForkedProcess() {
  ::kill(id_, SIGKILL);
  ::waitpid(id_, nullptr, 0);
}

bool ForkedProcess::has_ended() const {
  siginfo_t ended{};
  return ::waitid(P_PID, static_cast<id_t>(id_), &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         ended.si_pid == id_;
}

void* map_shared(std::size_t bytes) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("no shared memory");
  return memory;
}

void unmap_shared(void* memory, std::size_t bytes) { ::munmap(memory, bytes); }

}  // namespace standpipe::test
