// How far long work has come: a bar on a terminal, a line a second otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "schema/base/clock.h"

namespace standpipe::tools {

// One thread. Writes nothing for work that takes less than a second.
class Progress {
 public:
  struct Options {
    std::string label;  // "import"
    bool is_terminal = false;
    const Clock* clock = &SystemClock::instance();  // not ours
    std::function<void(std::string_view)> write;    // text as it is, line ends included
  };
  explicit Progress(Options options);

  // Progress on stderr; silent where `is_quiet`.
  static Progress on_stderr(std::string label, bool is_quiet);

  struct Done {
    std::uint64_t frames = 0;  // 0 until the end where it is bytes that count
    std::uint64_t bytes = 0;
    double fraction = -1;  // of the whole, 0 to 1; negative where that is not known
  };
  // Cheap unless it is time to write.
  void update(const Done& done);
  // Takes the bar off the terminal. Lines stay.
  void finish();

 private:
  Options options_;
  std::int64_t started_ms_;
  std::int64_t written_ms_;
  bool has_bar_ = false;
};

}  // namespace standpipe::tools
