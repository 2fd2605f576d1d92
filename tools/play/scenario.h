// The scenario language: which faults a fixture has, where, and for whom. docs/fixtures.md is its
// reference; the table in scenario.cc is what both follow.
//
//   [[fault]]
//   kind = "cut"
//   connection = 1
//   after = 100
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.h"
#include "schema/frame.h"

namespace standpipe::tools::play {

enum class FaultKind : std::uint8_t {
  cut,
  close,
  stall,
  delay,
  repeat,
  text,
  error,
  info,
  duplicate,
  skip,
  swap,
  corrupt,
  truncate,
  oversize,
  unknown_type,
  unknown_op,
  seq_reset,
  window,
  status,
  redirect,
  no_pong,
};
std::string_view to_string(FaultKind kind);

struct FaultPlace {
  enum class By : std::uint8_t {
    connection,  // the whole of it
    after,       // between two frames: once so many of the connection's are done with
    after_seq,   // between two frames: once it has been sent the frame with this seq
    frame,       // the frame of that number on the connection, from 1
    seq,         // the frame with this seq
  };
  By by = By::connection;
  std::int64_t at = 0;
};

// For whom. One without a number happens once: to the first connection that gets to its place.
struct FaultConnections {
  enum class Which : std::uint8_t { first, listed, every };
  Which which = Which::first;
  std::vector<std::uint64_t> numbers;  // listed: from 1, rising
};

// The defaults are those of the language.
struct Fault {
  FaultKind kind = FaultKind::cut;
  std::string name;  // as the scenario calls it; may be empty
  FaultConnections connections;
  FaultPlace place;

  std::int64_t byte = -1;         // cut: of the frame's wire form; corrupt: of the frame; -1: none
  std::int64_t bytes = -1;        // truncate: kept; oversize: in all
  std::int64_t mask = 255;        // corrupt: what the byte is xor-ed with
  std::int64_t code = -1;         // close; -1: a close frame without one
  std::int64_t ms = 0;            // delay
  std::int64_t from_seq = 0;      // repeat: the first frame that comes again
  std::int64_t oldest = 0;        // window: seq of the oldest frame that is held
  std::int64_t times = 1;         // duplicate: more
  std::int64_t op = 2;            // unknown_op
  std::int64_t to_seq = 1;        // seq_reset: seq of the frame
  std::int64_t status = 0;        // status, redirect
  std::int64_t retry_after = -1;  // status: seconds; -1: no such header
  std::string how = "fin";        // cut: fin, reset
  std::string reason;             // close
  std::string text = "not a frame";  // text
  std::string error = "ConsumerTooSlow";
  std::string message;         // error, info
  std::string ends = "close";  // error: close, cut, open
  std::string info = "OutdatedCursor";
  std::string type = "#fixture";  // unknown_type
  std::string to;                 // redirect; empty: where the request came to
  std::string body;               // status
  bool pongs = false;             // stall: pings are answered
};

struct Scenario {
  std::vector<Fault> faults;
};

inline constexpr std::size_t kScenarioBytesMax = 1 << 20;
inline constexpr std::size_t kFaultsMax = 10'000;
inline constexpr std::int64_t kOversizeMin = static_cast<std::int64_t>(kFrameBytesMax) + 1;
inline constexpr std::int64_t kOversizeMax = std::int64_t{64} << 20;

enum class ScenarioSyntax : std::uint8_t { toml, json };

// `file` is what errors call it. invalid, in one line: the file, the fault, the key and what is
// allowed. Nothing is ignored: not an unknown key, not one that does not belong to the kind.
Result<Scenario> parse_scenario(std::string_view text, ScenarioSyntax syntax,
                                const std::string& file);
// By its name: .json, else TOML. io: it cannot be read.
Result<Scenario> read_scenario(const std::string& path);

// "fault 3 (cut, 'the night cut')", as errors and reports call it; `number` from 1.
std::string describe(const Fault& fault, std::size_t number);

}  // namespace standpipe::tools::play
