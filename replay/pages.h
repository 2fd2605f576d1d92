// The other things that are answered in plain HTTP: the banner of `/`, and gaps. Any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "replay/request.h"
#include "replay/status_board.h"
#include "storage/types.h"

namespace standpipe::replay {

struct ServedStream {
  std::string name;
  storage::StreamKind kind = storage::StreamKind::repos;
};

// "/xrpc/com.atproto.sync.subscribeRepos"
std::string_view subscribe_path(storage::StreamKind kind);

// What this is and what it serves. `streams` in the order of serving: the first of each kind is the
// one at the root.
HttpReply banner_reply(std::string_view version, std::span<const ServedStream> streams);

// The status page, for a browser; what it shows it asks for at kStatusEventsPath.
inline constexpr std::string_view kStatusEventsPath = "/status/events";
HttpReply status_page_reply();
// The events of the page, while there is room for one more viewer.
HttpReply status_events_reply(const std::shared_ptr<StatusBoard>& board);

// {stream, epoch, gaps: [{after, before, reason, recorded_at, detail}], more}. `gaps`: as many as
// there are up to limit + 1; what is above `limit` is cut off and makes `more` true. The next
// request then goes on with `after` = the last gap's `before` - 1.
HttpReply gaps_reply(std::string_view stream, storage::EpochNumber epoch,
                     std::span<const storage::Gap> gaps, std::size_t limit);

}  // namespace standpipe::replay
