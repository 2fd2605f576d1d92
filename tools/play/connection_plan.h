// What a play::Server does to one connection. The default serves; each call adds a fault.
//
//   ConnectionPlan().skip(3).ping_after(5, "are you there").close_after(9, 1008, "ConsumerTooSlow")
//
// The frames that a connection is due are counted from 1, skipped ones too, in the order in which
// it would have got them without a fault; what is put in beside them does not count. "After k"
// means when k of them are done with; after 0, before the first. Each fault happens once, those
// after the same frame in the order of the calls. One that has to wait (for a pong, for a frame
// that is not there yet) holds back all that come after it. A frame has one fault at most:
// of two, the first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"
#include "tools/play/http_wire.h"

namespace standpipe::tools::play {

// An answer to the request for an upgrade that is not one.
struct HttpAnswer {
  int status = 503;
  HttpHeaders headers;  // beside Content-Length and Connection: close
  std::string body;
};

// What the owner of a plan knows a fault by; it is asked before the fault happens (PlayOptions).
using FaultId = std::size_t;
inline constexpr FaultId kFaultAlways = SIZE_MAX;  // nobody is asked

// A frame by how many the connection was due before it, or by where it stands in the list of all
// that the server ever had (from 0): then it must be among those that the connection is due.
struct FrameRef {
  enum class By : std::uint8_t { count, index };
  By by = By::count;
  std::size_t at = 0;
};

// Between two frames.
struct PlannedEvent {
  enum class Kind : std::uint8_t {
    cut,
    reset,
    close,
    stall,
    pause,
    delay,
    go_back,
    text,
    binary,
    filler,
    raw,
    ping,
  };
  Kind kind = Kind::cut;
  FrameRef after;  // count: so many frames; index: this one
  FaultId id = kFaultAlways;
  bool follows = false;     // happens if the one before it in the plan did; of the same place
  Bytes bytes;              // text, binary, filler (its beginning), raw, ping
  std::uint64_t count = 0;  // go_back: frames; filler: bytes in all; delay: milliseconds
  std::optional<std::size_t> index;   // go_back: to this frame of the list instead
  std::size_t piece = 0;              // filler: bytes in a fragment; 0: not fragmented
  std::optional<std::uint16_t> code;  // close
  std::string reason;                 // close
  bool waits_for_pong = false;        // ping
};

// To one frame.
struct PlannedFault {
  enum class Kind : std::uint8_t {
    skip,
    edit,
    repeat,
    cut_within,
    reset_within,
    fragment,
    swap,
    renumber,
  };
  Kind kind = Kind::skip;
  FrameRef frame;  // count: from 1
  FaultId id = kFaultAlways;
  // edit: what goes out in its place; nullopt: the frame does not allow it, and goes as it is.
  std::function<std::optional<Bytes>(ByteView frame)> edit;
  // repeat: times more; *_within: wire bytes that go out; fragment: pieces; renumber: the seq of
  // this frame, those after it counting on from there.
  std::uint64_t count = 0;
  bool has_pings = false;  // fragment: one between each two pieces
};

struct ConnectionPlan {
  // Instead of an upgrade:
  static ConnectionPlan refuse(int status, HttpHeaders headers = {}, std::string body = "");
  static ConnectionPlan redirect(const std::string& url, int status = 307);
  static ConnectionPlan never_answer();  // reads the request (and shakes hands for TLS), no more
  static ConnectionPlan silent();  // reads nothing; only from a queue of plans, not from a callback
  static ConnectionPlan hang_up();                           // FIN in place of an answer
  static ConnectionPlan answer_raw(std::string_view bytes);  // these in place of a head, then FIN

  ConnectionPlan& cut_after(std::size_t frames);    // FIN, without a close frame
  ConnectionPlan& reset_after(std::size_t frames);  // RST, once the peer's kernel has the frames
  // After the first `bytes` bytes of the frame's wire form, of which 2 to 10 are its header.
  ConnectionPlan& cut_within(std::size_t frame, std::size_t bytes);
  ConnectionPlan& reset_within(std::size_t frame, std::size_t bytes);
  // Sends a close frame, waits for the peer's, ends TCP. Without a code the frame is empty.
  ConnectionPlan& close_after(std::size_t frames, std::optional<std::uint16_t> code = {},
                              std::string_view reason = "");
  ConnectionPlan& stall_after(std::size_t frames);  // then sends nothing, pongs neither
  ConnectionPlan& pause_after(std::size_t frames);  // then only answers pings and close frames

  ConnectionPlan& repeat(std::size_t frame, std::size_t times = 1);
  ConnectionPlan& skip(std::size_t frame);
  ConnectionPlan& swap(std::size_t frame);  // with the one after it; both must be there
  // The last `count` frames of the upstream's list again, then on from there. The list may begin
  // before what this connection has got; it does not go back further than that.
  ConnectionPlan& go_back_after(std::size_t frames, std::size_t count);
  ConnectionPlan& replace(std::size_t frame, Bytes with);  // another binary message in its place

  ConnectionPlan& text_after(std::size_t frames, std::string_view text);
  ConnectionPlan& binary_after(std::size_t frames, Bytes message);
  // A binary message of `size` bytes that nobody holds: `begins_with` (not more than `size`), then
  // zeros. With `piece`, in fragments of that many bytes.
  ConnectionPlan& oversize_after(std::size_t frames, std::uint64_t size, Bytes begins_with = {},
                                 std::size_t piece = 0);
  // In so many pieces, of which the last ones may be empty; if asked, with pings between them.
  ConnectionPlan& fragment(std::size_t frame, std::size_t pieces, bool has_pings = false);
  ConnectionPlan& raw_after(std::size_t frames, Bytes bytes);  // onto the wire as they are
  ConnectionPlan& ping_after(std::size_t frames, std::string_view payload,
                             bool waits_for_pong = true);

  ConnectionPlan& never_pong();        // pings are recorded and not answered
  ConnectionPlan& keep_open_at_end();  // TCP stays open after both close frames

  // Frames of the list below this are not there for this connection: a narrower window.
  struct Window {
    std::size_t first_index = 0;
    FaultId id = kFaultAlways;
  };

  enum class Opening : std::uint8_t { upgrade, answer, answer_raw, never_answer, silent, hang_up };
  Opening opening = Opening::upgrade;
  HttpAnswer answer;
  std::string raw_answer;
  std::vector<PlannedEvent> events;
  std::vector<PlannedFault> faults;
  std::optional<Window> window;
  bool answers_pings = true;
  FaultId pings_id = kFaultAlways;  // of not answering them
  bool ends_tcp = true;
};

}  // namespace standpipe::tools::play
