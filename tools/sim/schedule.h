// Who does something next, when, and what kind of thing.
//
// Frames come at a constant mean rate. After each commit, its repository's next one is due after a
// gap drawn from real ones; whenever nothing is due, a repository appears that was active before
// the simulation began. In bursts, once a minute or so, commits come faster, and a little slower
// between them. So the share of commits that have a predecessor within an hour, of which the
// compression of an archive depends, is the real one from the first second on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "tools/sim/random.h"
#include "tools/sim/slot.h"

namespace standpipe::tools::sim {

struct Mix {
  std::uint32_t identity = 8;  // of a thousand frames; what is left are commits
  std::uint32_t account = 3;
  std::uint32_t sync = 1;
};

struct ScheduleOptions {
  std::uint64_t seed = 0;
  std::uint64_t start_micros = 0;
  std::uint64_t rate = 342;  // frames a second; at least 1
  // Of bursts, of 1 to 3 s, a minute apart as a rule; 0: none. From `rate` to kBurstMax times it.
  std::uint64_t burst_rate = 0;
  std::uint64_t frames = 0;    // 0: without end
  std::uint64_t accounts = 0;  // that may be expected to come back at a time; at least 1
  std::int64_t first_seq = 1;
  Mix mix;
  std::array<std::uint32_t, kOddKinds> odd_per_mille{};
};

inline constexpr std::uint64_t kBurstMax = 20;

// Whether commits come again and again, however long it goes on. Not for ever where all frames are
// of other kinds.
bool keeps_committing(const ScheduleOptions& options);

// One thread. Takes 32 bytes per account that is to come back.
class Schedule {
 public:
  explicit Schedule(const ScheduleOptions& options);

  // nullopt after the last.
  std::optional<Slot> next();
  std::uint64_t accounts() const { return accounts_; }  // that have appeared

 private:
  // What comes next for an account, whatever the mix says.
  enum class Stage : std::uint8_t {
    free,
    new_identity,  // identity, account, commit, sync: a new account
    new_account,
    new_commit,
    new_sync,
    back_account,  // account, identity, sync: one that was deactivated
    back_identity,
    back_sync,
    gone,
  };
  struct Due {
    std::uint64_t micros;
    std::uint64_t account;
    Stage stage;
    bool operator>(const Due& other) const {
      return micros != other.micros ? micros > other.micros : account > other.account;
    }
  };

  std::uint64_t rate_now();
  Due take_account(Slot& slot);
  Stage decide(Slot& slot, Stage stage);
  Stage decide_free(Slot& slot);
  std::optional<Odd> draw_odd();

  const ScheduleOptions options_;
  Random random_;
  Random burst_random_;  // of its own: without bursts, all else is as it is with them
  std::uint64_t burst_from_micros_;
  std::uint64_t burst_until_micros_;
  std::uint64_t now_micros_;
  std::uint64_t frames_ = 0;
  std::uint64_t horizon_micros_ = 0;  // what is due later is never seen
  std::int64_t next_seq_;
  std::uint64_t accounts_ = 0;
  std::vector<Due> due_;  // a heap, earliest first
};

}  // namespace standpipe::tools::sim
