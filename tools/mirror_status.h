// What a mirror does, once a second: as a line for people, or as an object for machines.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "archiver/stream_archiver.h"
#include "replay/stats.h"
#include "storage/archive.h"

namespace standpipe::tools {

struct MirrorSample {
  std::int64_t now_ms = 0;
  std::vector<archiver::StreamStatus> streams;  // those that are followed
  std::optional<replay::ServerStats> server;    // where it serves
  storage::ArchiveStats archive;
  std::uint64_t raw_bytes = 0;  // wire bytes still stored
};

// Rates come from the sample before. One thread.
class MirrorStatus {
 public:
  // "repos 26,653,242,499, 0.4 s old, live, 342 frames/s | 12 subscribers (10 live) | raw ..."
  std::string line(const MirrorSample& sample);
  std::string json(const MirrorSample& sample);  // one line, without its end

 private:
  struct Rates {
    double frames = 0;  // per second
    double bytes = 0;
    std::optional<double> behind_s;        // how old the newest event is
    std::optional<double> caught_up_in_s;  // at this pace
  };
  Rates rates_of(const MirrorSample& sample, std::size_t stream) const;
  double seconds_since_last(const MirrorSample& sample) const;

  std::optional<MirrorSample> last_;
};

}  // namespace standpipe::tools
