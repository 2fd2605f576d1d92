// What a simulated host knows beside its connections: how far its streams have come, and who its
// accounts are. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "schema/seq.h"
#include "storage/types.h"
#include "tools/sim/labels.h"
#include "tools/sim/live_clock.h"
#include "tools/sim/source.h"
#include "tools/sim/spec.h"

namespace standpipe::tools::sim {

class HostState {
 public:
  // As HostOptions. `spec` must be in order, and have a start.
  HostState(const Spec& spec, Seq repos_after, Seq labels_after);

  const LiveClock& clock() const { return *clock_; }
  // A stream of it, made for one subscriber.
  std::unique_ptr<Source> make_source(storage::StreamKind kind, Seq after) const {
    return sim::make_source(kind, network_, pool_, after);
  }

  // The newest seq that has appeared by now.
  Seq newest(storage::StreamKind kind);
  void on_handed_out(storage::StreamKind kind, const TimedFrame& frame);

  // nullopt: none of the accounts that have appeared, nor the labeler.
  std::optional<std::string> did_document(std::string_view did);

 private:
  struct Stream {
    Edge edge;
    Seq handed_out;
  };
  Stream& stream(storage::StreamKind kind) {
    return kind == storage::StreamKind::repos ? repos_ : labels_;
  }
  void catch_up(Stream& stream);

  const NetworkOptions network_;
  const std::shared_ptr<const KeyPool> pool_;
  std::mutex mutex_;  // guards all that follows but clock_, which is set once
  Stream repos_;
  Stream labels_;
  std::unordered_map<std::string, std::uint64_t> accounts_;  // by DID, as far as anybody asked
  std::optional<LiveClock> clock_;
};

}  // namespace standpipe::tools::sim
