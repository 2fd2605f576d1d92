// Runs of wire bytes: what every reader of the archive gets, whatever codec stored them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/seq.h"
#include "storage/types.h"

namespace standpipe::storage {

// One frame of a run. `offset` and `length` are of the wire form: an RFC 6455 server-to-client
// header (0x82, unmasked, minimal length), then the frame as upstream sent it.
struct RunFrame {
  Seq seq{};
  std::uint32_t offset = 0;  // into WireRun::wire
  std::uint32_t length = 0;  // header included; 0: the frame was erased
  std::uint64_t hash = 0;    // XXH3-64 of the wire form
};

// Frames of one partition, adjacent and in order. Immutable once made; shared by all readers.
struct WireRun {
  PartitionId partition{};
  EpochNumber epoch{};
  std::int64_t received_first_ms = 0;  // of the first group in it
  std::int64_t received_last_ms = 0;   // of the last group in it
  std::int64_t clock_ms = 0;           // of the last group in it
  std::vector<RunFrame> frames;        // never empty, seqs rise
  std::string wire;                    // all frames in wire form, nothing else

  Seq first() const { return frames.front().seq; }
  Seq last() const { return frames.back().seq; }
  // Index of the first frame whose seq is greater than `after`; frames.size() if none is.
  std::size_t index_after(Seq after) const;
  ByteView wire_of(std::size_t index) const;   // with the WebSocket header
  ByteView frame_of(std::size_t index) const;  // without: the bytes as upstream sent them
};

using WireRunPtr = std::shared_ptr<const WireRun>;

// The frames of `run` whose seq is at most `last`; nullptr if there are none. A copy, but for a run
// that lacks nothing.
WireRunPtr run_up_to(WireRunPtr run, Seq last);

// RFC 6455 5.2: FIN and binary, unmasked, shortest length form. 2, 4 or 10 bytes.
std::size_t wire_header_size(std::size_t frame_bytes);
void append_wire_frame(std::string& wire, ByteView frame);
// Size of the header at the start of `wire`; corrupt if it is not exactly the pinned form for the
// bytes that follow it (`wire` must be one whole frame).
Result<std::size_t> check_wire_frame(ByteView wire);

}  // namespace standpipe::storage
