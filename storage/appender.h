// From a frame that arrived to a frame that is durable: judging, grouping, committing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/frame.h"
#include "storage/run.h"
#include "storage/types.h"

namespace standpipe::storage {

enum class Judgement : std::uint8_t {
  accepted,     // will be in the next commit
  duplicate,    // the same bytes are stored: dropped
  conflict,     // other bytes are stored for this seq: kept aside
  late,         // at or below newest, and not stored: kept aside
  quarantined,  // not archivable: kept aside
  noted,        // #info or an error frame: recorded
  refused,      // the stream was reset: nothing is taken until a new epoch begins
};
std::string_view to_string(Judgement judgement);

struct CommitReport {
  std::vector<WireRunPtr> runs;  // what became durable, in order; one per group
  std::vector<Gap> gaps;         // gaps recorded by this commit
};

struct AppenderStats {
  std::uint64_t accepted = 0, duplicates = 0, conflicts = 0, late = 0, quarantined = 0, noted = 0,
                refused = 0;
  std::uint64_t gaps = 0;                // gaps recorded
  std::uint64_t quarantine_dropped = 0;  // counted, not kept: the rate limit was reached
  std::uint64_t commits = 0, groups = 0;
};

// Appends to the newest epoch of one stream. At most one exists per stream.
// One thread at a time; offers only touch memory, commit() does the I/O.
//
// What happens to a frame is decided against what is stored *and* what is pending, by the rules of
// docs/architecture.md, "Judging a frame".
class Appender {
 public:
  class Impl;
  explicit Appender(std::unique_ptr<Impl> impl);
  Appender(Appender&&) noexcept;
  Appender& operator=(Appender&&) noexcept;
  ~Appender();

  StreamId stream() const;
  EpochNumber epoch() const;

  // A connection was made, or an import begins: the next skip of seqs is an outage, not a skip of
  // upstream's; and conflicts are counted from zero.
  void begin_session();

  // `frame` is copied. `received_ms`: when it arrived.
  // io or corrupt where judging needed a read that failed.
  Result<Judgement> offer(ByteView frame, std::int64_t received_ms);
  // A frame above kFrameBytesMax, of which only the first bytes (up to 64 KiB) were kept.
  Result<Judgement> offer_oversize(ByteView head, std::uint64_t bytes_total,
                                   std::int64_t received_ms);
  // Anything else that is not a frame, e.g. a text message.
  Result<Judgement> offer_foreign(Unarchivable reason, ByteView bytes, std::int64_t received_ms);
  // Upstream said FutureCursor: it knows less than we hold.
  void note_future_cursor();

  // The archive does not begin at whatever comes first, but after `origin`. Only while it is empty.
  Result<void> begin_after(Seq origin);

  std::size_t pending_frames() const;
  std::size_t pending_bytes() const;

  // Makes everything offered so far durable: frames, gaps, quarantine, notes and the resume floor
  // in one synced write, and one more for each partition that ends on the way. On any error nothing
  // more is published, the archive's writer is closed (see Archive::health) and what was pending is
  // dropped: upstream still has it. What the failed write left is a prefix of it.
  Result<CommitReport> commit();

  bool was_reset() const;  // upstream_reset: waits for a new epoch
  Seq floor() const;       // resume upstream after this; durable part only
  std::optional<Seq> origin() const;
  Seq newest() const;  // newest durable frame
  AppenderStats stats() const;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::storage
