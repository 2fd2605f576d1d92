// What a received message means to the archive. A bad one is counted and kept aside, never fatal.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "archiver/pipeline.h"
#include "schema/base/clock.h"
#include "schema/base/log.h"
#include "schema/base/result.h"
#include "schema/frame.h"
#include "storage/appender.h"

namespace standpipe::archiver {

struct ValidatorStats {
  std::uint64_t frames = 0;  // whole binary messages
  std::uint64_t oversize = 0;
  std::uint64_t text = 0;
  std::uint64_t bytes = 0;                           // on the wire, of all messages
  std::array<std::uint64_t, 7> judged{};             // by storage::Judgement
  std::map<Unarchivable, std::uint64_t> kept_aside;  // by reason: quarantined, conflict, late
  std::uint64_t of(storage::Judgement judgement) const {
    return judged[static_cast<std::size_t>(judgement)];
  }
};

struct Verdict {
  storage::Judgement judgement = storage::Judgement::accepted;
  // An error frame: upstream says that the stream ends here. FutureCursor is none of them, the
  // Appender takes it for a reset.
  bool is_error = false;
};

// Of one stream, on its writer's thread. Counts outlive the Appender, which is exchanged with each
// epoch.
class Validator {
 public:
  // `name`: of the stream, for the log. `clock` is not ours.
  Validator(std::string name, const Clock& clock);

  // `entry` is a frame, an oversize head or a text. Errors are the archive's own.
  Result<Verdict> judge(storage::Appender& appender, const PipelineEntry& entry);

  const ValidatorStats& stats() const { return stats_; }

 private:
  Result<Verdict> judge_frame(storage::Appender& appender, const PipelineEntry& entry);
  void keep_aside(Unarchivable reason, const PipelineEntry& entry);

  const std::string name_;
  ValidatorStats stats_;
  LogEvery aside_log_;
  LogEvery error_log_;
};

}  // namespace standpipe::archiver
