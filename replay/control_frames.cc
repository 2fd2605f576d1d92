#include "replay/control_frames.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "replay/client_frames.h"
#include "schema/base/assert.h"
#include "schema/cbor.h"
#include "schema/utf8.h"

namespace standpipe::replay {
namespace {

constexpr std::byte kBinary{0x82}, kClose{0x88}, kPong{0x8A};  // all with FIN

// Spec: RFC 6455 5.2; a server does not mask.
Bytes wire_frame(std::byte first, ByteView payload) {
  Bytes wire{first};
  if (payload.size() < 126) {
    wire.push_back(static_cast<std::byte>(payload.size()));
  } else if (payload.size() <= 0xFFFF) {
    wire.resize(4, std::byte{126});
    store_be(wire.data() + 2, static_cast<std::uint16_t>(payload.size()));
  } else {
    wire.resize(10, std::byte{127});
    store_be(wire.data() + 2, std::uint64_t{payload.size()});
  }
  wire.insert(wire.end(), payload.begin(), payload.end());
  return wire;
}

void write_pair(CborWriter& writer, std::string_view key, std::string_view value) {
  STANDPIPE_ASSERT(is_valid_utf8(value), "text of a frame is not UTF-8");
  writer.write_text(key);
  writer.write_text(value);
}

}  // namespace

Bytes pong_frame(ByteView payload) {
  STANDPIPE_ASSERT(payload.size() <= kControlPayloadBytesMax, "a pong of more than 125 bytes");
  return wire_frame(kPong, payload);
}

Bytes close_frame(std::uint16_t code, std::string_view reason) {
  if (code == kCloseNoCode) return wire_frame(kClose, {});
  std::size_t size = std::min(reason.size(), kControlPayloadBytesMax - sizeof code);
  // Not in the middle of a character: the bytes 10xxxxxx go with the one before them.
  while (size > 0 && size < reason.size() &&
         (static_cast<unsigned char>(reason[size]) & 0xC0) == 0x80) {
    --size;
  }
  Bytes payload(sizeof code);
  store_be(payload.data(), code);
  const ByteView text = as_bytes(reason.substr(0, size));
  payload.insert(payload.end(), text.begin(), text.end());
  return wire_frame(kClose, payload);
}

// Keys in canonical order, in headers and in payloads: the shorter one first.
Bytes info_frame(std::string_view name, std::string_view message) {
  Bytes frame;
  CborWriter writer(frame);
  writer.write_map(2);
  write_pair(writer, "t", "#info");
  writer.write_text("op");
  writer.write_integer(1);
  writer.write_map(2);
  write_pair(writer, "name", name);
  write_pair(writer, "message", message);
  return wire_frame(kBinary, frame);
}

Bytes error_frame(std::string_view name, std::string_view message) {
  Bytes frame;
  CborWriter writer(frame);
  writer.write_map(1);
  writer.write_text("op");
  writer.write_integer(-1);
  writer.write_map(2);
  write_pair(writer, "error", name);
  write_pair(writer, "message", message);
  return wire_frame(kBinary, frame);
}

Bytes future_cursor_frame() { return error_frame(kFutureCursor, "Cursor in the future."); }

Bytes consumer_too_slow_frame() {
  return error_frame(kConsumerTooSlow, "Stream consumer too slow");
}

Bytes outdated_cursor_frame() {
  return info_frame(kOutdatedCursor, "Requested cursor exceeded limit. Possibly missing events");
}

Bytes progress_frame(Seq position) {
  return info_frame("Progress", fmt::format("{}", to_int(position)));
}

}  // namespace standpipe::replay
