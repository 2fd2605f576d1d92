// The mirror with an archive on the disk, the upstream that it follows across restarts, and what
// its threads do.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/bench_feeder.h"
#include "tests/support/bench_process.h"
#include "tests/support/bench_wire.h"
#include "tests/support/temp_dir.h"

namespace standpipe::test {

// One thread.
class MixedMirror {
 public:
  explicit MixedMirror(const BenchWire& feed) : feed_(feed) {}

  // `arguments` beside those of any bench. What was fed before is in the archive, and not in the
  // memory of the new process.
  void start(std::vector<std::string> arguments, const std::vector<int>& cores) {
    arguments.insert(arguments.end(), {"--upstream", feeder_.url()});
    server_ =
        std::make_unique<BenchServer>("mirror", dir_ / "archive", std::move(arguments), cores);
    feeder_.accept();
  }
  void stop() {
    server_->stop();
    server_.reset();
  }

  pid_t id() const { return server_->id(); }
  std::uint16_t port() const { return server_->port(); }
  std::size_t fed() const { return feeder_.fed(); }  // frames
  void release(std::size_t frames) { feeder_.feed_up_to(feed_, frames); }
  void wait_until_durable() const { server_->wait_until_durable(feed_.seqs[fed() - 1]); }

 private:
  const BenchWire& feed_;
  TempDir dir_;  // on the disk
  BenchFeeder feeder_;
  std::unique_ptr<BenchServer> server_;
};

// CPU of a server's threads by what they do, between two looks.
//
// Threads that send and those of RocksDB have names. The writer is known by writing RocksDB's log,
// and the upstream's by being busiest among the rest while nobody is subscribed.
class ThreadRoles {
 public:
  using Seconds = std::map<std::string, double, std::less<>>;

  void learn(const std::vector<ThreadUse>& before, const std::vector<ThreadUse>& after) {
    std::vector<ThreadUse> unnamed;
    for (const ThreadUse& use : difference(before, after)) {
      if (!has_name(use)) unnamed.push_back(use);
    }
    writer_ =
        most(unnamed, [](const ThreadUse& use) { return static_cast<double>(use.written_bytes); });
    std::erase_if(unnamed, [this](const ThreadUse& use) { return use.id == writer_; });
    upstream_ = most(unnamed, [](const ThreadUse& use) { return use.cpu_seconds; });
  }

  Seconds seconds(const std::vector<ThreadUse>& before, const std::vector<ThreadUse>& after) const {
    Seconds seconds;
    for (const ThreadUse& use : difference(before, after)) seconds[role_of(use)] += use.cpu_seconds;
    return seconds;
  }

 private:
  static bool has_name(const ThreadUse& use) {
    return use.name == "network" || use.name.starts_with("rocksdb");
  }
  template <typename Of>
  static pid_t most(const std::vector<ThreadUse>& uses, const Of& of) {
    const auto found =
        std::max_element(uses.begin(), uses.end(),
                         [&](const ThreadUse& a, const ThreadUse& b) { return of(a) < of(b); });
    return found == uses.end() ? -1 : found->id;
  }
  static std::vector<ThreadUse> difference(const std::vector<ThreadUse>& before,
                                           std::vector<ThreadUse> after) {
    for (ThreadUse& use : after) {
      for (const ThreadUse& earlier : before) {
        if (earlier.id != use.id) continue;
        use.cpu_seconds -= earlier.cpu_seconds;
        use.written_bytes -= earlier.written_bytes;
      }
    }
    return after;
  }
  std::string role_of(const ThreadUse& use) const {
    if (use.name == "network") return "sending";
    if (use.name.starts_with("rocksdb")) return "RocksDB's";
    if (use.id == writer_) return "writer";
    return use.id == upstream_ ? "upstream" : "other";
  }

  pid_t writer_ = -1, upstream_ = -1;
};

}  // namespace standpipe::test
