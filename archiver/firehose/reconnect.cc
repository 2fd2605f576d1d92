#include "archiver/firehose/reconnect.h"

#include <algorithm>
#include <cmath>

namespace standpipe::firehose {

ReconnectStep next_dial(unsigned attempts, const DialOutcome& outcome, double random,
                        const ReconnectOptions& options) {
  if (outcome.up_for >= options.healthy) attempts = 0;
  // Beyond 2^20 steps of whatever length, the maximum has long been reached: no overflow.
  const double steps = std::ldexp(1.0, static_cast<int>(std::min(attempts, 20U)));
  const double base = std::min(steps * static_cast<double>(options.delay_min.count()),
                               static_cast<double>(options.delay_max.count()));
  const double spread = 1.0 + options.jitter * (2.0 * random - 1.0);
  const std::chrono::milliseconds delay(std::llround(base * spread));
  const std::chrono::milliseconds asked =
      std::min(outcome.retry_after.value_or(std::chrono::milliseconds{0}), options.retry_after_max);
  return {std::min(attempts + 1, 20U), std::max(delay, asked)};
}

}  // namespace standpipe::firehose
