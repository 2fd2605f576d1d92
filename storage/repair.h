// What of a damaged archive is whole, and another archive made of that.
//
// The damaged one is only read: neither its directory nor its manifest has to be in order. What
// cannot be read is left out of the new one and said there: by a gap `lost` for seqs that lay
// between frames that are whole; by an earlier end for those that its upstream is asked for again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schema/base/clock.h"
#include "schema/base/result.h"
#include "storage/types.h"

namespace standpipe::storage {

// A place that cannot be read, for people.
struct RepairDamage {
  std::string file;
  std::string container;  // column family; empty if it is not known, or not of one
  std::string what;
};

// Seqs strictly between `after` and `before` are lost, but for those that another gap explains.
struct RepairLoss {
  std::string stream;
  EpochNumber epoch{};
  Seq after = kSeqNone;
  Seq before = kSeqNone;
  // At the end of the newest epoch of a stream that has an upstream: no gap, a mirror asks for them
  // again.
  bool is_asked_again = false;
};

struct RepairPartition {
  PartitionId id{};
  std::string stream;
  EpochNumber epoch{};
  std::string container;
  Seq first = kSeqNone, last = kSeqNone;         // of its frames that are whole
  std::uint64_t frames = 0;                      // likewise
  std::optional<std::uint64_t> frames_recorded;  // as the directory had it
  bool is_whole = false;
};

struct RepairReport {
  std::vector<RepairDamage> damages;
  std::vector<RepairPartition> partitions;  // by stream, epoch and seq
  std::vector<RepairLoss> losses;           // likewise
  std::vector<std::string> remarks;         // what else is not as it was, a sentence each
  std::uint64_t frames = 0;                 // whole
  std::uint64_t bytes = 0;                  // that tables and logs take
  bool is_whole() const { return damages.empty() && losses.empty(); }
};

// Bytes read or written, of about so many.
using RepairProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

class Repair {
 public:
  // Holds the archive like a reader until destroyed: nobody writes to it meanwhile. Reads all of
  // it. not_found: there is none. busy: a process holds it for writing. unsupported: of a newer
  // format. Damage is no error: it is in report().
  static Result<std::unique_ptr<Repair>> examine(const std::filesystem::path& dir,
                                                 const Clock& clock,
                                                 const RepairProgress& progress);
  ~Repair();
  Repair(const Repair&) = delete;
  Repair& operator=(const Repair&) = delete;

  const RepairReport& report() const;

  // Makes `target`, which must not exist, or be empty: an archive of all that is whole, with the
  // losses of the report in its ledger, opened and read again before it gets its name. It is made
  // in TARGET.partial, which is removed by the next call where this one was broken off.
  // limit: less room than `free_bytes_min` would remain; the figures are named. busy: another
  // process makes it.
  Result<void> write(const std::filesystem::path& target, std::uint64_t free_bytes_min,
                     const RepairProgress& progress);

 private:
  class Impl;
  explicit Repair(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::storage
