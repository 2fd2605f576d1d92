// What a server sends: the events are the same however the bytes are cut, and nothing is held that
// need not be.
// Input: a byte that says how to cut, then what is sent.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "archiver/firehose/server_frames.h"
#include "schema/base/assert.h"

namespace standpipe::firehose {
namespace {

constexpr std::size_t kMessageMax = 300;
constexpr std::size_t kHead = 20;

struct Seen {
  ServerEvent event;
  std::string bytes;
  std::uint64_t total = 0;
  bool operator==(const Seen&) const = default;
};

std::vector<Seen> read_all(ByteView bytes, std::size_t cut) {
  std::vector<Seen> seen;
  ServerFrameReader reader(kMessageMax, kHead);
  bool is_over = false;
  for (;;) {
    const ServerEvent event = reader.next();
    if (event == ServerEvent::none) {
      if (bytes.empty()) return seen;
      const std::span<std::byte> room = reader.room();
      const std::size_t size = std::min({cut, bytes.size(), room.size()});
      std::copy_n(bytes.begin(), size, room.begin());
      reader.add(size);
      bytes = bytes.subspan(size);
      if (is_over) return seen;
      continue;
    }
    STANDPIPE_ASSERT(!is_over, "goes on after the end");
    if (event == ServerEvent::message) {
      const bool is_whole = reader.message().size() == reader.message_bytes();
      STANDPIPE_ASSERT(
          is_whole ? reader.message().size() <= kMessageMax : reader.message().size() == kHead,
          "neither a message nor its head");
      seen.push_back({event, std::string(as_text(reader.message())), reader.message_bytes()});
    } else if (event == ServerEvent::violation) {
      STANDPIPE_ASSERT(!reader.why().empty(), "a violation without a reason");
      seen.push_back({event, std::string(reader.why())});
    } else {
      STANDPIPE_ASSERT(reader.payload().size() <= 125, "a payload above the limit");
      seen.push_back({event, std::string(as_text(reader.payload()))});
    }
    is_over = event == ServerEvent::close || event == ServerEvent::violation;
  }
}

void check_cuts(ByteView input) {
  if (input.empty()) return;
  const ByteView bytes = input.subspan(1);
  const std::vector<Seen> whole = read_all(bytes, SIZE_MAX);
  STANDPIPE_ASSERT(whole == read_all(bytes, 1), "other events byte by byte");
  STANDPIPE_ASSERT(whole == read_all(bytes, 1 + std::to_integer<std::size_t>(input[0])),
                   "other events in pieces");
}

}  // namespace
}  // namespace standpipe::firehose

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  standpipe::firehose::check_cuts({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
