// Frames as they go over the wire to a subscriber, one behind the other: what a bench feeds, what
// it expects back, and what its denominators send.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "schema/base/bytes.h"
#include "tools/play/server_wire.h"

namespace standpipe::test {

struct BenchWire {
  Bytes bytes;                     // of binary messages, header and payload
  std::vector<std::size_t> ends;   // of each frame, in `bytes`
  std::vector<std::int64_t> seqs;  // of each frame
  std::vector<std::uint32_t> fed;  // which frame of the feed each is

  std::size_t size() const { return ends.size(); }
  std::size_t begin_of(std::size_t frame) const { return frame == 0 ? 0 : ends[frame - 1]; }
  ByteView frame(std::size_t number) const {
    return ByteView(bytes).subspan(begin_of(number), ends[number] - begin_of(number));
  }
  ByteView payload(std::size_t number) const {
    const ByteView wire = frame(number);
    const auto length = std::to_integer<unsigned>(wire[1]);
    return wire.subspan(length < 126 ? 2 : length == 126 ? 4 : 10);
  }
  // How many of its frames come before this frame of the feed.
  std::size_t count_before(std::size_t feed_frame) const {
    return static_cast<std::size_t>(std::lower_bound(fed.begin(), fed.end(), feed_frame) -
                                    fed.begin());
  }

  void append(ByteView payload, std::int64_t seq, std::size_t feed_frame) {
    tools::play::append_server_frame(bytes, tools::play::Opcode::binary, payload);
    ends.push_back(bytes.size());
    seqs.push_back(seq);
    fed.push_back(static_cast<std::uint32_t>(feed_frame));
  }
};

// Those frames of a feed that a filter lets through.
template <typename Holds>
BenchWire filtered(const BenchWire& feed, const Holds& holds) {
  BenchWire wire;
  for (std::size_t i = 0; i < feed.size(); ++i) {
    if (holds(feed.payload(i))) wire.append(feed.payload(i), feed.seqs[i], i);
  }
  return wire;
}

}  // namespace standpipe::test
