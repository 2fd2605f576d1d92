// Frames in wire form, side by side in memory, with what is needed to find and to filter them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "schema/frame.h"
#include "schema/frame_filter.h"
#include "storage/run.h"

namespace standpipe::replay {

// What a filter looks at, read from a frame once however many filters judge it. The views are into
// the frame.
struct FrameKeys {
  FrameKind kind = FrameKind::unknown;
  std::uint32_t ops_total = 0;
  std::string_view did;
  EnvelopeOp first_op;  // most commits have one; of others the frame itself is asked
};
FrameKeys frame_keys(ByteView frame);
Envelope envelope_of(const FrameKeys& keys);  // nothing in it but what is in the keys

// A stretch of a LiveLog segment or of a run of the archive: the sender does not know which.
struct FrameSpan {
  const char* wire = nullptr;                   // frames[i] lies at wire + frames[i].offset
  std::span<const storage::RunFrame> frames{};  // adjacent in memory, seqs rise
  const FrameKeys* keys = nullptr;              // of each frame; null: not read yet

  bool empty() const { return frames.empty(); }
  std::string_view wire_of(std::size_t i) const {
    return {wire + frames[i].offset, frames[i].length};
  }
  ByteView frame_of(std::size_t i) const;  // without the WebSocket header
};

bool passes(const FrameFilter& filter, const FrameSpan& span, std::size_t i);

}  // namespace standpipe::replay
