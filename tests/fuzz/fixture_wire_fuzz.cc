// What a consumer sends to a fixture, a head of HTTP and then frames: what is read of it is the
// same however the bytes are cut. Input: a byte that says how to cut, then what is sent.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/assert.h"
#include "tools/play/http_wire.h"
#include "tools/play/server_wire.h"

namespace standpipe::tools::play {
namespace {

struct Seen {
  std::vector<Bytes> controls;  // their opcode, then their payload
  std::uint64_t messages = 0;
  std::string violation;
  bool operator==(const Seen&) const = default;
};

Seen read_frames(ByteView bytes, std::size_t cut) {
  Seen seen;
  ClientFrames frames;
  while (!bytes.empty()) {
    ByteView piece = bytes.first(std::min(cut, bytes.size()));
    bytes = bytes.subspan(piece.size());
    while (const auto control = frames.take(piece)) {
      STANDPIPE_ASSERT(control->opcode >= Opcode::close && control->opcode <= Opcode::pong,
                       "not a control frame");
      STANDPIPE_ASSERT(control->payload.size() <= 125, "a payload above the limit");
      seen.controls.push_back({static_cast<std::byte>(control->opcode)});
      seen.controls.back().insert(seen.controls.back().end(), control->payload.begin(),
                                  control->payload.end());
    }
    STANDPIPE_ASSERT(piece.empty() || !frames.violation().empty(), "leaves something unread");
  }
  seen.messages = frames.messages();
  seen.violation = frames.violation();
  return seen;
}

// As much of `text` as a head takes when it comes in pieces; all of it where there is no end.
std::string_view read_head(std::string_view text, std::size_t cut) {
  for (std::size_t have = 0; have < text.size();) {
    have = std::min(have + cut, text.size());
    if (const auto end = http_head_end(text.substr(0, have))) {
      STANDPIPE_ASSERT(*end <= have, "an end behind what has come");
      return text.substr(0, *end);
    }
  }
  return text;
}

void check_head(std::string_view text) {
  const auto head = parse_http_head(text);
  if (!head) return;
  STANDPIPE_ASSERT(http_head_end(text) == text.size(), "a head that goes on behind its end");
  std::string same = head->first_line + "\r\n";
  for (const auto& [name, value] : head->headers) {
    STANDPIPE_ASSERT(!name.empty() && name.find_first_of(" \t:\r\n") == std::string::npos,
                     "a name");
    STANDPIPE_ASSERT(find_header(head->headers, name).has_value(), "a header that is not found");
    has_token(value, "upgrade");
    same.append(name).append(":").append(value).append("\r\n");
  }
  const auto again = parse_http_head(same + "\r\n");
  STANDPIPE_ASSERT(again.has_value(), "what was read is not a head");
  STANDPIPE_ASSERT(again->first_line == head->first_line && again->headers == head->headers,
                   "another head");
  status_of(head->first_line);
  query_parameter(head->first_line, "cursor");
}

void run(ByteView input) {
  if (input.empty()) return;
  const std::size_t cut = 1 + std::to_integer<std::size_t>(input[0]);
  const ByteView sent = input.subspan(1);
  const std::string_view head = read_head(as_text(sent), SIZE_MAX);
  STANDPIPE_ASSERT(head == read_head(as_text(sent), cut), "another head in pieces");
  check_head(head);
  const bool has_head = http_head_end(head).has_value();
  const ByteView bytes = has_head ? sent.subspan(head.size()) : sent;
  const Seen whole = read_frames(bytes, SIZE_MAX);
  STANDPIPE_ASSERT(whole == read_frames(bytes, 1), "other frames byte by byte");
  STANDPIPE_ASSERT(whole == read_frames(bytes, cut), "other frames in pieces");
}

}  // namespace
}  // namespace standpipe::tools::play

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  standpipe::tools::play::run({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
