// The codec seam: between groups as they are stored and the runs of wire bytes that readers get.
//
// A reader never assumes that a stored group is the wire form. It asks the decoder of the
// partition, which reads groups from a source (here column families; another store may do as well)
// and knows what its codec made of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "schema/base/result.h"
#include "storage/group.h"
#include "storage/run.h"
#include "storage/store.h"
#include "storage/types.h"

namespace standpipe::storage {

// The stored groups of one partition in order of their first seq. One thread.
class GroupSource {
 public:
  virtual ~GroupSource() = default;
  // To the last group whose first seq is at or below `seq`; to the first group if there is none.
  // False if the partition holds no group.
  virtual Result<bool> seek(Seq seq) = 0;
  // To the group that begins at `first`; false if none does. Cheaper than seek(): the group before
  // is not looked at.
  virtual Result<bool> seek_exactly(Seq first) = 0;
  virtual Result<bool> next() = 0;  // false at the end; only while on a group
  // Of the group it stands on, until the next move.
  virtual Seq first() const = 0;
  virtual std::string_view value() const = 0;
};

// Over a scan of the container that holds the partition, alone or among others.
std::unique_ptr<GroupSource> make_group_source(std::unique_ptr<StoreScan> scan, PartitionId id);

struct DecodedRun {
  WireRunPtr run;
  // Where the next run begins: a reader that goes on needs no lookup. nullopt: no group followed.
  std::optional<Seq> next;
  // No group followed *yet*: the run may be longer the next time, so it must not be kept.
  bool ends_at_tail = false;
};

struct DecoderOptions {
  PartitionId partition{};
  EpochNumber epoch{};
  std::size_t run_bytes_target = 256 << 10;
  bool is_final = false;  // nothing is appended any more
};

// Reads one partition. Errors of all calls: io; corrupt and unsupported with the partition and the
// group's first seq. One thread; as long-lived as the source's scan may be.
class PartitionDecoder {
 public:
  virtual ~PartitionDecoder() = default;

  // First seq of a run that holds the first frame after `after`; nullopt if there is none.
  virtual Result<std::optional<Seq>> find(Seq after) = 0;
  // The run that begins at `first`, a seq that find() or DecodedRun::next gave, for this partition.
  // not_found if none begins there (any more).
  virtual Result<DecodedRun> run_at(Seq first) = 0;
  // The frame of exactly that seq, as a run of one; null if it is not stored.
  virtual Result<WireRunPtr> frame(Seq seq) = 0;
  // First seq of the first group whose clock is not below `clock_ms`; nullopt if there is none.
  virtual Result<std::optional<Seq>> find_clock(std::int64_t clock_ms) = 0;
  // Steps back from `after` over whole groups until `frames` frames, or all that there are, lie
  // between the position returned and `after`; `frames` is lowered by as many.
  virtual Result<Seq> step_back(Seq after, std::size_t& frames) = 0;
};

// Codec 0 joins neighbouring groups into runs. Where a run ends depends on the stored groups alone,
// not on where a reader came from, or two readers of one range could not share what was decoded: it
// ends before an *anchor*, a group picked by a hash of its first seq (one in twelve), and otherwise
// where the next group would take it above run_bytes_target (counted as stored). So a reader that
// starts amid a run meets the others at the next anchor, a run or two later.
// unsupported for a codec that this build does not know.
Result<std::unique_ptr<PartitionDecoder>> make_decoder(std::uint8_t codec,
                                                       const DecoderOptions& options,
                                                       std::unique_ptr<GroupSource> source);

bool is_run_anchor(Seq first);  // of a group's first seq

}  // namespace standpipe::storage
