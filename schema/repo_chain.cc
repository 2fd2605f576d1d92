#include "schema/repo_chain.h"

#include <algorithm>
#include <utility>

#include "schema/base/assert.h"
#include "schema/cid.h"
#include "schema/ids.h"

namespace standpipe {

std::string_view to_string(ChainFault fault) {
  switch (fault) {
    case ChainFault::rev_not_rising:
      return "rev_not_rising";
    case ChainFault::since_not_previous:
      return "since_not_previous";
    case ChainFault::prev_data_not_previous:
      break;
  }
  return "prev_data_not_previous";
}

RepoChain::RepoChain(std::size_t repos_max) : generation_max_(repos_max / 2) {
  STANDPIPE_ASSERT(repos_max >= 2, "a chain of less than two repositories");
}

RepoChain::State* RepoChain::find(std::string_view did) {
  if (const auto found = newer_.find(did); found != newer_.end()) return &found->second;
  const auto found = older_.find(did);
  return found == older_.end() ? nullptr : &found->second;
}

RepoChain::State RepoChain::state_of(const ChainLink& link) {
  State state;
  state.seq = link.seq;
  if (link.rev && Tid::is_valid(*link.rev)) state.rev = *link.rev;
  // Of another form it is a fault by itself, and nothing to hold the next commit against.
  if (link.data.size() == state.data.size()) {
    std::copy(link.data.begin(), link.data.end(), state.data.begin());
    state.has_data = true;
  }
  return state;
}

// Whether the link says in every way that it comes right after this.
bool RepoChain::State::precedes(const ChainLink& link) const {
  return !rev.empty() && link.since.value == rev && has_data && equal(link.prev_data, data);
}

void RepoChain::set(const ChainLink& link) {
  State state = state_of(link);
  if (const auto found = newer_.find(link.did); found != newer_.end()) {
    found->second = std::move(state);
    return;
  }
  if (const auto found = older_.find(link.did); found != older_.end()) older_.erase(found);
  if (newer_.size() >= generation_max_) {
    forgotten_ += older_.size();
    older_ = std::exchange(newer_, States());
  }
  newer_.emplace(link.did, std::move(state));
}

ChainStep RepoChain::add_commit(const ChainLink& link) {
  ChainStep step;
  State* before = find(link.did);
  if (before == nullptr) {
    set(link);
    return step;
  }
  step.is_known = true;
  step.is_across_gap = before->seq <= gap_after_;
  const std::string where = "its commit before this is seq " + std::to_string(to_int(before->seq));
  const bool has_revs = !before->rev.empty() && link.rev && Tid::is_valid(*link.rev);
  if (has_revs && *link.rev <= before->rev) {
    step.findings.push_back({ChainFault::rev_not_rising,
                             std::string(*link.rev) + " after " + before->rev + "; " + where});
    before->passed_over = std::make_unique<State>(state_of(link));
    return step;
  }
  if (before->passed_over && before->passed_over->precedes(link)) {
    set(link);
    return step;
  }
  if (!before->rev.empty() && link.since.is_present && link.since.value != before->rev) {
    step.findings.push_back(
        {ChainFault::since_not_previous,
         (link.since.value ? quoted_for_error(*link.since.value) : std::string("null")) + ", not " +
             before->rev + "; " + where});
  }
  if (before->has_data && !link.prev_data.empty() && !equal(link.prev_data, before->data)) {
    step.findings.push_back(
        {ChainFault::prev_data_not_previous,
         cid_to_string(link.prev_data) + ", not " + cid_to_string(before->data) + "; " + where});
  }
  set(link);
  return step;
}

void RepoChain::add_sync(const ChainLink& link) { set(link); }

void RepoChain::forget(std::string_view did) {
  if (const auto found = newer_.find(did); found != newer_.end()) newer_.erase(found);
  if (const auto found = older_.find(did); found != older_.end()) older_.erase(found);
}

void RepoChain::pass_gap(Seq after) { gap_after_ = std::max(gap_after_, after); }

}  // namespace standpipe
