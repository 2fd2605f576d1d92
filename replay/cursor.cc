#include "replay/cursor.h"

#include <algorithm>

#include "schema/base/assert.h"

namespace standpipe::replay {

CursorStart judge_cursor(std::optional<std::int64_t> cursor, CursorMode mode,
                         const CursorWindow& window) {
  // Where nothing has been stored, or retention has taken everything, the floor is all there is.
  const Seq newest = std::max(window.newest, window.window_floor);
  if (!cursor) return {CursorVerdict::live, newest};
  STANDPIPE_ASSERT(*cursor >= 0 && *cursor <= to_int(kSeqMax), "the request lets no other pass");
  std::int64_t number = *cursor;
  if (mode == CursorMode::inclusive && number > 0) --number;
  const Seq position{number};
  if (position == kSeqNone) return {CursorVerdict::replay, window.window_floor};
  if (position > newest) {
    const bool may_be_reached = window.is_catching_up || window.newest == kSeqNone;
    return {may_be_reached ? CursorVerdict::wait : CursorVerdict::future, position};
  }
  if (position < window.window_floor) return {CursorVerdict::outdated, window.window_floor};
  return {position == newest ? CursorVerdict::live : CursorVerdict::replay, position};
}

}  // namespace standpipe::replay
