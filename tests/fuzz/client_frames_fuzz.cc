// What a subscriber sends: the events are the same however the bytes are cut, and each is one that
// may be acted upon.
// Input: a byte that says how to cut, then what is sent.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "replay/client_frames.h"
#include "schema/base/assert.h"
#include "schema/utf8.h"

namespace standpipe::replay {
namespace {

struct Seen {
  ClientEventKind kind;
  std::uint16_t code;
  Bytes payload;
  std::string_view why;
  bool operator==(const Seen&) const = default;
};

void check(const ClientEvent& event) {
  STANDPIPE_ASSERT(event.payload.size() <= kControlPayloadBytesMax, "a payload above the limit");
  switch (event.kind) {
    case ClientEventKind::ping:
    case ClientEventKind::pong:
      STANDPIPE_ASSERT(event.code == 0 && event.why.empty(), "a ping with a code");
      break;
    case ClientEventKind::close:
      STANDPIPE_ASSERT(event.code >= 1000 && event.code < 5000 && event.code != 1006,
                       "a code that may not be sent");
      STANDPIPE_ASSERT(is_valid_utf8(as_text(event.payload)), "a reason that is not UTF-8");
      break;
    case ClientEventKind::violation:
      STANDPIPE_ASSERT(event.code == kCloseProtocolError || event.code == kCloseTooLarge,
                       "a violation of no code of ours");
      STANDPIPE_ASSERT(!event.why.empty(), "a violation without a reason");
      break;
  }
}

// Reads all of `bytes`, `cut` at a time; of a `cut` of 0, in pieces of 1 to 16 bytes in turn.
std::vector<Seen> read_all(ByteView bytes, std::size_t cut) {
  std::vector<Seen> seen;
  ClientFrameReader reader;
  for (std::size_t turn = 0; !bytes.empty(); ++turn) {
    const std::size_t size = std::min(bytes.size(), cut > 0 ? cut : 1 + turn * 7 % 16);
    ByteView piece = bytes.first(size);
    bytes = bytes.subspan(size);
    while (const auto event = reader.next(piece)) {
      check(*event);
      const bool is_end =
          event->kind == ClientEventKind::close || event->kind == ClientEventKind::violation;
      STANDPIPE_ASSERT(reader.is_done() == is_end, "goes on after the end");
      seen.push_back({event->kind, event->code, to_bytes(event->payload), event->why});
    }
    STANDPIPE_ASSERT(piece.empty(), "leaves something unread");
  }
  return seen;
}

void check_cuts(ByteView input) {
  if (input.empty()) return;
  const ByteView bytes = input.subspan(1);
  const std::vector<Seen> whole = read_all(bytes, bytes.size());
  STANDPIPE_ASSERT(whole == read_all(bytes, 1), "other events byte by byte");
  STANDPIPE_ASSERT(whole == read_all(bytes, std::to_integer<std::size_t>(input[0])),
                   "other events in pieces");
}

}  // namespace
}  // namespace standpipe::replay

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  standpipe::replay::check_cuts({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
