// What the reading verbs need of an archive, whoever holds it.
//
// An archive that nobody writes to is opened read-only; one that a process holds is read through
// that process's control socket. Verbs see the same thing either way.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/seq.h"
#include "storage/archive.h"
#include "storage/types.h"

namespace standpipe::tools {

// One epoch of one stream.
struct Place {
  std::string stream;
  storage::StreamKind kind = storage::StreamKind::repos;
  storage::EpochNumber epoch{};
  Seq newest = kSeqNone;        // when the place was looked up
  Seq window_floor = kSeqNone;  // nothing up to here is held
};

struct ViewFrame {
  Seq seq{};
  storage::PartitionId partition{};
  std::int64_t received_first_ms = 0;  // of the groups that it was stored with
  std::int64_t received_last_ms = 0;
  std::int64_t clock_ms = 0;
  ByteView bytes;  // as upstream sent it; valid as long as its page
};

// A stretch of frames, in order.
struct FramePage {
  std::vector<storage::Gap> passed;   // what retention took at the position: before `frames`
  std::vector<ViewFrame> frames;      // may be empty
  Seq position = kSeqNone;            // go on from here
  bool is_last = false;               // nothing more up to `until`, or nothing more at all
  std::shared_ptr<const void> owner;  // of the bytes
};

// One thread.
class ArchiveView {
 public:
  virtual ~ArchiveView() = default;

  // `stream` empty: the only one there is. No epoch: the newest. not_found names what there is.
  virtual Result<Place> locate(std::string_view stream,
                               std::optional<storage::EpochNumber> epoch) = 0;
  // Frames with after < seq <= until.
  virtual Result<FramePage> read_after(const Place& place, Seq after, Seq until) = 0;
  // As storage::Reader::position_at.
  virtual Result<Seq> position_at(const Place& place, std::int64_t clock_ms) = 0;
  // The gaps that touch (after, before), oldest first.
  virtual Result<std::vector<storage::Gap>> gaps(const Place& place, Seq after, Seq before,
                                                 std::size_t max) = 0;
  // JSON object: streams, epochs, partitions, gaps, quarantine, notes, health. `stream` empty: all.
  virtual Result<std::string> describe(std::string_view stream) = 0;
  // Re-reads every stored byte against its checksums. Slow.
  virtual Result<void> verify() = 0;
};

// not_found without an archive; busy where a process holds it and does not answer at its socket.
Result<std::unique_ptr<ArchiveView>> open_view(const std::filesystem::path& dir);

// A view of an archive that this process holds; `archive` must outlive it.
std::unique_ptr<ArchiveView> view_of(const storage::Archive& archive);

}  // namespace standpipe::tools
