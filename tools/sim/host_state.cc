#include "tools/sim/host_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tools/sim/persona.h"

namespace standpipe::tools::sim {

using storage::StreamKind;

HostState::HostState(const Spec& spec)
    : network_(spec.network),
      speed_(spec.speed),
      pool_(make_key_pool(network_)),
      repos_{Edge(StreamKind::repos, network_)},
      labels_{Edge(StreamKind::labels, network_)} {}

Result<void> HostState::begin(Seq repos_after, Seq labels_after,
                              const std::function<bool()>& is_stopping) {
  const std::lock_guard lock(mutex_);
  for (const auto& [stream, after] : {std::pair(&repos_, repos_after), {&labels_, labels_after}}) {
    if (!stream->edge.pass(after, is_stopping)) {
      return Error{Errc::closed, fmt::format("told to stop at seq {}, on the way to seq {}",
                                             to_int(stream->edge.newest()), to_int(after))};
    }
    stream->handed_out = after;
  }
  clock_.emplace(std::max(repos_.edge.newest_ms(), labels_.edge.newest_ms()), speed_);
  return {};
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
  return std::max(of.edge.newest(), of.handed_out.load());
}

void HostState::on_handed_out(StreamKind kind, const TimedFrame& frame) {
  clock_->on_handed_out(frame.time_ms);
  if (frame.seq) raise_to(stream(kind).handed_out, *frame.seq);
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
