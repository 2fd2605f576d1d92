// What the status page of a mirror is told each second, and the history that it draws.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/types.h"
#include "tools/metrics.h"

namespace standpipe::tools {

inline constexpr std::size_t kHistorySeconds = 600;
inline constexpr std::size_t kHistoryMinutes = 1440;
inline constexpr std::size_t kGapsDrawn = 100;
// A relay from which nothing has come for so long is shown as stale.
inline constexpr double kStaleAfterSeconds = 30;

// Events per second of one stream, newest last.
class RateHistory {
 public:
  // `frames`: accepted since the start of the process. About once a second. Returns whether a
  // minute is over.
  bool add(std::int64_t now_ms, std::uint64_t frames);

  // nullopt: not known yet, or nobody looked.
  const std::deque<std::optional<double>>& seconds() const { return seconds_; }
  const std::deque<std::optional<double>>& minutes() const { return minutes_; }

 private:
  struct Mark {
    std::int64_t at_ms = 0;
    std::uint64_t frames = 0;
  };
  static std::optional<double> rate(const std::optional<Mark>& from, const Mark& to);

  std::deque<std::optional<double>> seconds_, minutes_;
  std::optional<Mark> second_, minute_;  // where the one in progress began
};

// One thread.
class StatusFeed {
 public:
  // Gaps of the newest epoch of a stream; asked when their number has changed.
  using ReadGaps = std::function<std::vector<storage::Gap>(const storage::StreamInfo&)>;
  explicit StatusFeed(ReadGaps read_gaps) : read_gaps_(std::move(read_gaps)) {}

  struct Texts {
    std::string full, tick;  // JSON, each in one line
  };
  // Names no DID, no address, and not where upstream is.
  Texts next(const MetricsSample& sample);

 private:
  struct Stream {
    RateHistory history;
    std::vector<storage::Gap> gaps;  // the widest, by seq
    std::optional<storage::GapTotals> gaps_read_at;
    storage::EpochNumber epoch{};
  };
  void look_at_gaps(Stream& stream, const storage::StreamInfo& info);

  const ReadGaps read_gaps_;
  std::map<std::string, Stream> streams_;
  std::optional<std::int64_t> started_ms_, last_ms_;
  std::uint64_t last_bytes_sent_ = 0, last_frames_sent_ = 0;
};

}  // namespace standpipe::tools
