// Frames of a test's own making: archivable, deterministic, and as incompressible as real ones.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "storage/archive.h"

namespace standpipe::test {

inline constexpr std::int64_t kFirstFrameMs = 1'767'225'600'000;  // 2026-01-01T00:00:00Z
inline constexpr std::int64_t kFrameStepMs = 10;                  // between seqs

// The time that make_frame(seq) carries.
constexpr std::int64_t frame_time_ms(std::int64_t seq) {
  return kFirstFrameMs + seq * kFrameStepMs;
}

struct FrameSpec {
  std::int64_t seq = 1;
  std::size_t blocks_bytes = 300;  // size of the pseudo-random `blocks`; the rest is some 250 bytes
  std::int64_t time_ms = 0;        // 0: frame_time_ms(seq)
  std::uint64_t variant = 0;       // another one gives other bytes for the same seq
};

// A canonical #commit frame. The same spec always gives the same bytes.
Bytes make_frame(const FrameSpec& spec);
Bytes make_frame(std::int64_t seq);

// What an epoch holds, by seq: the frames as upstream sent them. The model that archives are
// compared with, and the form in which they are read back.
using FrameMap = std::map<std::int64_t, std::string>;

// Every frame after `after`, by Reader::read_after. Fails with the reader's own error; with corrupt
// where the reader breaks its word: a seq that does not rise, a step that does not move.
// What retention took is passed over.
Result<FrameMap> read_all(const storage::Archive& archive, storage::StreamId stream,
                          storage::EpochNumber epoch, Seq after = kSeqNone);
// The same, into `out`: what was read before an error is in it.
Result<void> read_into(FrameMap& out, const storage::Archive& archive, storage::StreamId stream,
                       storage::EpochNumber epoch, Seq after = kSeqNone);

// Empty if the two are equal, else the first few differences in words: "seq 17 is missing".
std::string differences(const FrameMap& expected, const FrameMap& actual);

}  // namespace standpipe::test
