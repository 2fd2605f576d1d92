// The subscribers of a bench, all in one process of their own: they drain their sockets, and
// compare every byte with what must come. So order and completeness hold for each of them, or the
// bench ends.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/bench_process.h"
#include "tests/support/bench_wire.h"
#include "tests/support/net_stream.h"

namespace standpipe::test {

// Counts of durations, each within 1/32 of its value.
class LatencyCounts {
 public:
  void add(std::uint64_t ns) { ++counts_[place_of(ns)]; }
  std::uint64_t count() const;
  double percentile_ms(double share) const;  // 0.5, 0.999; 0 where there is none
  void clear();

 private:
  static constexpr std::size_t kSteps = 32;  // of each power of two
  static std::size_t place_of(std::uint64_t ns);
  std::array<std::atomic<std::uint64_t>, 64 * kSteps> counts_{};
};

// What one of many asks for, and the frames that it gets; then it reads no more.
struct LoadPlace {
  std::string target;
  std::size_t first = 0;  // frame of the wire
  std::size_t frames = 0;
};

struct LoadOptions {
  std::uint16_t port = 0;
  std::size_t subscribers = 1;
  std::string target;     // of the request
  std::size_t first = 0;  // frame of the wire that comes first
  bool reads = true;      // false: not a byte after the handshake
  // So many frames of the wire are expected before anybody asks, where the server begins at once.
  std::size_t expected = 0;
  std::vector<LoadPlace> places;  // in place of all but port: a subscriber for each
  // What each asks for as soon as it has what it wanted, over and over; nobody waits for those.
  std::optional<LoadPlace> again;
  TlsContext tls;    // null: plain
  int niceness = 0;  // yields to others on its cores, as who reads elsewhere would
};

// Connected and answered 101; of what follows not a byte has left the socket. Throws otherwise.
NetStream subscribe_at(std::uint16_t port, const std::string& target, const TlsContext& tls = {});

class BenchLoad {
 public:
  // Returns when all are upgraded. `wire` is what they must get, of which the process has a copy;
  // throws what is wrong, as all calls do. To be made while this process has one thread.
  BenchLoad(const BenchWire& wire, const LoadOptions& options, const std::vector<int>& cores);
  ~BenchLoad();
  BenchLoad(const BenchLoad&) = delete;
  BenchLoad& operator=(const BenchLoad&) = delete;

  // To be called before the frames that follow are sent: wait() is until all subscribers have got
  // the first `frames` frames of the wire.
  void expect(std::size_t frames);
  void wait();
  void check() const;  // throws what is wrong by now

  // From now on each frame that comes is counted with the time since told_sent() of it.
  void begin_latency();
  void told_sent(std::size_t frame);
  const LatencyCounts& latency() const { return state_->latency; }
  std::uint64_t bytes_read() const { return state_->bytes_read; }  // of the wire, by all of them
  std::size_t laps() const { return state_->laps; }                // of those who ask again
  pid_t id() const { return process_->id(); }

 private:
  struct State {
    std::atomic<std::size_t> connected;
    std::atomic<std::size_t> target;  // bytes of the wire
    std::atomic<std::size_t> at_target;
    std::atomic<std::uint64_t> bytes_read;
    std::atomic<std::size_t> laps;
    std::atomic<bool> takes_latency;
    LatencyCounts latency;
    std::array<char, 256> fault{};
  };
  class Run;
  void wait_for_bell(const char* what);

  const BenchWire& wire_;
  const std::size_t subscribers_;
  std::size_t first_;
  bool has_to_wait_ = false;
  Shared<State> state_;
  std::atomic<std::uint64_t>* sent_ns_ = nullptr;  // of each frame; shared
  FileDescriptor bell_;
  std::unique_ptr<ForkedProcess> process_;
};

}  // namespace standpipe::test
