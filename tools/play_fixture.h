// The frames that `standpipe play` serves, from wherever they come: all of them in memory, so that
// what is sent depends on nothing but who asks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "schema/base/result.h"
#include "schema/seq.h"
#include "tools/play/server.h"
#include "tools/stop_signal.h"

namespace standpipe::tools {

// One of file, data and simulation.
struct PlaySource {
  std::string file;
  std::string data;
  std::string stream;       // of data
  std::uint64_t epoch = 0;  // of data; 0: the newest
  std::optional<Seq> from;  // of data, inclusive
  std::optional<Seq> to;    // of data, inclusive
  bool is_simulation = false;
  // Of a simulation.
  std::optional<std::uint64_t> seed;      // none: 1
  std::optional<std::uint64_t> accounts;  // none: 1'000
  std::uint64_t frames = 0;
  std::uint64_t bytes_max = std::uint64_t{1} << 30;
};

struct PlayFixture {
  // Those without a seq of their own that rises have the seq of the one before, those at the very
  // beginning of the one after them: they are sent where they stand, and cursors find the others.
  std::vector<play::PlayFrame> frames;
  std::size_t first_numbered = 0;  // the first with a seq of its own; frames.size(): there is none
  std::uint64_t bytes = 0;
  // By the clock of design 3, milliseconds from the first frame to each; empty: no frame has a
  // time.
  std::vector<std::int64_t> offsets_ms;
};

// invalid: what cannot be meant. limit: more than bytes_max, of which a frame costs its bytes and
// some 100 more. closed: `signal` was raised meanwhile. Else as the source has it.
Result<PlayFixture> load_fixture(const PlaySource& source, const StopSignal& signal);

}  // namespace standpipe::tools
