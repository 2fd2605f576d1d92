// The words of the archive: streams, epochs, partitions, gaps. Plain values, no behaviour.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.h"
#include "schema/frame.h"
#include "schema/seq.h"

namespace standpipe::storage {

// Small numbers name things inside one archive; the 128-bit ids name them between archives.
enum class StreamId : std::uint32_t {};
enum class EpochNumber : std::uint32_t {};  // counts from 1 within a stream
enum class PartitionId : std::uint64_t {};  // counts from 1 within an archive, never reused
using UniqueId = std::array<std::byte, 16>;

constexpr std::uint32_t to_int(StreamId id) { return static_cast<std::uint32_t>(id); }
constexpr std::uint32_t to_int(EpochNumber n) { return static_cast<std::uint32_t>(n); }
constexpr std::uint64_t to_int(PartitionId id) { return static_cast<std::uint64_t>(id); }
using standpipe::to_int;

enum class StreamKind : std::uint8_t { repos = 1, labels = 2 };
std::string_view to_string(StreamKind kind);

// Whether a skipped seq is a gap. Relays number densely; a PDS and a labeler do not.
enum class Density : std::uint8_t { automatic = 0, dense = 1, sparse = 2 };
std::string_view to_string(Density density);

struct StreamSpec {
  std::string name;  // 1 to 64 of [a-z0-9._-], starting with a letter or a digit
  StreamKind kind = StreamKind::repos;
  std::string url;  // what it is read from; empty for imports
  Density density = Density::automatic;
};

// Why seqs are absent. Values are part of the format.
enum class GapReason : std::uint8_t {
  upstream = 1,     // it skipped them
  outage = 2,       // it no longer had them when we came back
  quarantined = 3,  // received, but not archivable
  retention = 4,    // dropped by our own policy
  erased = 5,       // removed on request
  lost = 6,         // damage that the operator accepted
};
std::string_view to_string(GapReason reason);
inline constexpr std::array kGapReasons{GapReason::upstream,    GapReason::outage,
                                        GapReason::quarantined, GapReason::retention,
                                        GapReason::erased,      GapReason::lost};

// What a gap ledger holds of each reason.
struct GapTotals {
  struct Total {
    std::uint64_t gaps = 0;
    std::uint64_t seqs = 0;  // that they explain
    bool operator==(const Total&) const = default;
  };
  std::array<Total, 7> by_reason{};  // by GapReason, of which none has the value 0
  Total& of(GapReason reason) { return by_reason[static_cast<std::size_t>(reason)]; }
  const Total& of(GapReason reason) const { return by_reason[static_cast<std::size_t>(reason)]; }
};

// One seq space of a stream. `origin`, `floor` and the like are positions: "all up to here".
struct EpochInfo {
  StreamId stream{};
  EpochNumber number{};
  UniqueId id{};
  std::int64_t started_ms = 0;
  std::string reason;           // why it was begun
  std::optional<Seq> origin;    // where the archive began: the seq before the first one wanted
  Seq floor = kSeqNone;         // resume upstream after this
  Seq newest = kSeqNone;        // newest frame ever stored; kSeqNone if none
  bool was_reset = false;       // upstream began anew: nothing is taken until the next epoch
  Seq window_floor = kSeqNone;  // cursors below this are outdated: origin, or what retention took
  std::int64_t clock_ms = 0;    // clock of the newest group
  std::uint64_t frames = 0;     // still stored
  std::uint64_t raw_bytes = 0;  // wire bytes still stored
  GapTotals gaps;
};

struct StreamInfo {
  StreamId id{};
  UniqueId unique_id{};
  StreamSpec spec;
  std::int64_t created_ms = 0;
  std::vector<EpochInfo> epochs;  // oldest first, never empty
};

enum class PartitionState : std::uint8_t {
  creating = 1,  // named in the directory, family perhaps not there yet
  open = 2,      // being appended to
  sealing = 3,   // final, its memtable perhaps not flushed yet
  sealed = 4,    // final and flushed
  building = 5,  // a rewrite of another partition, not yet in its place
  dropping = 6,  // on its way out; never read
};
std::string_view to_string(PartitionState state);

struct PartitionInfo {
  PartitionId id{};
  StreamId stream{};
  EpochNumber epoch{};
  PartitionState state = PartitionState::creating;
  std::string container;  // name of the column family
  std::uint8_t codec = 0;
  Seq first = kSeqNone;  // of its first frame; kSeqNone while it is empty
  Seq last = kSeqNone;   // of its last frame, inclusive
  std::int64_t clock_first_ms = 0;
  std::int64_t clock_last_ms = 0;
  std::uint64_t frames = 0;
  std::uint64_t raw_bytes = 0;  // wire bytes, headers included
  std::uint64_t groups = 0;
  std::array<std::byte, 32> digest{};   // chain of SHA-256 over the wire frames, docs/format.md
  std::optional<PartitionId> replaces;  // building: the partition that it will replace
};

// The seqs strictly between `after` and `before` are absent.
struct Gap {
  Seq after = kSeqNone;
  Seq before = kSeqNone;
  GapReason reason = GapReason::upstream;
  std::int64_t recorded_ms = 0;
  std::string detail;
  bool operator==(const Gap&) const = default;
};

struct QuarantineEntry {
  StreamId stream{};
  std::uint64_t number = 0;  // counts up within the archive
  Unarchivable reason = Unarchivable::empty;
  std::int64_t received_ms = 0;
  std::optional<Seq> seq;         // where it could be read
  std::uint64_t bytes_total = 0;  // size on the wire
  std::string bytes;              // the frame, or its first 64 KiB where it was too large
};

// What upstream said that is not an event: #info, error frames; and what happened to the archive.
struct Note {
  std::uint64_t number = 0;
  StreamId stream{};
  std::int64_t when_ms = 0;
  std::string kind;  // "info", "error", "reset", "epoch", ...
  std::string text;
};

}  // namespace standpipe::storage
