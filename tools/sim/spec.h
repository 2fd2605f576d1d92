// A simulated network by its name: what `--upstream sim:...` says, and what an archive remembers of
// it.
//
//   sim:                                     seed 1, 342 frames a second, from now on
//   sim:seed=7,accounts=1000,rate=340        whatever is said
//   sim:start=2026-07-01T00:00:00Z,legacy=20,speed=max
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "schema/base/result.h"
#include "tools/sim/network.h"

namespace standpipe::tools::sim {

// Accounts where nothing else is said: a network that runs for days holds them all, some 50 MB.
inline constexpr std::uint64_t kLiveAccounts = 5'000;
inline constexpr std::uint64_t kSpeedMax = 1'000;
inline constexpr std::uint32_t kOddPerMilleDefault = 5;

struct Spec {
  NetworkOptions network;  // start_ms counts only where has_start
  bool has_start = false;  // else: when it is first run
  // Times the speed of the clock on the wall; 0: as fast as it is read. Decides nothing of the
  // frames.
  std::uint64_t speed = 1;
};

bool is_sim_url(std::string_view url);  // begins with "sim:"

// `base`: what holds where `text` says nothing; none: the defaults. invalid names the key, or what
// it allows.
Result<Spec> parse_spec(std::string_view text, const Spec* base = nullptr);

// The one text of all that decides the frames: without `speed`, and without what is as by default.
// parse_spec() reads it.
std::string to_string(const Spec& spec);

// "legacy=20", "legacy": an odd kind and its share of a thousand. "sync=3": likewise of the mix,
// and labels. invalid, with what is allowed.
Result<void> take_odd(std::string_view text, NetworkOptions& network);
Result<void> take_mix(std::string_view text, NetworkOptions& network);
// "1" to "1000", or "max", which is 0.
Result<std::uint64_t> parse_speed(std::string_view text);

}  // namespace standpipe::tools::sim
