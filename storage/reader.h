// Reading an epoch in order, across partitions, codecs, sealing, rewriting and retention.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>

#include "schema/base/result.h"
#include "storage/run.h"
#include "storage/types.h"

namespace standpipe::storage {

struct RunSlice {
  WireRunPtr run;
  std::size_t first_frame = 0;  // index into run->frames of the first one wanted
};
struct CaughtUp {
  Seq newest = kSeqNone;  // nothing durable follows the position
};
// The position is below what the archive still holds: `after` is the position, `before` the first
// seq that may be present. The reader goes on from previous(before).
struct WindowPassed {
  Gap gap;
};
using ReadStep = std::variant<RunSlice, CaughtUp, WindowPassed>;

// One epoch of one stream as one sequence of frames. Holds no iterator and no lock between calls,
// so it may be kept for ever and blocks nothing; partitions may be sealed, rewritten or dropped
// between two calls. One thread at a time; any number of readers at once.
// Must not outlive the Archive.
class Reader {
 public:
  class Impl;
  explicit Reader(std::unique_ptr<Impl> impl);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  // The frames that follow `after`, as many as one run holds. Seq gaps are simply passed over
  // (the ledger explains them); only retention is reported. Blocks on disk.
  // corrupt: our own bytes are wrong, with the place. closed: the archive was closed.
  Result<ReadStep> read_after(Seq after);

  // The position from which every frame of clock >= `clock_ms` follows, and perhaps a few earlier
  // ones: the first group whose clock is not below it. Newest if there is none.
  Result<Seq> position_at(std::int64_t clock_ms);

  // The position with at least `frames` frames between it and `after`; where the epoch holds fewer,
  // the window's floor. A group's clock is a median and lags behind the times in its frames, so
  // who looks for these starts some frames before position_at().
  Result<Seq> step_back(Seq after, std::size_t frames);

  // The frame of exactly that seq; nullopt if it is not stored.
  Result<std::optional<RunSlice>> find(Seq seq);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::storage
