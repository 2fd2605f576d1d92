// Judges the `cursor` of a subscriber: the one place where what it says on the wire becomes a
// position. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "schema/seq.h"

namespace standpipe::replay {

// What subscribers mean by cursor N: the last seq that they processed, or the first they want.
enum class CursorMode : std::uint8_t { exclusive, inclusive };

// What is there of the epoch at this moment; fields as in storage::EpochInfo.
struct CursorWindow {
  Seq window_floor = kSeqNone;  // cursors below it are outdated
  Seq newest = kSeqNone;        // kSeqNone: nothing has ever been stored
  bool is_catching_up = false;  // with its upstream: what is newest is about to change
};

enum class CursorVerdict : std::uint8_t {
  live,      // what comes after newest
  replay,    // what follows the position
  outdated,  // the same, after one #info OutdatedCursor
  wait,      // above newest, but newest may get there: judge again as it moves, refuse in the end
  future,    // above newest: refuse
};

struct CursorStart {
  CursorVerdict verdict = CursorVerdict::live;
  // Everything up to and including this is passed over: the first frame sent is the next above it.
  // With wait and future it is what the cursor stands for, which newest has not reached.
  Seq after = kSeqNone;
  bool operator==(const CursorStart&) const = default;
};

// `cursor`: as in the request, 0 .. 2^53-1; nullopt if there was none. In inclusive mode N is
// judged as N-1, and 0 stays 0. 0 is the oldest frame that is left, and is never outdated.
CursorStart judge_cursor(std::optional<std::int64_t> cursor, CursorMode mode,
                         const CursorWindow& window);

}  // namespace standpipe::replay
