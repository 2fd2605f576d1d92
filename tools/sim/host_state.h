// What a simulated host knows beside its connections: how far its streams have come, and who its
// accounts are. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "schema/base/result.h"
#include "schema/seq.h"
#include "storage/types.h"
#include "tools/sim/labels.h"
#include "tools/sim/live_clock.h"
#include "tools/sim/source.h"
#include "tools/sim/spec.h"

namespace standpipe::tools::sim {

class HostState {
 public:
  // `spec` must be in order, and have a start.
  explicit HostState(const Spec& spec);

  // Before anything else, and once: as HostOptions. closed: `is_stopping`.
  Result<void> begin(Seq repos_after, Seq labels_after, const std::function<bool()>& is_stopping);

  const LiveClock& clock() const { return *clock_; }
  // A stream of it, made for one subscriber.
  std::unique_ptr<Source> make_source(storage::StreamKind kind, Seq after) const {
    return sim::make_source(kind, network_, pool_, after);
  }

  // The newest seq that has appeared by now. Takes as long as what has appeared since it was last
  // asked for: some millions of frames a second.
  Seq newest(storage::StreamKind kind);
  void on_handed_out(storage::StreamKind kind, const TimedFrame& frame);
  // The newest seq of all that were handed out; at first, what it began after.
  Seq handed_out(storage::StreamKind kind) const {
    return (kind == storage::StreamKind::repos ? repos_ : labels_).handed_out.load();
  }

  // nullopt: none of the accounts that have appeared, nor the labeler.
  std::optional<std::string> did_document(std::string_view did);

 private:
  struct Stream {
    Edge edge;                               // guarded by mutex_
    std::atomic<Seq> handed_out = kSeqNone;  // only rises
  };
  Stream& stream(storage::StreamKind kind) {
    return kind == storage::StreamKind::repos ? repos_ : labels_;
  }
  void catch_up(Stream& stream);  // with mutex_

  const NetworkOptions network_;
  const std::uint64_t speed_;
  const std::shared_ptr<const KeyPool> pool_;
  Stream repos_;
  Stream labels_;
  std::optional<LiveClock> clock_;                           // set by begin()
  std::mutex mutex_;                                         // guards the edges, and:
  std::unordered_map<std::string, std::uint64_t> accounts_;  // by DID, as far as anybody asked
};

}  // namespace standpipe::tools::sim
