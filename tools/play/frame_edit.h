// Frames that a fixture makes, or makes of others: what upstreams say of themselves, and frames
// that are wrong in one place. All functions are pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "schema/base/bytes.h"

namespace standpipe::tools::play {

// {"op": -1} {"error": name, "message": message}, canonical. Spec: atproto event-stream, "Framing".
Bytes error_frame(std::string_view name, std::string_view message);
// {"t": "#info", "op": 1} {"name": name, "message": message}
Bytes info_frame(std::string_view name, std::string_view message);

// What a PDS says of a cursor that is older than what it has.
inline constexpr std::string_view kOutdatedCursor = "OutdatedCursor";
inline constexpr std::string_view kOutdatedCursorText =
    "Requested cursor exceeded limit. Possibly missing events";

// The frame with another header and the payload that it has; nullopt where it has no header.
std::optional<Bytes> with_header(ByteView frame, std::int64_t op, std::string_view type);
// The frame with another `seq`; nullopt where its payload is not a map with one integer of that
// name.
std::optional<Bytes> with_seq(ByteView frame, std::int64_t seq);
// A well-formed frame of `size` bytes with the type and seq of this one, and zeros; nullopt where
// this one lacks either.
inline constexpr std::size_t kPaddedMin = 1'000'000;  // of `size`
std::optional<Bytes> padded_to(ByteView frame, std::size_t size);

// The frame's `t`; empty where it has none.
std::string_view type_of(ByteView frame);

}  // namespace standpipe::tools::play
