// What is wrong with a frame beside those before it: the part of a verification that goes in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_set>

#include "schema/frame_verdict.h"
#include "schema/repo_chain.h"
#include "schema/seq.h"

namespace standpipe {

// One thread. Remembers the last commit of each repository, some 200 bytes each.
class FrameFollower {
 public:
  explicit FrameFollower(std::size_t repos_max) : repos_max_(repos_max), chain_(repos_max) {}

  // Frames after `after` were sent and are not here, up to the next one that is followed. What
  // upstream skipped is no such gap: it was not sent, and is upstream's to explain.
  void pass_gap(Seq after) { chain_.pass_gap(after); }

  // Adds to the findings what the frames before it make of this one: seqs and revs that do not
  // rise, commits that do not come after one another, and whether a signature that fits no key is
  // wrong, or by a key that has changed since the documents were made.
  void follow(FrameVerdict& verdict);

  Seq first() const { return first_; }
  Seq last() const { return last_; }
  std::uint64_t chained() const { return chained_; }  // commits that had one before them
  std::uint64_t breaks_across_gaps() const { return breaks_across_gaps_; }
  // For want of room: their next commit is held against none.
  std::uint64_t repos_forgotten() const { return chain_.repos_forgotten() + identities_forgotten_; }

 private:
  bool check_seq(FrameVerdict& verdict);
  void follow_chain(FrameVerdict& verdict);
  void follow_commit(FrameVerdict& verdict);
  void remember_identity(const std::string& did);
  void settle_signature(FrameVerdict& verdict) const;

  const std::size_t repos_max_;
  RepoChain chain_;
  std::unordered_set<std::string> identities_;  // whose keys may have changed within the range
  std::uint64_t identities_forgotten_ = 0;
  std::uint64_t chained_ = 0;
  std::uint64_t breaks_across_gaps_ = 0;
  Seq first_ = kSeqNone;
  Seq last_ = kSeqNone;
};

}  // namespace standpipe
