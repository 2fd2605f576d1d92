#include "replay/health.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace standpipe::replay {
namespace {

HealthStatus status_of(storage::Health health) {
  switch (health) {
    case storage::Health::ok:
      return HealthStatus::ok;
    case storage::Health::read_only:
      return HealthStatus::read_only;
    case storage::Health::disk_full:
      return HealthStatus::disk_full;
    case storage::Health::storage_failed:
      return HealthStatus::io_failure;
    case storage::Health::corrupt:
      return HealthStatus::corruption;
    case storage::Health::closed:
      return HealthStatus::shutdown;
  }
  return HealthStatus::io_failure;
}

HealthStatus status_of(UpstreamState state) {
  switch (state) {
    case UpstreamState::none:
    case UpstreamState::live:
      return HealthStatus::ok;
    case UpstreamState::catching_up:
      return HealthStatus::catching_up;
    case UpstreamState::down:
      return HealthStatus::upstream_down;
    case UpstreamState::reset:
      return HealthStatus::upstream_reset;
  }
  return HealthStatus::ok;
}

nlohmann::ordered_json json_of(const std::optional<double>& seconds) {
  return seconds ? nlohmann::ordered_json(*seconds) : nlohmann::ordered_json(nullptr);
}

}  // namespace

std::string_view to_string(UpstreamState state) {
  switch (state) {
    case UpstreamState::none:
      return "none";
    case UpstreamState::live:
      return "live";
    case UpstreamState::catching_up:
      return "catching_up";
    case UpstreamState::down:
      return "down";
    case UpstreamState::reset:
      return "reset";
  }
  return "?";
}

std::string_view to_string(HealthStatus status) {
  switch (status) {
    case HealthStatus::ok:
      return "ok";
    case HealthStatus::read_only:
      return "read_only";
    case HealthStatus::catching_up:
      return "catching_up";
    case HealthStatus::upstream_down:
      return "upstream_down";
    case HealthStatus::upstream_reset:
      return "upstream_reset";
    case HealthStatus::disk_full:
      return "disk_full";
    case HealthStatus::shutdown:
      return "shutdown";
    case HealthStatus::io_failure:
      return "io_failure";
    case HealthStatus::corruption:
      return "corruption";
  }
  return "?";
}

HealthStatus status_of(const HealthReport& report) {
  HealthStatus worst = status_of(report.archive);
  if (report.is_shutting_down) worst = std::max(worst, HealthStatus::shutdown);
  for (const StreamHealth& stream : report.streams) {
    worst = std::max(worst, status_of(stream.upstream));
  }
  return worst;
}

HttpReply health_reply(const HealthReport& report, std::optional<double> max_lag_s) {
  const HealthStatus status = status_of(report);
  nlohmann::ordered_json body{{"status", to_string(status)},
                              {"streams", nlohmann::ordered_json::array()}};
  nlohmann::ordered_json lagging = nlohmann::ordered_json::array();
  for (const StreamHealth& stream : report.streams) {
    body["streams"].push_back({{"name", stream.name},
                               {"kind", storage::to_string(stream.kind)},
                               {"seq", to_int(stream.seq)},
                               {"received_age_s", json_of(stream.received_age_s)},
                               {"event_age_s", json_of(stream.event_age_s)},
                               {"upstream", to_string(stream.upstream)}});
    if (max_lag_s && stream.event_age_s && *stream.event_age_s > *max_lag_s) {
      lagging.push_back(stream.name);
    }
  }
  const bool is_well = status < HealthStatus::shutdown && lagging.empty();
  if (max_lag_s) body["lagging"] = std::move(lagging);
  HttpReply reply;
  reply.status = is_well ? 200 : 503;
  reply.headers.emplace_back("Cache-Control", "no-store");
  reply.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return reply;
}

}  // namespace standpipe::replay
