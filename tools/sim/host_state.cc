#include "tools/sim/host_state.h"

#include <algorithm>

#include "tools/sim/persona.h"

namespace standpipe::tools::sim {

using storage::StreamKind;

HostState::HostState(const Spec& spec, Seq repos_after, Seq labels_after)
    : network_(spec.network),
      pool_(make_key_pool(network_)),
      repos_{Edge(StreamKind::repos, network_), repos_after},
      labels_{Edge(StreamKind::labels, network_), labels_after} {
  repos_.edge.pass(repos_after);
  labels_.edge.pass(labels_after);
  clock_.emplace(std::max(repos_.edge.newest_ms(), labels_.edge.newest_ms()), spec.speed);
}

// With a clock, what is due by it has appeared; without, what somebody was given.
void HostState::catch_up(Stream& stream) {
  stream.edge.pass(stream.handed_out);
  if (clock_->is_paced()) stream.edge.advance_to(clock_->now_ms());
}

Seq HostState::newest(StreamKind kind) {
  const std::lock_guard lock(mutex_);
  Stream& of = stream(kind);
  catch_up(of);
  return std::max(of.edge.newest(), of.handed_out);
}

void HostState::on_handed_out(StreamKind kind, const TimedFrame& frame) {
  clock_->on_handed_out(frame.time_ms);
  if (!frame.seq) return;
  const std::lock_guard lock(mutex_);
  Seq& newest = stream(kind).handed_out;
  newest = std::max(newest, *frame.seq);
}

std::optional<std::string> HostState::did_document(std::string_view did) {
  const std::lock_guard lock(mutex_);
  const auto did_web = network_.odd_per_mille[static_cast<std::size_t>(Odd::did_web)];
  catch_up(repos_);
  for (std::uint64_t account = accounts_.size(); account < repos_.edge.accounts(); ++account) {
    accounts_.emplace(make_persona(network_.seed, account, did_web).did, account);
  }
  const auto found = accounts_.find(std::string(did));
  if (found != accounts_.end()) {
    return make_did_document(make_persona(network_.seed, found->second, did_web),
                             make_signing_key(network_.seed, found->second).public_key());
  }
  if (did == did_of(network_.seed, kLabelerAccount)) return Labeler(network_).did_document();
  return std::nullopt;
}

}  // namespace standpipe::tools::sim
