// The fast scanner says of every frame what its slow twin says, and stays inside it.
#include <array>
#include <cstddef>
#include <cstdint>

#include "schema/base/assert.h"
#include "schema/frame.h"
#include "tests/support/slow_scan.h"

namespace {

using standpipe::ByteView;

// Views of the envelope lie in the frame or are empty.
void check_inside(ByteView frame, ByteView view) {
  if (view.empty()) return;
  STANDPIPE_ASSERT(
      view.data() >= frame.data() && view.data() + view.size() <= frame.data() + frame.size(),
      "a view leaves the frame");
}

void check_inside(ByteView frame, std::string_view view) {
  check_inside(frame, standpipe::as_bytes(view));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const ByteView frame(reinterpret_cast<const std::byte*>(bytes), size);
  const auto slow = standpipe::test::slow_scan(frame);
  const auto fast = standpipe::test::fast_scan(frame);
  STANDPIPE_ASSERT(fast == slow, "fast " + standpipe::test::to_string(fast) + "; slow " +
                                     standpipe::test::to_string(slow));

  std::array<standpipe::EnvelopeOp, 3> room;
  const standpipe::FrameScan scan = standpipe::scan_frame(frame, room);
  const standpipe::Envelope& envelope = scan.envelope;
  STANDPIPE_ASSERT(scan.error_at <= size, "an error behind the frame");
  for (const auto view : {envelope.type, envelope.did, envelope.time, envelope.rev,
                          envelope.error_name, envelope.message}) {
    check_inside(frame, view);
  }
  for (const auto view : {envelope.blocks, envelope.ops, envelope.payload}) {
    check_inside(frame, view);
  }
  // What fits in the caller's room is what the reader gives.
  standpipe::OpReader reader(envelope);
  standpipe::EnvelopeOp op;
  for (std::size_t i = 0; i < room.size() && reader.next(op); ++i) {
    STANDPIPE_ASSERT(op.action == room[i].action && op.path == room[i].path,
                     "the reader gives other ops than the scan");
  }
  return 0;
}
