// What `/xrpc/_health` says: the state of the archive and of each upstream, in one word and one
// HTTP status. Plain values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replay/request.h"
#include "schema/seq.h"
#include "storage/archive.h"
#include "storage/types.h"

namespace standpipe::replay {

// Of one stream. `none`: nobody archives it in this process.
enum class UpstreamState : std::uint8_t { none, live, catching_up, down, reset };
std::string_view to_string(UpstreamState state);

// Worst last. Several streams and the archive make one status: the worst of all.
enum class HealthStatus : std::uint8_t {
  ok,
  read_only,
  catching_up,
  upstream_down,
  upstream_reset,
  disk_full,
  shutdown,  // from here on 503
  io_failure,
  corruption,
};
std::string_view to_string(HealthStatus status);  // "upstream_down"

struct StreamHealth {
  std::string name;
  storage::StreamKind kind = storage::StreamKind::repos;
  Seq seq = kSeqNone;                    // newest; kSeqNone if none
  std::optional<double> received_age_s;  // since the newest frame came; nullopt if none has
  std::optional<double> event_age_s;     // since the `time` in it; nullopt if it has none
  UpstreamState upstream = UpstreamState::none;
};

struct HealthReport {
  storage::Health archive = storage::Health::ok;
  bool is_shutting_down = false;
  std::vector<StreamHealth> streams;
};

HealthStatus status_of(const HealthReport& report);

// The reply, with the JSON of the report. `max_lag_s`: a stream whose event_age_s is known and
// above it makes the HTTP status 503, and is named in `lagging`; `status` stays what it is.
HttpReply health_reply(const HealthReport& report, std::optional<double> max_lag_s);

}  // namespace standpipe::replay
