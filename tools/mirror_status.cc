#include "tools/mirror_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/values.h"

namespace standpipe::tools {
namespace {

using archiver::StreamState;
using archiver::StreamStatus;
using nlohmann::json;

constexpr std::size_t kStreamsInLine = 3;
constexpr double kSpeedMin = 1.01;  // slower than that nobody catches up

// "0.4 s", "35 s", "12 min", "3.5 h"
std::string rough_time(double seconds) {
  if (seconds < 10) return fmt::format("{:.1f} s", std::max(seconds, 0.0));
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.0f} min", seconds / 60);
  if (seconds < 172'800) return fmt::format("{:.1f} h", seconds / 3600);
  return fmt::format("{:.1f} days", seconds / 86'400);
}

// What verification at ingest has come to; null where there is none.
json check_as_json(const archiver::IngestCheckStats& check) {
  if (check.verify == archiver::VerifyIngest::off) return nullptr;
  json by_finding = json::object();
  for (const auto& [what, count] : check.by_finding) by_finding[std::string(what)] = count;
  return {{"depth", archiver::to_string(check.verify)},
          {"checked", to_int(check.checked)},
          {"frames", check.frames},
          {"invalid", check.invalid},
          {"findings_by_kind", std::move(by_finding)},
          {"signatures",
           {{"valid", check.signatures.valid},
            {"wrong", check.signatures.wrong},
            {"unchecked", check.signatures.unchecked()}}},
          {"missed", check.missed},
          {"repos_forgotten", check.repos_forgotten},
          {"error", check.error}};
}

json number_or_null(const std::optional<double>& value) {
  return value ? json(*value) : json(nullptr);
}

}  // namespace

double MirrorStatus::seconds_since_last(const MirrorSample& sample) const {
  return last_ ? static_cast<double>(sample.now_ms - last_->now_ms) / 1000 : 0;
}

MirrorStatus::Rates MirrorStatus::rates_of(const MirrorSample& sample, std::size_t stream) const {
  Rates rates;
  const StreamStatus& now = sample.streams[stream];
  if (now.event_time_ms) {
    rates.behind_s = static_cast<double>(sample.now_ms - *now.event_time_ms) / 1000;
  }
  const double seconds = seconds_since_last(sample);
  if (seconds <= 0 || last_->streams.size() != sample.streams.size()) return rates;
  const StreamStatus& before = last_->streams[stream];
  rates.frames = static_cast<double>(now.frames - before.frames) / seconds;
  rates.bytes = static_cast<double>(now.bytes - before.bytes) / seconds;
  if (now.state == StreamState::catching_up && now.event_time_ms && before.event_time_ms) {
    const double speed =
        static_cast<double>(*now.event_time_ms - *before.event_time_ms) / 1000 / seconds;
    if (speed > kSpeedMin) rates.caught_up_in_s = *rates.behind_s / (speed - 1);
  }
  return rates;
}

std::string MirrorStatus::line(const MirrorSample& sample) {
  std::string text;
  for (std::size_t i = 0; i < sample.streams.size(); ++i) {
    if (i == kStreamsInLine) {
      text += fmt::format("{} more streams | ", sample.streams.size() - i);
      break;
    }
    const StreamStatus& stream = sample.streams[i];
    const Rates rates = rates_of(sample, i);
    text += fmt::format("{} {}, {}", stream.name,
                        format_count(static_cast<std::uint64_t>(to_int(stream.newest))),
                        archiver::to_string(stream.state));
    if (rates.behind_s) text += fmt::format(", {} old", rough_time(*rates.behind_s));
    if (rates.caught_up_in_s) {
      text += fmt::format(", caught up in {}", rough_time(*rates.caught_up_in_s));
    }
    text += fmt::format(", {:.0f} frames/s, {}/s | ", rates.frames,
                        format_size(static_cast<std::uint64_t>(rates.bytes)));
    if (stream.check.invalid > 0) {
      text += fmt::format("{} invalid | ", format_count(stream.check.invalid));
    }
  }
  if (sample.server) {
    const replay::ServerStats& server = *sample.server;
    double sent = 0;
    if (last_ && last_->server && seconds_since_last(sample) > 0) {
      sent = static_cast<double>(server.bytes_sent - last_->server->bytes_sent) /
             seconds_since_last(sample);
    }
    text += fmt::format("{} subscribers, {} live, {}/s | ", server.subscribers, server.live,
                        format_size(static_cast<std::uint64_t>(sent)));
  }
  text += fmt::format("raw {}, stored {}", format_size(sample.raw_bytes),
                      format_size(sample.archive.stored_bytes + sample.archive.log_bytes));
  if (sample.archive.health != storage::Health::ok &&
      sample.archive.health != storage::Health::read_only) {
    text += fmt::format(" | {}: {}", storage::to_string(sample.archive.health),
                        sample.archive.health_detail);
  }
  last_ = sample;
  return one_line(text);
}

std::string MirrorStatus::json(const MirrorSample& sample) {
  using Json = nlohmann::json;
  Json out{{"time_ms", sample.now_ms},
           {"health", storage::to_string(sample.archive.health)},
           {"raw_bytes", sample.raw_bytes},
           {"stored_bytes", sample.archive.stored_bytes},
           {"log_bytes", sample.archive.log_bytes},
           {"free_bytes", sample.archive.free_bytes},
           {"retention",
            {{"partitions", sample.archive.retention_partitions},
             {"frames", sample.archive.retention_frames},
             {"stored_bytes", sample.archive.retention_bytes}}},
           {"streams", Json::array()}};
  for (std::size_t i = 0; i < sample.streams.size(); ++i) {
    const StreamStatus& stream = sample.streams[i];
    const Rates rates = rates_of(sample, i);
    Json kept_aside = Json::object();
    for (const auto& [why, count] : stream.kept_aside) kept_aside[to_string(why)] = count;
    out["streams"].push_back({{"name", stream.name},
                              {"url", stream.url},
                              {"state", archiver::to_string(stream.state)},
                              {"last_error", stream.last_error},
                              {"epoch", to_int(stream.epoch)},
                              {"newest", to_int(stream.newest)},
                              {"behind_s", number_or_null(rates.behind_s)},
                              {"caught_up_in_s", number_or_null(rates.caught_up_in_s)},
                              {"frames_per_s", rates.frames},
                              {"bytes_per_s", rates.bytes},
                              {"connections", stream.connections},
                              {"dials_failed", stream.dials_failed},
                              {"frames", stream.frames},
                              {"bytes", stream.bytes},
                              {"text", stream.text},
                              {"oversize", stream.oversize},
                              {"accepted", stream.accepted},
                              {"duplicates", stream.duplicates},
                              {"conflicts", stream.conflicts},
                              {"late", stream.late},
                              {"noted", stream.noted},
                              {"refused", stream.refused},
                              {"quarantined", stream.quarantined},
                              {"kept_aside", std::move(kept_aside)},
                              {"gaps", stream.gaps},
                              {"commits", stream.commits},
                              {"queue_bytes", stream.queue_bytes},
                              {"queue_bytes_max", stream.queue_bytes_max},
                              {"verify", check_as_json(stream.check)}});
  }
  if (sample.server) {
    const replay::ServerStats& server = *sample.server;
    Json ended = Json::object();
    for (std::size_t i = 0; i < replay::kEndReasons; ++i) {
      ended[to_string(static_cast<replay::EndReason>(i))] = server.ended[i];
    }
    out["server"] = {{"connections", server.connections},
                     {"subscribers", server.subscribers},
                     {"live", server.live},
                     {"backfill", server.backfill},
                     {"waiting", server.waiting},
                     {"blocked", server.blocked},
                     {"accepted", server.accepted},
                     {"refused_address", server.refused_address},
                     {"refused_total", server.refused_total},
                     {"subscribed", server.subscribed},
                     {"bytes_sent", server.bytes_sent},
                     {"sends", server.sends},
                     {"cutovers", server.cutovers},
                     {"fallbacks", server.fallbacks},
                     {"ended", std::move(ended)}};
  }
  last_ = sample;
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace standpipe::tools
