// The frames of a simulated network as a feed for benches: signed, in their right sizes, none
// twice.
#pragma once

#include <cstddef>
#include <cstdint>

#include "schema/seq.h"
#include "tests/support/bench_wire.h"
#include "tools/sim/network.h"

namespace standpipe::test {

inline BenchWire simulated_wire(std::size_t frames, std::uint64_t accounts) {
  tools::sim::NetworkOptions options;
  options.accounts = accounts;
  const auto network = tools::sim::Network::create(options).value();
  BenchWire wire;
  while (wire.size() < frames) {
    const auto frame = network->next();
    if (frame->seq) wire.append(frame->bytes, to_int(*frame->seq), wire.size());
  }
  return wire;
}

}  // namespace standpipe::test
