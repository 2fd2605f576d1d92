#include "replay/egress.h"

namespace standpipe::replay {

std::size_t TokenBucket::take(std::size_t wanted, std::int64_t now_ms) {
  if (rate_ == 0) return wanted;
  const std::int64_t passed_ms = now_ms - filled_ms_;
  if (passed_ms > 0) {
    // More than the burst cannot be saved up: so neither product can overflow.
    const auto counted_ms = static_cast<std::uint64_t>(std::min<std::int64_t>(passed_ms, 1000));
    const std::uint64_t fresh = rate_ / 1000 * counted_ms + rate_ % 1000 * counted_ms / 1000;
    // A slow rate earns less than a byte a millisecond: the rest of the time still counts.
    if (fresh > 0 || counted_ms == 1000) {
      tokens_ = std::min(tokens_ + fresh, burst());
      filled_ms_ = now_ms;
    }
  }
  const std::size_t taken = std::min<std::uint64_t>(wanted, tokens_);
  tokens_ -= taken;
  return taken;
}

void TokenBucket::give_back(std::size_t bytes) {
  if (rate_ != 0) tokens_ = std::min<std::uint64_t>(tokens_ + bytes, burst());
}

}  // namespace standpipe::replay
