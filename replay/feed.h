// What is served: each epoch of each stream, with the newest frames of those that are written to.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "replay/live_log.h"
#include "schema/base/result.h"
#include "storage/archive.h"

namespace standpipe::replay {

// One epoch of one stream, as subscribers see it.
struct Feed {
  Feed(const storage::StreamInfo& info, storage::EpochNumber number, Seq newest,
       const LiveLog::Limits& limits)
      : stream(info.id),
        name(info.spec.name),
        kind(info.spec.kind),
        epoch(number),
        is_over(number != info.epochs.back().number),
        log(newest, limits) {}

  const storage::StreamId stream;
  const std::string name;
  const storage::StreamKind kind;
  const storage::EpochNumber epoch;
  const bool is_over;  // there was a newer one when it was made: nothing more comes
  LiveLog log;
  // A newer epoch has begun while this one was served as the newest: its subscribers are to end.
  std::atomic<bool> has_ended = false;
};

using FeedPtr = std::shared_ptr<Feed>;

// Thread-safe.
class Feeds {
 public:
  // `archive` must outlive it.
  Feeds(const storage::Archive& archive, LiveLog::Limits limits);

  // Takes over streams that are new, and epochs that have begun. True if an epoch has ended.
  bool refresh();

  // not_found names what there is; unsupported: no stream of that kind at all. `name` empty: the
  // first stream of the kind. No epoch: the newest one.
  Result<FeedPtr> find(std::string_view name, storage::StreamKind kind,
                       std::optional<storage::EpochNumber> epoch);
  // Of the writer of a stream: the feed to publish to. Null for a stream that is not known.
  FeedPtr of_writer(storage::StreamId stream, storage::EpochNumber epoch, Seq before_first);

  std::vector<FeedPtr> newest() const;  // of each stream, by id

 private:
  FeedPtr older(const storage::StreamInfo& info, storage::EpochNumber epoch);

  const storage::Archive* archive_;  // not ours
  const LiveLog::Limits limits_;
  mutable std::mutex mutex_;  // guards everything below
  std::map<storage::StreamId, FeedPtr> newest_;
  // Older epochs, while somebody reads them.
  std::map<std::pair<storage::StreamId, storage::EpochNumber>, std::weak_ptr<Feed>> older_;
};

}  // namespace standpipe::replay
