// What a bench does with the processes that it measures: a core of their own, their CPU time, their
// memory, and children of its own that serve or load.
//
// One thread at a time. What cannot be had throws std::runtime_error.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/network_process.h"
#include "tests/support/temp_dir.h"

namespace standpipe::test {

// Who runs where. With one core all share it; with two or more the server has the first, and those
// who load it the others.
struct BenchCores {
  std::vector<int> all, server, load;  // numbers of cores
};
BenchCores bench_cores();  // of those that this process may use
std::string to_string(const BenchCores& cores);

// The calling thread, and whatever it starts meanwhile, runs on these cores as long as this lives.
class PinnedHere {
 public:
  explicit PinnedHere(const std::vector<int>& cores);
  ~PinnedHere();
  PinnedHere(const PinnedHere&) = delete;
  PinnedHere& operator=(const PinnedHere&) = delete;

 private:
  std::vector<int> before_;
};

// User and system time of all threads of a process so far, to the nanosecond.
double process_cpu_seconds(pid_t process);
// Likewise of each of its threads of that name (`comm`), as long as they run.
std::vector<double> thread_cpu_seconds(pid_t process, std::string_view name);
// What each of its threads has done so far, in the order in which they were started.
struct ThreadUse {
  pid_t id = 0;
  std::string name;  // `comm`
  double cpu_seconds = 0;
};
std::vector<ThreadUse> thread_uses(pid_t process);
double sum(const std::vector<double>& values);

// The limit of open descriptors, for this process and those it starts: as many as it may have.
std::size_t raise_descriptor_limit();

struct MemoryUse {
  std::uint64_t process_bytes = 0;  // private pages of the process: what is shared is not its own
  std::uint64_t tcp_bytes = 0;      // of the whole network namespace: both ends of each connection
  // Of the whole system: sockets, their files, epoll entries, buffer heads; 0 if it may not be
  // read.
  std::uint64_t socket_bytes = 0;
};
MemoryUse memory_use(pid_t process);

struct ProcessSize {
  std::uint64_t resident_bytes = 0;
  std::size_t descriptors = 0;
  std::size_t database_descriptors =
      0;  // of them RocksDB's: tables, and the directory for each family
};
ProcessSize process_size(pid_t process);
std::uint64_t available_memory_bytes();  // of the system, before it has to swap

// By CLOCK_MONOTONIC, which all processes share.
std::uint64_t monotonic_ns();

// Until _health of that server says that this seq of the stream `repos`, or a later one, is
// durable. Looks a hundred times a second.
void wait_until_durable(const NetworkProcess& server, std::int64_t seq);

// The program as it is released, on an archive of its own, in memory where there is such a place.
class BenchServer {
 public:
  // `arguments` are completed by --data, --quiet, and no limits that a bench would run into.
  BenchServer(const std::string& verb, std::vector<std::string> arguments,
              const std::vector<int>& cores);
  // The same on that archive, which stays.
  BenchServer(const std::string& verb, const std::filesystem::path& archive,
              std::vector<std::string> arguments, const std::vector<int>& cores);
  pid_t id() const { return process_->id(); }
  std::uint16_t port(std::size_t listener = 0) const { return process_->port(listener); }
  std::string error_text() const { return process_->error_text(); }
  void wait_until_durable(std::int64_t seq) const { test::wait_until_durable(*process_, seq); }
  void stop() { process_->stop(); }

 private:
  void start(const std::string& verb, const std::filesystem::path& archive,
             std::vector<std::string> arguments, const std::vector<int>& cores);

  std::unique_ptr<TempDir> dir_;  // of its own archive
  std::unique_ptr<NetworkProcess> process_;
};

// A child of this process that runs a function, on these cores, until it returns or is killed with
// its owner. To be made while this process has one thread.
class ForkedProcess {
 public:
  ForkedProcess(const std::vector<int>& cores, const std::function<void()>& run);
  ~ForkedProcess();
  ForkedProcess(const ForkedProcess&) = delete;
  ForkedProcess& operator=(const ForkedProcess&) = delete;
  pid_t id() const { return id_; }
  bool has_ended() const;

 private:
  pid_t id_ = -1;
};

// Zeroed memory that this process and the children it makes from now on all see.
void* map_shared(std::size_t bytes);
void unmap_shared(void* memory, std::size_t bytes);
template <typename T>
class Shared {
 public:
  Shared() : value_(new (map_shared(sizeof(T))) T) {}
  ~Shared() { unmap_shared(value_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T* operator->() const { return value_; }
  T& operator*() const { return *value_; }

 private:
  T* value_;
};

}  // namespace standpipe::test
