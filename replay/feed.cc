#include "replay/feed.h"

#include <algorithm>
#include <utility>

namespace standpipe::replay {
namespace {

std::string names_of(const std::vector<storage::StreamInfo>& streams, storage::StreamKind kind) {
  std::string names;
  for (const storage::StreamInfo& stream : streams) {
    if (stream.spec.kind != kind) continue;
    if (!names.empty()) names += ", ";
    names += stream.spec.name;
  }
  return names;
}

}  // namespace

Feeds::Feeds(const storage::Archive& archive, LiveLog::Limits limits)
    : archive_(&archive), limits_(limits) {
  refresh();
}

bool Feeds::refresh() {
  bool has_ended = false;
  const std::vector<storage::StreamInfo> streams = archive_->streams();
  const std::lock_guard lock(mutex_);
  for (const storage::StreamInfo& info : streams) {
    const storage::EpochInfo& epoch = info.epochs.back();
    FeedPtr& feed = newest_[info.id];
    if (feed != nullptr && feed->epoch >= epoch.number) continue;
    if (feed != nullptr) {
      feed->has_ended = true;
      has_ended = true;
    }
    feed = std::make_shared<Feed>(info, epoch.number, epoch.newest, limits_);
  }
  return has_ended;
}

FeedPtr Feeds::older(const storage::StreamInfo& info, storage::EpochNumber epoch) {
  const Seq newest = archive_->newest(info.id, epoch);
  const std::lock_guard lock(mutex_);
  std::erase_if(older_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<Feed>& kept = older_[{info.id, epoch}];
  FeedPtr feed = kept.lock();
  if (feed == nullptr) {
    feed = std::make_shared<Feed>(info, epoch, newest, limits_);
    kept = feed;
  }
  return feed;
}

Result<FeedPtr> Feeds::find(std::string_view name, storage::StreamKind kind,
                            std::optional<storage::EpochNumber> epoch) {
  const std::vector<storage::StreamInfo> streams = archive_->streams();
  const auto info = std::find_if(streams.begin(), streams.end(), [&](const auto& stream) {
    return stream.spec.kind == kind && (name.empty() || stream.spec.name == name);
  });
  if (info == streams.end()) {
    const std::string names = names_of(streams, kind);
    if (names.empty()) {
      return Error{Errc::unsupported,
                   "this host has no stream of kind " + std::string(to_string(kind))};
    }
    return Error{Errc::not_found, "no stream of kind " + std::string(to_string(kind)) +
                                      " has that name here; there are: " + names};
  }
  if (epoch && *epoch != info->epochs.back().number) {
    const bool is_there = std::any_of(info->epochs.begin(), info->epochs.end(),
                                      [&](const auto& one) { return one.number == *epoch; });
    if (!is_there) {
      return Error{Errc::not_found, "stream " + info->spec.name + " has epochs 1 to " +
                                        std::to_string(to_int(info->epochs.back().number))};
    }
    return older(*info, *epoch);
  }
  {
    const std::lock_guard lock(mutex_);
    const auto found = newest_.find(info->id);
    if (found != newest_.end() && found->second->epoch == info->epochs.back().number) {
      return found->second;
    }
  }
  refresh();
  const std::lock_guard lock(mutex_);
  return newest_.at(info->id);
}

FeedPtr Feeds::of_writer(storage::StreamId stream, storage::EpochNumber epoch, Seq before_first) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = newest_.find(stream);
    if (found != newest_.end() && found->second->epoch == epoch) return found->second;
  }
  // The first frames of an epoch that nobody has told us of: all that are durable are published.
  for (const storage::StreamInfo& info : archive_->streams()) {
    if (info.id != stream || info.epochs.back().number != epoch) continue;
    const std::lock_guard lock(mutex_);
    FeedPtr& feed = newest_[stream];
    if (feed != nullptr && feed->epoch == epoch) return feed;
    if (feed != nullptr) feed->has_ended = true;
    feed = std::make_shared<Feed>(info, epoch, before_first, limits_);
    return feed;
  }
  return nullptr;
}

std::vector<FeedPtr> Feeds::newest() const {
  const std::lock_guard lock(mutex_);
  std::vector<FeedPtr> feeds;
  for (const auto& [id, feed] : newest_) feeds.push_back(feed);
  return feeds;
}

}  // namespace standpipe::replay
