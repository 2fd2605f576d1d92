// What a received message means to the archive. A bad one is counted and kept aside, never fatal.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "archiver/pipeline.h"
#include "schema/base/clock.h"
#include "schema/base/log.h"
#include "schema/base/result.h"
#include "schema/frame.h"
#include "storage/appender.h"

namespace standpipe::archiver {

inline constexpr std::size_t kJudgements =
    static_cast<std::size_t>(storage::Judgement::refused) + 1;
inline constexpr std::size_t kReasons = static_cast<std::size_t>(Unarchivable::text_message) + 1;

struct ValidatorStats {
  std::uint64_t frames = 0;  // whole binary messages
  std::uint64_t oversize = 0;
  std::uint64_t text = 0;
  std::uint64_t bytes = 0;                           // on the wire, of all messages
  std::array<std::uint64_t, kJudgements> judged{};   // by storage::Judgement
  std::array<std::uint64_t, kReasons> kept_aside{};  // by Unarchivable: conflict and late included
  std::uint64_t of(storage::Judgement judgement) const {
    return judged[static_cast<std::size_t>(judgement)];
  }
  std::uint64_t of(Unarchivable reason) const {
    return kept_aside[static_cast<std::size_t>(reason)];
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
