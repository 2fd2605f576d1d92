// How long to wait before the next dial, as a pure function. Free of storage/.
#pragma once

#include <chrono>
#include <optional>

namespace standpipe::firehose {

struct ReconnectOptions {
  std::chrono::milliseconds delay_min{1'000};          // of the first step; it doubles with each
  std::chrono::milliseconds delay_max{60'000};         // before jitter
  double jitter = 0.25;                                // the delay is spread by this much both ways
  std::chrono::milliseconds healthy{60'000};           // up for this long: back to the first step
  std::chrono::milliseconds retry_after_max{600'000};  // what a server may ask for at most
};

// How the last dial ended.
struct DialOutcome {
  std::chrono::milliseconds up_for{0};  // from the handshake to the end; 0 if there was none
  std::optional<std::chrono::milliseconds> retry_after;  // of a 429 or a 503
};

struct ReconnectStep {
  unsigned attempts = 0;  // to be handed in the next time
  std::chrono::milliseconds delay{0};
};

// `attempts`: of the step before, 0 at first. `random`: in [0, 1); 0.5 is no jitter at all.
// The delay is delay_min * 2^attempts, at most delay_max, spread by jitter, and never less than
// what the server asked for.
ReconnectStep next_dial(unsigned attempts, const DialOutcome& outcome, double random,
                        const ReconnectOptions& options);

}  // namespace standpipe::firehose
