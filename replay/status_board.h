// What the status page shows, made once a second by whoever runs the server and shared by all who
// look: a viewer costs a socket, and nothing of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace standpipe::replay {

// Thread-safe; locks are held for moments.
class StatusBoard {
 public:
  static constexpr std::size_t kViewersMax = 64;

  // `full` is all there is, for those who come now; `tick` what those show who have seen the one
  // before. Each one event of JSON in one line.
  void publish(const std::string& full, const std::string& tick);

  struct Event {
    std::uint64_t number = 0;                 // counts up from 1
    std::shared_ptr<const std::string> text;  // as it goes over the wire
  };
  // What follows on event `seen`, 0 at first: who is late gets all anew. nullopt: nothing yet.
  std::optional<Event> after(std::uint64_t seen) const;

  // Given back with the pointer; null while there are kViewersMax viewers.
  std::shared_ptr<void> take_place();

 private:
  mutable std::mutex mutex_;  // guards everything below
  std::uint64_t number_ = 0;
  std::shared_ptr<const std::string> full_, tick_;
  const std::shared_ptr<void> places_ = std::make_shared<char>();  // shared by all who have one
};

}  // namespace standpipe::replay
