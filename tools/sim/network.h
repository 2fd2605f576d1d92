// A simulated atproto network: the stream that a relay would serve of accounts that do not exist.
//
// Same options, same bytes: on any machine, in any build, with any number of threads. Signatures,
// trees and proofs are real, and so are the figures that compression depends on (figures.h); see
// skeleton.h for how repositories of a million records are held in ten kilobytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/seq.h"
#include "tools/sim/schedule.h"
#include "tools/sim/slot.h"

namespace standpipe::tools::sim {

struct NetworkOptions {
  std::uint64_t seed = 1;
  std::int64_t start_ms = 1'782'864'000'000;  // of the first frame: 2026-07-01T00:00:00Z
  std::uint64_t rate = 342;                   // frames a second of simulated time
  std::uint64_t burst_rate = 0;               // of bursts, once a minute for some 2 s; 0: none
  std::uint64_t frames = 0;                   // 0: without end
  // Accounts that may be expected to come back at a time, of about 10 KB each. Where that is too
  // few for the rate, accounts come back sooner than they would.
  std::uint64_t accounts = 100'000;
  Seq first_seq{1};
  // Frames up to this seq are not made: next() begins behind it, with the very frames that would
  // have followed. They are passed over at some hundred thousand a second.
  Seq after = kSeqNone;
  Mix mix;
  std::array<std::uint32_t, kOddKinds> odd_per_mille{};  // by Odd; all off
  // Commits of a thousand that the labeler answers with labels; for Labeler, no frame depends on
  // it.
  std::uint32_t labels_per_mille = 5;
  std::size_t threads = 0;  // 0: as many as there are cores
};

inline constexpr std::uint64_t kRateMax = 100'000;
inline constexpr std::uint64_t kAccountsMax = 10'000'000;
inline constexpr std::uint64_t kFramesMax = 100'000'000'000;
inline constexpr std::size_t kThreadsMax = 64;

// invalid: an option that is out of its range, which the error names.
Result<void> check_options(const NetworkOptions& options);
ScheduleOptions schedule_options(const NetworkOptions& options);

class KeyPool;
// What networks of the same seed and start may share: a tenth of a second to make.
std::shared_ptr<const KeyPool> make_key_pool(const NetworkOptions& options);

struct SimulatedFrame {
  std::optional<Seq> seq;  // none of an #info
  SlotKind kind = SlotKind::commit;
  std::optional<Odd> odd;
  std::uint64_t account = 0;
  std::int64_t time_ms = 0;  // when it appears, by the clock of the simulation
  Bytes bytes;
};

// Frames are made ahead, in batches, by threads of the network's own; so it takes the memory of
// some thousand frames beside that of the accounts. Used by one thread at a time.
class Network {
 public:
  // invalid: as check_options(). `pool`: of the same options; none: one is made.
  static Result<std::unique_ptr<Network>> create(const NetworkOptions& options,
                                                 std::shared_ptr<const KeyPool> pool = nullptr);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // The next frame, once it is made; nullopt after the last.
  std::optional<SimulatedFrame> next();
  // A step towards what next() returns first, of some milliseconds: false once it is there. Calling
  // it is optional; it gives whoever waits for the first frame the chance not to.
  bool pass_over();

  // That have appeared in what next() has returned.
  std::uint64_t accounts() const;
  // The DID document of an account, as JSON in the form of plc.directory. Any number will do.
  std::string did_document(std::uint64_t account) const;
  std::string did(std::uint64_t account) const;

 private:
  struct Impl;
  explicit Network(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// By its name in kOddNames; invalid for another.
Result<Odd> parse_odd(std::string_view name);

}  // namespace standpipe::tools::sim
