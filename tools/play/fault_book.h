// A scenario at work on one fixture: which connection gets which faults, and what became of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "schema/base/result.h"
#include "tools/play/connection_plan.h"
#include "tools/play/scenario.h"
#include "tools/play/server.h"

namespace standpipe::tools::play {

// One time that a fault happened.
struct Happening {
  std::uint64_t connection = 0;     // from 1
  std::size_t frames = 0;           // done with on it, the fault's own included
  std::optional<std::int64_t> seq;  // of the fault's own frame, or of the last one before it
};
inline constexpr std::size_t kHappeningsMax = 1'000;  // of a fault; more are counted

struct FaultAccount {
  std::string what;  // describe()
  std::string name;
  FaultKind kind = FaultKind::cut;
  std::uint64_t times = 0;
  std::vector<Happening> happenings;     // the first of them
  std::vector<std::uint64_t> missed_on;  // connections that it was to happen to; empty: any
  bool has_happened = false;             // to all of those, at least once
};

// Thread-safe.
class FaultBook {
 public:
  // `seqs`: of the fixture's frames, in their order, not falling; 0: has none. invalid, naming
  // `file`: a fault at a frame that the fixture does not hold.
  static Result<std::unique_ptr<FaultBook>> create(Scenario scenario, const std::string& file,
                                                   std::vector<std::int64_t> seqs);

  // For PlayOptions. Faults of the handshake have happened on return of plan().
  ConnectionPlan plan(std::size_t number, const ConnectionRecord& request);
  bool happen(FaultId id, const FaultSite& site);

  std::vector<FaultAccount> accounts() const;  // in the order of the scenario
  bool have_all_happened() const;

 private:
  struct State {
    std::uint64_t times = 0;
    std::vector<Happening> happenings;
    std::vector<bool> has_happened_on;  // as connections.numbers
  };

  FaultBook(Scenario scenario, std::vector<std::int64_t> seqs);
  std::size_t index_of(std::int64_t seq) const;
  FrameRef place_of(const Fault& fault) const;
  bool is_for(const Fault& fault, std::uint64_t connection) const;
  bool has_all(const Fault& fault, const State& state) const;
  void add_to(ConnectionPlan& plan, const Fault& fault, FaultId id) const;

  const std::vector<Fault> faults_;
  const std::vector<std::int64_t> seqs_;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<State> states_;
};

}  // namespace standpipe::tools::play
