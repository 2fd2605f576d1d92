#include "replay/frame_span.h"

#include <array>

#include "storage/wire.h"

namespace standpipe::replay {

FrameKeys frame_keys(ByteView frame) {
  std::array<EnvelopeOp, 1> ops;
  const FrameScan scan = scan_frame(frame, ops);
  FrameKeys keys;
  keys.kind = scan.envelope.kind;
  keys.did = scan.envelope.did;
  keys.ops_total = static_cast<std::uint32_t>(scan.envelope.ops_total);
  keys.first_op = ops[0];
  return keys;
}

Envelope envelope_of(const FrameKeys& keys) {
  Envelope envelope;
  envelope.kind = keys.kind;
  envelope.did = keys.did;
  envelope.ops_total = keys.ops_total;
  return envelope;
}

ByteView FrameSpan::frame_of(std::size_t i) const {
  const ByteView whole = as_bytes(wire_of(i));
  return whole.subspan(storage::pinned_header_size(whole));
}

bool passes(const FrameFilter& filter, const FrameSpan& span, std::size_t i) {
  if (span.frames[i].length == 0) return false;  // erased
  if (span.keys == nullptr || span.keys[i].ops_total > 1) return filter.passes(span.frame_of(i));
  const FrameKeys& keys = span.keys[i];
  return filter.passes(envelope_of(keys), {&keys.first_op, keys.ops_total});
}

}  // namespace standpipe::replay
