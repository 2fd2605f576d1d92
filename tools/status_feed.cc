#include "tools/status_feed.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "replay/pages.h"

namespace standpipe::tools {
namespace {

using archiver::StreamState;
using archiver::StreamStatus;
using Json = nlohmann::json;

constexpr std::int64_t kMinuteMs = 60'000;
// A second that came much later than the one before it says nothing of those in between.
constexpr std::int64_t kSecondMsMax = 3'000;

template <typename Value>
Json json_of(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

// With one digit behind the point: what is drawn and read needs no more.
Json rates_of(const std::deque<std::optional<double>>& rates) {
  Json all = Json::array();
  for (const auto& rate : rates) {
    all.push_back(rate ? Json(static_cast<double>(static_cast<std::int64_t>(*rate * 10)) / 10)
                       : Json(nullptr));
  }
  return all;
}

const StreamStatus* find_status(const MetricsSample& sample, const std::string& name) {
  for (const StreamStatus& one : sample.mirror.streams) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

const replay::StreamHealth* find_health(const MetricsSample& sample, const std::string& name) {
  for (const replay::StreamHealth& one : sample.health.streams) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

// Those that hold frames: not the one that is made ahead of need.
std::size_t partitions_of(const MetricsSample& sample) {
  return static_cast<std::size_t>(
      std::count_if(sample.partitions.begin(), sample.partitions.end(),
                    [](const storage::PartitionInfo& one) { return one.first != kSeqNone; }));
}

// Whether what is shown of it is not what the network does now.
bool is_stale(const StreamStatus& status, const storage::StreamInfo& info,
              const std::optional<double>& received_age_s) {
  const bool follows = status.state == StreamState::live ||
                       status.state == StreamState::catching_up ||
                       status.state == StreamState::connecting;
  if (!follows) return true;
  // A labeler may say nothing for hours, a relay never does.
  const bool is_repos = info.spec.kind == storage::StreamKind::repos;
  return is_repos && received_age_s.value_or(0) > kStaleAfterSeconds;
}

// Where it is served: the first of its kind at the root.
std::string path_of(const MetricsSample& sample, const storage::StreamInfo& info) {
  const auto first = std::find_if(
      sample.streams.begin(), sample.streams.end(),
      [&](const storage::StreamInfo& other) { return other.spec.kind == info.spec.kind; });
  const std::string path(replay::subscribe_path(info.spec.kind));
  return first->id == info.id ? path : "/stream/" + info.spec.name + path;
}

Json json_of(const MetricsSample& sample, const storage::StreamInfo& info) {
  const storage::EpochInfo& epoch = info.epochs.back();
  const StreamStatus* const status = find_status(sample, info.spec.name);
  const replay::StreamHealth* const health = find_health(sample, info.spec.name);
  const storage::PartitionInfo* const oldest = oldest_partition(sample, info);
  const auto received = health != nullptr ? health->received_age_s : std::nullopt;
  std::uint64_t gap_seqs = 0;
  for (const storage::GapReason reason : storage::kGapReasons) {
    // What retention took lies before what is held.
    if (reason != storage::GapReason::retention) gap_seqs += epoch.gaps.of(reason).seqs;
  }
  Json out{{"name", info.spec.name},
           {"kind", storage::to_string(info.spec.kind)},
           {"path", path_of(sample, info)},
           {"epoch", to_int(epoch.number)},
           {"upstream", status == nullptr ? "not followed" : archiver::to_string(status->state)},
           {"is_stale", status != nullptr && is_stale(*status, info, received)},
           {"received_age_s", json_of(received)},
           {"event_age_s", json_of(health != nullptr ? health->event_age_s : std::nullopt)},
           {"frames", epoch.frames},
           {"raw_bytes", epoch.raw_bytes},
           {"gap_seqs", gap_seqs},
           {"newest", to_int(epoch.newest)},
           {"newest_ms", epoch.clock_ms},
           {"oldest", nullptr},
           {"oldest_ms", nullptr}};
  if (oldest != nullptr) {
    out["oldest"] = to_int(oldest->first);
    out["oldest_ms"] = oldest->clock_first_ms;
  }
  return out;
}

}  // namespace

std::optional<double> RateHistory::rate(const std::optional<Mark>& from, const Mark& to) {
  if (!from || to.at_ms <= from->at_ms || to.frames < from->frames) return std::nullopt;
  return static_cast<double>(to.frames - from->frames) * 1000 /
         static_cast<double>(to.at_ms - from->at_ms);
}

bool RateHistory::add(std::int64_t now_ms, std::uint64_t frames) {
  const Mark now{now_ms, frames};
  const bool is_late = second_ && now_ms - second_->at_ms > kSecondMsMax;
  seconds_.push_back(is_late ? std::nullopt : rate(second_, now));
  if (seconds_.size() > kHistorySeconds) seconds_.pop_front();
  second_ = now;
  if (!minute_) minute_ = now;
  if (now_ms - minute_->at_ms < kMinuteMs) return false;
  minutes_.push_back(rate(minute_, now));
  if (minutes_.size() > kHistoryMinutes) minutes_.pop_front();
  minute_ = now;
  return true;
}

void StatusFeed::look_at_gaps(Stream& stream, const storage::StreamInfo& info) {
  const storage::EpochInfo& epoch = info.epochs.back();
  if (stream.gaps_read_at && stream.epoch == epoch.number &&
      stream.gaps_read_at->by_reason == epoch.gaps.by_reason) {
    return;
  }
  stream.epoch = epoch.number;
  stream.gaps_read_at = epoch.gaps;
  stream.gaps = read_gaps_(info);
  const auto width = [](const storage::Gap& gap) { return distance(gap.after, gap.before); };
  if (stream.gaps.size() <= kGapsDrawn) return;
  std::nth_element(stream.gaps.begin(), stream.gaps.begin() + kGapsDrawn, stream.gaps.end(),
                   [&](const auto& a, const auto& b) { return width(a) > width(b); });
  stream.gaps.resize(kGapsDrawn);
  std::sort(stream.gaps.begin(), stream.gaps.end(),
            [](const auto& a, const auto& b) { return a.after < b.after; });
}

StatusFeed::Texts StatusFeed::next(const MetricsSample& sample) {
  const std::int64_t now_ms = sample.mirror.now_ms;
  if (!started_ms_) started_ms_ = now_ms;
  const replay::ServerStats server = sample.mirror.server.value_or(replay::ServerStats{});
  const auto per_second = [&](std::uint64_t now, std::uint64_t& before) -> Json {
    const std::uint64_t from = std::exchange(before, now);
    if (!last_ms_ || now_ms <= *last_ms_ || now < from) return nullptr;
    return static_cast<double>(now - from) * 1000 / static_cast<double>(now_ms - *last_ms_);
  };
  Json tick{
      {"version", sample.version},
      {"up_s", static_cast<double>(now_ms - *started_ms_) / 1000},
      {"health", to_string(status_of(sample.health))},
      {"subscribers",
       {{"total", server.subscribers},
        {"live", server.live},
        {"backfill", server.backfill},
        {"waiting", server.waiting},
        {"filtered", server.filtered},
        {"blocked", server.blocked},
        {"frames_rate", per_second(server.frames_sent, last_frames_sent_)},
        {"bytes_rate", per_second(server.bytes_sent, last_bytes_sent_)}}},
      {"archive",
       {{"raw_bytes", sample.mirror.raw_bytes},
        {"stored_bytes", sample.mirror.archive.stored_bytes + sample.mirror.archive.log_bytes},
        {"free_bytes", sample.mirror.archive.free_bytes},
        {"partitions", partitions_of(sample)}}},
      {"streams", Json::array()}};
  Json full = tick;
  for (const storage::StreamInfo& info : sample.streams) {
    Stream& stream = streams_[info.spec.name];
    look_at_gaps(stream, info);
    Json shown = json_of(sample, info);
    shown["gaps"] = Json::array();
    for (const storage::Gap& gap : stream.gaps) {
      shown["gaps"].push_back({{"after", to_int(gap.after)},
                               {"before", to_int(gap.before)},
                               {"reason", storage::to_string(gap.reason)}});
    }
    const StreamStatus* const status = find_status(sample, info.spec.name);
    // Of a stream that nobody archives here there is nothing to draw.
    const bool is_minute = status != nullptr && stream.history.add(now_ms, status->accepted);
    const auto& seconds = stream.history.seconds();
    const auto& minutes = stream.history.minutes();
    shown["rate"] = seconds.empty() ? Json(nullptr) : json_of(seconds.back());
    full["streams"].push_back(shown);
    full["streams"].back()["seconds"] = rates_of(seconds);
    full["streams"].back()["minutes"] = rates_of(minutes);
    if (is_minute) shown["minute"] = json_of(minutes.back());
    tick["streams"].push_back(std::move(shown));
  }
  last_ms_ = now_ms;
  const auto text_of = [](const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  return {text_of(full), text_of(tick)};
}

}  // namespace standpipe::tools
