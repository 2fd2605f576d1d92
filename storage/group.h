// The group: one stored value, the frames of one commit (at most 64, or one large one).
// docs/format.md, "Group", gives every byte.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "storage/run.h"

namespace standpipe::storage {

inline constexpr std::uint8_t kGroupHeaderVersion = 1;
inline constexpr std::uint8_t kCodecFrames = 0;  // payload: wire frames, one after the other

// Hard limits of the format, checked before anything is allocated.
inline constexpr std::size_t kGroupFramesMax = 4096;
inline constexpr std::size_t kGroupBytesMax = 16 << 20;  // whole value

struct GroupTimes {
  std::int64_t received_first_ms = 0;
  std::int64_t received_last_ms = 0;
  std::int64_t clock_ms = 0;
};

struct GroupSection {
  std::uint16_t type = 0;
  bool is_critical = false;  // a reader that does not know the type must refuse the group
  std::string_view bytes;
};

// A group as stored, taken apart: views into the value. Checksums have been checked.
struct GroupView {
  std::uint8_t codec = 0;
  GroupTimes times;
  std::vector<RunFrame> frames;  // offsets are into `payload`
  std::vector<GroupSection> sections;
  std::string_view payload;
};

// Builds one group. One thread; reusable after finish().
class GroupBuilder {
 public:
  // `seq` must rise. `wire` is the frame in wire form, `hash` its XXH3-64. An empty `wire` stands
  // for an erased frame, whose hash stays. Aborts beyond the hard limits above.
  void add(Seq seq, std::string_view wire, std::uint64_t hash);
  std::size_t frames() const { return frames_.size(); }
  std::size_t payload_bytes() const { return payload_.size(); }
  // The stored value; the builder is empty afterwards. Requires at least one frame.
  std::string finish(const GroupTimes& times, std::span<const GroupSection> sections = {});

 private:
  std::vector<RunFrame> frames_;
  std::string payload_;
};

// corrupt, naming the byte offset inside the value, for anything that finish() would not have made;
// unsupported for a newer header version, another codec, or an unknown critical section.
Result<GroupView> parse_group(std::string_view value);
// Only the header: frames, times, sections; `payload` is empty and its checksum not looked at.
Result<GroupView> parse_group_header(std::string_view value);

std::uint64_t wire_hash(std::string_view wire);  // XXH3-64, seed 0

// The digest of a partition: a chain over its frames in order, from 32 zero bytes. One step is
// SHA-256(previous, seq as 64-bit big-endian, wire form); an erased frame's wire form is empty.
using ChainDigest = std::array<std::byte, 32>;
ChainDigest chain_digest(const ChainDigest& previous, Seq seq, std::string_view wire);

}  // namespace standpipe::storage
