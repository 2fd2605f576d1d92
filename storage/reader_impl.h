// The inside of Reader. Private to storage/.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "storage/codec.h"
#include "storage/core.h"
#include "storage/read_ahead.h"
#include "storage/reader.h"

namespace standpipe::storage {

class Reader::Impl {
 public:
  Impl(Core& core, std::shared_ptr<EpochChannel> channel);

  Result<ReadStep> read_after(Seq after);
  Result<Seq> position_at(std::int64_t clock_ms);
  Result<Seq> step_back(Seq after, std::size_t frames);
  Result<std::optional<RunSlice>> find(Seq seq);

 private:
  // What follows `after` in one partition; nullptr if nothing does. not_found if it is gone.
  Result<WireRunPtr> read_partition(const PartitionInfo& partition, Seq after);
  Result<WireRunPtr> read_view(const EpochView& view, Seq after);
  Result<WireRunPtr> find_in(const EpochView& view, Seq seq) const;
  // The caller holds store_mutex.
  Result<std::unique_ptr<PartitionDecoder>> open_decoder(const PartitionInfo& partition,
                                                         bool bulk) const;
  // Decodes what follows the run that was not in the cache, from `first` on, into the cache, while
  // the decoder is at hand.
  void read_ahead(PartitionDecoder& decoder, const RunKey& missed, std::optional<Seq> first);

  Core* core_;  // not ours, outlives us
  std::shared_ptr<EpochChannel> channel_;
  // Where the run after the one handed out last begins: saves the look-up.
  struct NextRun {
    PartitionId partition{};
    Seq after = kSeqNone;
    Seq first = kSeqNone;
  };
  std::optional<NextRun> next_;
  ReadAhead ahead_;
};

}  // namespace standpipe::storage
