// Whether the commits of each repository follow one another.
// Spec: atproto sync, "Commit Validation": rev rises; `since` and `prevData` are those of the
// commit before.
//
// A break says that a commit is missing between two, not which of the two is wrong. A commit whose
// rev does not rise is passed over, as relays do; what follows may come after the one before it, or
// after the one that was passed over, as a host's clock that went back for a moment makes it. After
// any other break the newer commit counts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/event.h"
#include "schema/seq.h"

namespace standpipe {

enum class ChainFault : std::uint8_t {
  rev_not_rising,
  since_not_previous,      // `since` is not the rev of the commit before
  prev_data_not_previous,  // `prevData` is not the `data` of the commit before
};

std::string_view to_string(ChainFault fault);  // "rev_not_rising"

struct ChainFinding {
  ChainFault fault = ChainFault::rev_not_rising;
  std::string detail;  // for people
};

// What a commit or #sync says of its place in the chain. Fields that frames of another age lack, or
// that cannot be read, are not held against anything.
struct ChainLink {
  Seq seq{};
  std::string_view did;
  std::optional<std::string_view> rev;
  Nullable<std::string_view> since;
  ByteView prev_data;  // binary CID; empty: none
  ByteView data;       // of the commit object, likewise
};

struct ChainStep {
  std::vector<ChainFinding> findings;
  bool is_known = false;  // there was a commit before it to hold it against
  // Frames are known to be missing between the two: `findings` tell of that, not of a fault.
  bool is_across_gap = false;
};

// The newest state of many repositories: for each its DID and some 150 bytes. Links are given in
// the order of their seqs. One thread.
class RepoChain {
 public:
  // Of more repositories than `repos_max` (at least 2) those are forgotten that were quiet longest,
  // half of them at a time.
  explicit RepoChain(std::size_t repos_max);

  ChainStep add_commit(const ChainLink& link);
  // The repository is now at this link, whatever was before.
  void add_sync(const ChainLink& link);
  // Whatever its next commit says will do: the account has changed hands or state.
  void forget(std::string_view did);
  // Frames after `after` are missing, up to the next link.
  void pass_gap(Seq after);

  std::size_t repos() const { return newer_.size() + older_.size(); }
  std::uint64_t repos_forgotten() const { return forgotten_; }  // for want of room

 private:
  struct State {
    Seq seq{};
    std::string rev;                   // empty: not known
    std::array<std::byte, 36> data{};  // binary CID
    bool has_data = false;
    std::unique_ptr<State> passed_over;  // after it, the newest; rare

    bool precedes(const ChainLink& link) const;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  using States = std::unordered_map<std::string, State, Hash, std::equal_to<>>;

  State* find(std::string_view did);
  static State state_of(const ChainLink& link);
  void set(const ChainLink& link);

  // Two generations: what is looked at moves to the newer one; when that is full, the older one
  // goes and it takes its place.
  const std::size_t generation_max_;
  States newer_;
  States older_;
  std::uint64_t forgotten_ = 0;
  Seq gap_after_ = kSeqNone;  // of the newest gap
};

}  // namespace standpipe
