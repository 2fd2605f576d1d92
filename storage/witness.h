// The witness: how far the archive had come, kept apart from the database. An alarm, not a cursor:
// an archive that opens below its witness has lost acknowledged frames, and must not go on.
// docs/format.md, "Witness".
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "schema/base/result.h"
#include "storage/types.h"

namespace standpipe::storage {

struct WitnessEntry {
  StreamId stream{};
  EpochNumber epoch{};
  Seq newest = kSeqNone;
  Seq floor = kSeqNone;
  bool operator==(const WitnessEntry&) const = default;
};

struct WitnessState {
  std::uint64_t sequence = 0;  // grows with each write
  UniqueId archive{};
  bool is_clean = false;  // written by a clean stop
  std::vector<WitnessEntry> entries;
};

inline constexpr std::size_t kWitnessEntriesMax = 168;  // of one slot

// One thread at a time.
class Witness {
 public:
  // Reads `path`; nothing is created. A missing file is an empty witness.
  // corrupt: neither slot is valid, with what is wrong in each.
  static Result<Witness> open(const std::filesystem::path& path);
  Witness(Witness&&) noexcept;
  Witness& operator=(Witness&&) noexcept;
  ~Witness();

  // The newest valid slot; nullopt if the file does not exist yet.
  const std::optional<WitnessState>& state() const { return state_; }
  // What was wrong with the other slot: a write that a power cut tore, or damage. Empty if nothing.
  const std::string& warning() const { return warning_; }

  // Overwrites the older slot; durable on return (O_DSYNC). `sequence` is set here.
  Result<void> write(WitnessState state);

 private:
  explicit Witness(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
  std::optional<WitnessState> state_;
  std::string warning_;
  int fd_ = -1;  // ours; opened by the first write
};

}  // namespace standpipe::storage
