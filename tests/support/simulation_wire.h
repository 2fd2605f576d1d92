// The frames of a simulated network as a feed for benches: signed, in their right sizes, none
// twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "schema/seq.h"
#include "tests/support/bench_wire.h"
#include "tools/sim/network.h"

namespace standpipe::test {

// Of one network, in pieces: each goes on where the one before has ended.
class SimulatedWires {
 public:
  explicit SimulatedWires(std::uint64_t accounts) {
    tools::sim::NetworkOptions options;
    options.accounts = accounts;
    network_ = tools::sim::Network::create(options).value();
  }

  BenchWire next(std::size_t frames) {
    constexpr std::size_t kFrameBytes = 6'000;  // some more than the mean
    BenchWire wire;
    wire.bytes.reserve(frames * kFrameBytes);
    while (wire.size() < frames) {
      const auto frame = network_->next();
      if (frame->seq) wire.append(frame->bytes, to_int(*frame->seq), wire.size());
    }
    return wire;
  }

 private:
  std::unique_ptr<tools::sim::Network> network_;
};

inline BenchWire simulated_wire(std::size_t frames, std::uint64_t accounts) {
  return SimulatedWires(accounts).next(frames);
}

}  // namespace standpipe::test
