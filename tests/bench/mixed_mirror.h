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

// CPU of a server's threads between two looks, by what they do: seconds of each role.
using RoleSeconds = std::map<std::string, double, std::less<>>;

inline std::string role_of(const ThreadUse& use) {
  if (use.name == "network") return "sending";
  if (use.name == "read") return "reading for replays";
  if (use.name.starts_with("rocksdb")) return "RocksDB's";
  return use.name == "writer" || use.name == "upstream" ? use.name : "other";
}

inline RoleSeconds role_seconds(const std::vector<ThreadUse>& before,
                                const std::vector<ThreadUse>& after) {
  RoleSeconds seconds;
  for (const ThreadUse& use : after) seconds[role_of(use)] += use.cpu_seconds;
  for (const ThreadUse& use : before) seconds[role_of(use)] -= use.cpu_seconds;
  return seconds;
}

}  // namespace standpipe::test
