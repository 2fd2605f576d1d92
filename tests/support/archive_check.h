// Comparing an archive with the model of what it has to hold. Each says in words what differs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "schema/base/result.h"
#include "storage/archive.h"
#include "tests/support/archive_model.h"

namespace standpipe::test {

struct EpochUnderTest {
  const storage::Archive& archive;
  storage::StreamId stream;
  storage::EpochNumber number;
  const EpochModel& model;
};

// Reads on from `position` for about `frames_max` frames.
Result<void> check_frames(const EpochUnderTest& epoch, std::int64_t position,
                          std::size_t frames_max);
// Looks one seq up, stored or not.
Result<void> check_find(const EpochUnderTest& epoch, std::int64_t seq);
// The first seq that a reader starting at that time gets; 0 if there is none. In the archive, and
// in the model.
Result<std::int64_t> first_seq_at(const EpochUnderTest& epoch, std::int64_t clock_ms);
std::int64_t first_seq_at(const EpochModel& model, std::int64_t clock_ms);
// The whole ledger: the same seqs for the same reasons, nothing twice, neighbours merged.
Result<void> check_gaps(const EpochUnderTest& epoch);
Result<void> check_epoch(const storage::EpochInfo& epoch, const EpochModel& model);
// That a partition holds what the model has in its range, and is not too large.
Result<void> check_partition(const storage::PartitionInfo& partition, const EpochModel& model,
                             std::uint64_t bytes_max);

}  // namespace standpipe::test
