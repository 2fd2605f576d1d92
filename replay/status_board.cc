#include "replay/status_board.h"

#include <utility>

namespace standpipe::replay {
namespace {

// Spec: HTML, "Server-sent events".
std::shared_ptr<const std::string> event(const char* name, const std::string& json) {
  return std::make_shared<const std::string>("event: " + std::string(name) + "\ndata: " + json +
                                             "\n\n");
}

}  // namespace

void StatusBoard::publish(const std::string& full, const std::string& tick) {
  auto full_event = event("full", full);
  auto tick_event = event("tick", tick);
  const std::lock_guard lock(mutex_);
  full_ = std::move(full_event);
  tick_ = std::move(tick_event);
  ++number_;
}

std::optional<StatusBoard::Event> StatusBoard::after(std::uint64_t seen) const {
  const std::lock_guard lock(mutex_);
  if (seen == number_) return std::nullopt;
  const bool is_next = seen > 0 && seen + 1 == number_;
  return Event{number_, is_next ? tick_ : full_};
}

std::shared_ptr<void> StatusBoard::take_place() {
  const std::lock_guard lock(mutex_);
  const auto taken = static_cast<std::size_t>(places_.use_count()) - 1;
  return taken < kViewersMax ? places_ : nullptr;
}

}  // namespace standpipe::replay
