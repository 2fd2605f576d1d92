// The directory of a damaged archive, as far as its rows can be read, and completed from what the
// families say of themselves. Private to storage/.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "schema/base/result.h"
#include "storage/gap_set.h"
#include "storage/rows.h"
#include "storage/salvage.h"
#include "storage/witness.h"

namespace standpipe::storage {

using EpochKey = std::pair<StreamId, EpochNumber>;

struct RepairedDirectory {
  FormatRow format;
  CountersRow counters;
  std::map<StreamId, StreamRow> streams;
  std::map<EpochKey, EpochRow> epochs;
  std::map<EpochKey, HeadRow> heads;
  std::map<PartitionId, PartitionInfo> partitions;
  std::map<EpochKey, GapSet> gaps;
  RowMap others;  // rows that stay as they are: notes, resets, and what a later program put there
  std::uint64_t next_note = 1;
  std::vector<std::string> unreadable;  // a sentence for each row that cannot be read
  std::vector<std::string> remarks;     // what was made up, and from what

  // unsupported: of a newer format.
  static Result<RepairedDirectory> from_rows(const RowMap& rows);
  // The epoch that a family says its partition is of; it and its stream are added if need be, the
  // stream under the number that `row`, the partition's, has for it.
  EpochKey place(const SelfDescription& text, const PartitionInfo* row, std::int64_t now_ms);
  // The epoch of a partition whose family has lost its self-description, by the family's name.
  std::optional<EpochKey> place_by_name(std::string_view container) const;
  // What the witness alone still knows, and what no archive can be without.
  void complete(const std::optional<WitnessState>& witness, std::int64_t now_ms);
  bool is_dense(const EpochKey& epoch) const;  // whether a skipped seq is always explained
};

}  // namespace standpipe::storage
