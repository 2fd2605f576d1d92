// What we say to a subscriber ourselves, as the bytes that go on the wire: control frames of
// RFC 6455, and the atproto frames that no upstream sent.
// Spec: atproto event-stream, "Framing"; RFC 6455 5.5. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "schema/base/bytes.h"
#include "schema/seq.h"

namespace standpipe::replay {

inline constexpr std::array<std::byte, 2> kPingFrame{std::byte{0x89}, std::byte{0x00}};

Bytes pong_frame(ByteView payload);  // aborts above 125 bytes
// A reason of more than 123 bytes is cut, at a character. kCloseNoCode makes an empty close frame,
// which is what answers one.
Bytes close_frame(std::uint16_t code, std::string_view reason);

// Whole binary messages in canonical CBOR. Aborts where a text is not UTF-8.
Bytes info_frame(std::string_view name, std::string_view message);
Bytes error_frame(std::string_view name, std::string_view message);

// The ones that are sent, with the texts of the reference server. An error frame is followed by
// close_frame(kClosePolicy, its name).
inline constexpr std::string_view kFutureCursor = "FutureCursor";
inline constexpr std::string_view kConsumerTooSlow = "ConsumerTooSlow";
inline constexpr std::string_view kOutdatedCursor = "OutdatedCursor";
Bytes future_cursor_frame();
Bytes consumer_too_slow_frame();
Bytes outdated_cursor_frame();
// For filtered subscribers that asked for it: all up to `position` has been considered.
Bytes progress_frame(Seq position);

}  // namespace standpipe::replay
