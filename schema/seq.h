// Seq: the number that an upstream gives to a frame, and the only position there is.
// Spec: atproto event-stream, "Sequence Numbers": positive, strictly rising, at most 2^53 - 1.
#pragma once

#include <cstdint>

namespace standpipe {

// A position is always "everything up to and including this seq is done". Seq{0} is the position
// before the first frame; no frame has it.
enum class Seq : std::int64_t {};

inline constexpr Seq kSeqNone{0};
inline constexpr Seq kSeqMin{1};
inline constexpr Seq kSeqMax{(std::int64_t{1} << 53) - 1};

constexpr std::int64_t to_int(Seq seq) { return static_cast<std::int64_t>(seq); }
constexpr Seq next(Seq seq) { return Seq{to_int(seq) + 1}; }
constexpr Seq previous(Seq seq) { return Seq{to_int(seq) - 1}; }
constexpr std::int64_t distance(Seq from, Seq to) { return to_int(to) - to_int(from); }

}  // namespace standpipe
