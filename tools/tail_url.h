// `tail URL`: a stream as it comes, ours or anyone's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "archiver/firehose/reconnect.h"
#include "archiver/firehose/upstream_url.h"
#include "archiver/firehose/ws_client.h"
#include "schema/base/result.h"
#include "schema/frame_filter.h"
#include "schema/seq.h"
#include "tools/archive_view.h"

namespace standpipe::tools {

struct TailUrlOptions {
  firehose::UpstreamUrl url;
  firehose::WsOptions ws;
  firehose::ReconnectOptions reconnect;
  std::optional<Seq> cursor;            // none, and no time: what comes next
  std::optional<std::int64_t> from_ms;  // asked of the server; only a standpipe knows it
  std::optional<Seq> until;
  FrameFilter::Wanted wanted;
};

// Calls `take` with each frame that passes, in order and once, over as many connections as it
// needs. Ends without error after `until`, or when a signal asks to stop (which it sees to); with
// the error of `take`; with closed where the server sent an error frame that a further dial would
// not mend, with invalid where it refused the request (400 and the like, but not 429).
Result<void> tail_url(const TailUrlOptions& options,
                      const std::function<Result<void>(const ViewFrame&)>& take);

}  // namespace standpipe::tools
