#include "storage/run.h"

#include <algorithm>

#include "storage/wire.h"

namespace standpipe::storage {

std::size_t WireRun::index_after(Seq after) const {
  const auto found =
      std::upper_bound(frames.begin(), frames.end(), after,
                       [](Seq wanted, const RunFrame& frame) { return wanted < frame.seq; });
  return static_cast<std::size_t>(found - frames.begin());
}

ByteView WireRun::wire_of(std::size_t index) const {
  STANDPIPE_ASSERT(index < frames.size(), "no such frame in the run");
  const RunFrame& frame = frames[index];
  return as_bytes(std::string_view(wire).substr(frame.offset, frame.length));
}

ByteView WireRun::frame_of(std::size_t index) const {
  const ByteView whole = wire_of(index);
  return whole.empty() ? whole : whole.subspan(pinned_header_size(whole));
}

WireRunPtr run_up_to(WireRunPtr run, Seq last) {
  if (run == nullptr || run->last() <= last) return run;
  const std::size_t frames = run->index_after(last);
  if (frames == 0) return nullptr;
  auto cut = std::make_shared<WireRun>(*run);
  cut->wire.resize(run->frames[frames].offset);
  cut->frames.resize(frames);
  return cut;
}

std::size_t wire_header_size(std::size_t frame_bytes) {
  if (frame_bytes < 126) return 2;
  return frame_bytes <= 0xFFFF ? 4 : 10;
}

void append_wire_frame(std::string& wire, ByteView frame) {
  const std::size_t size = wire_header_size(frame.size());
  std::byte header[10];
  header[0] = kWireFirstByte;
  if (size == 2) {
    header[1] = static_cast<std::byte>(frame.size());
  } else if (size == 4) {
    header[1] = std::byte{126};
    store_be(header + 2, static_cast<std::uint16_t>(frame.size()));
  } else {
    header[1] = std::byte{127};
    store_be(header + 2, static_cast<std::uint64_t>(frame.size()));
  }
  wire.append(as_text({header, size}));
  wire.append(as_text(frame));
}

Result<std::size_t> check_wire_frame(ByteView wire) {
  const std::size_t size = pinned_header_size(wire);
  if (size == 0) {
    return Error{Errc::corrupt,
                 "wire frame of " + std::to_string(wire.size()) +
                     " bytes does not begin with an unmasked binary WebSocket header (82 and the "
                     "shortest length) that spans it exactly"};
  }
  return size;
}

}  // namespace standpipe::storage
