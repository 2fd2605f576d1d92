#include "replay/egress.h"

namespace standpipe::replay {

std::size_t TokenBucket::take(std::size_t wanted, std::int64_t now_ms) {
  if (rate_ == 0) return wanted;
  const std::int64_t passed_ms = now_ms - filled_ms_;
  if (passed_ms > 0) {
    // What exceeds the burst is lost anyway: so the product cannot overflow.
    const auto counted_ms = static_cast<std::uint64_t>(std::min(passed_ms, kBurstMs));
    millibytes_ = std::min(millibytes_ + rate_ * counted_ms, burst());
    filled_ms_ = now_ms;
  }
  const std::size_t taken = std::min<std::uint64_t>(wanted, millibytes_ / 1000);
  millibytes_ -= taken * 1000;
  return taken;
}

void TokenBucket::give_back(std::size_t bytes) {
  if (rate_ == 0) return;
  millibytes_ += std::min<std::uint64_t>(bytes, (burst() - millibytes_) / 1000) * 1000;
}

}  // namespace standpipe::replay
