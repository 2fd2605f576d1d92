// What lies between a mirror and its upstream, and goes wrong: a TCP relay on 127.0.0.1 that resets
// connections, cuts them in the middle of a frame, stalls them, and refuses them for a while.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/bulk_frames.h"
#include "tests/support/net_stream.h"

namespace standpipe::test {

class FaultProxy {
 public:
  // To 127.0.0.1:`upstream_port`. Between two faults lie half to one and a half times `between`.
  FaultProxy(std::uint16_t upstream_port, std::uint64_t seed, std::chrono::milliseconds between);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  std::uint16_t port() const { return port_; }
  // Any thread.
  void stop_faults() { is_calm_ = true; }
  std::uint64_t faults() const { return faults_; }
  std::string counts_text() const;  // "3 resets, 2 cuts, 4 stalls, 1 outages"

 private:
  using Time = std::chrono::steady_clock::time_point;
  // Bytes of one direction that were read and not written yet.
  struct Flow {
    std::vector<std::byte> bytes;
    std::size_t written = 0;
  };
  struct Link {
    FileDescriptor client, host;
    Flow to_host, to_client;
    bool is_over = false;
  };

  void run();
  void wait();
  void accept_all();
  void pump(Link& link);
  static bool fill(int from, Flow& flow);
  static bool move(int from, int to, Flow& flow);
  void go_wrong();
  void reset_all();
  Time soon(std::chrono::milliseconds about);

  const std::uint16_t upstream_port_;
  const std::chrono::milliseconds between_;
  Random random_;
  std::uint16_t port_ = 0;
  FileDescriptor listener_;
  std::vector<Link> links_;
  Time next_fault_, stalled_until_, refuses_until_;
  std::atomic<bool> is_calm_ = false, is_over_ = false;
  std::atomic<std::uint64_t> faults_ = 0, resets_ = 0, cuts_ = 0, stalls_ = 0, outages_ = 0;
  std::thread thread_;  // last: it uses everything above
};

}  // namespace standpipe::test
