// The course of a soak: who lives when, and what has to hold in the end.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/soak/consumers.h"
#include "tests/soak/fault_proxy.h"
#include "tests/support/bench_process.h"
#include "tests/support/bulk_frames.h"
#include "tests/support/network_process.h"
#include "tests/support/temp_dir.h"

namespace standpipe::test {

struct SoakOptions {
  double minutes = 10;
  std::uint64_t rate = 1'000;  // frames a second
  std::uint64_t seed = 1;
  std::string retain_bytes = "512MiB";
};

// One thread. Whatever does not hold throws std::runtime_error.
class SoakRun {
 public:
  explicit SoakRun(const SoakOptions& options);
  ~SoakRun();
  SoakRun(const SoakRun&) = delete;
  SoakRun& operator=(const SoakRun&) = delete;

  void go();     // until the network's last frame is durable
  void judge();  // the archive, the backup, the subscribers, the size of the last life

 private:
  using Time = std::chrono::steady_clock::time_point;

  std::string network_text() const;
  void begin_life();
  void end_life(bool is_killed);
  void restart_if_due();
  void back_up_if_due();
  void check_newest_after_kill() const;
  void look_at_size();
  void tell_progress();
  std::int64_t durable() const;
  bool is_calm() const;  // the last third: nothing is killed, so that size can be judged

  void judge_deliveries();
  void judge_archive() const;
  void judge_gaps() const;
  void judge_size() const;
  void judge_backup();

  const SoakOptions options_;
  const std::int64_t last_;  // seq
  Random random_;
  TempDir dir_;  // on the disk
  std::string start_;
  Consumption shared_;
  std::unique_ptr<NetworkProcess> host_;
  std::unique_ptr<FaultProxy> proxy_;
  std::unique_ptr<NetworkProcess> mirror_;
  std::vector<std::unique_ptr<Consumer>> consumers_;
  std::vector<std::uint64_t> simulated_;  // hashes by seq
  std::vector<ProcessSize> sizes_;        // of the last life, once a second
  Time begin_, next_restart_, next_backup_, next_look_;
  std::uint64_t kills_ = 0, stops_ = 0, backups_ = 0;
};

}  // namespace standpipe::test
