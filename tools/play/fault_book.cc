#include "tools/play/fault_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tools/play/frame_edit.h"

namespace standpipe::tools::play {
namespace {

bool is_by_seq(FaultPlace::By by) {
  return by == FaultPlace::By::after_seq || by == FaultPlace::By::seq;
}

bool is_of_handshake(FaultKind kind) {
  return kind == FaultKind::status || kind == FaultKind::redirect;
}

PlannedEvent event_of(PlannedEvent::Kind kind, Bytes bytes = {}) {
  PlannedEvent event;
  event.kind = kind;
  event.bytes = std::move(bytes);
  return event;
}

// What a fault between two frames does, one thing after the other.
std::vector<PlannedEvent> events_of(const Fault& fault) {
  using Kind = PlannedEvent::Kind;
  std::vector<PlannedEvent> events;
  switch (fault.kind) {
    case FaultKind::cut:
      events.push_back(event_of(fault.how == "reset" ? Kind::reset : Kind::cut));
      break;
    case FaultKind::close:
      events.push_back(event_of(Kind::close));
      if (fault.code >= 0) events.back().code = static_cast<std::uint16_t>(fault.code);
      events.back().reason = fault.reason;
      break;
    case FaultKind::stall:
      events.push_back(event_of(fault.pongs ? Kind::pause : Kind::stall));
      break;
    case FaultKind::delay:
      events.push_back(event_of(Kind::delay));
      events.back().count = static_cast<std::uint64_t>(fault.ms);
      break;
    case FaultKind::text:
      events.push_back(event_of(Kind::text, to_bytes(as_bytes(fault.text))));
      break;
    case FaultKind::info: {
      const bool is_usual = fault.info == kOutdatedCursor && fault.message.empty();
      events.push_back(event_of(
          Kind::binary, info_frame(fault.info, is_usual ? kOutdatedCursorText : fault.message)));
      break;
    }
    case FaultKind::error:
      events.push_back(event_of(Kind::binary, error_frame(fault.error, fault.message)));
      events.push_back(event_of(fault.ends == "close" ? Kind::close
                                : fault.ends == "cut" ? Kind::cut
                                                      : Kind::pause));
      events.back().code = 1008;
      events.back().reason = fault.error;
      events.back().follows = true;
      break;
    default:
      break;
  }
  return events;
}

std::optional<Bytes> corrupted(ByteView frame, const Fault& fault) {
  const auto at = static_cast<std::size_t>(fault.byte);
  if (at >= frame.size()) return std::nullopt;
  Bytes edited = to_bytes(frame);
  edited[at] ^= static_cast<std::byte>(fault.mask);
  return edited;
}

std::optional<Bytes> truncated(ByteView frame, const Fault& fault) {
  const auto kept = static_cast<std::size_t>(fault.bytes);
  if (kept >= frame.size()) return std::nullopt;
  return to_bytes(frame.first(kept));
}

// `fault` outlives what is returned.
std::function<std::optional<Bytes>(ByteView)> edit_of(const Fault& fault) {
  switch (fault.kind) {
    case FaultKind::corrupt:
      return [&fault](ByteView frame) { return corrupted(frame, fault); };
    case FaultKind::truncate:
      return [&fault](ByteView frame) { return truncated(frame, fault); };
    case FaultKind::oversize:
      return [&fault](ByteView frame) {
        return padded_to(frame, static_cast<std::size_t>(fault.bytes));
      };
    case FaultKind::unknown_type:
      return [&fault](ByteView frame) { return with_header(frame, 1, fault.type); };
    case FaultKind::unknown_op:
      return [&fault](ByteView frame) { return with_header(frame, fault.op, type_of(frame)); };
    default:
      return {};
  }
}

PlannedFault fault_of(const Fault& fault) {
  using Kind = PlannedFault::Kind;
  PlannedFault planned;
  switch (fault.kind) {
    case FaultKind::cut:
      planned.kind = fault.how == "reset" ? Kind::reset_within : Kind::cut_within;
      planned.count = static_cast<std::uint64_t>(fault.byte);
      break;
    case FaultKind::duplicate:
      planned.kind = Kind::repeat;
      planned.count = static_cast<std::uint64_t>(fault.times);
      break;
    case FaultKind::skip:
      planned.kind = Kind::skip;
      break;
    case FaultKind::swap:
      planned.kind = Kind::swap;
      break;
    case FaultKind::seq_reset:
      planned.kind = Kind::renumber;
      planned.count = static_cast<std::uint64_t>(fault.to_seq);
      break;
    default:
      planned.kind = Kind::edit;
      planned.edit = edit_of(fault);
      break;
  }
  return planned;
}

ConnectionPlan answer_of(const Fault& fault, const ConnectionRecord& request) {
  HttpHeaders headers;
  if (fault.kind == FaultKind::redirect) {
    headers.emplace_back("Location", fault.to.empty() ? request.target : fault.to);
  } else if (fault.retry_after >= 0) {
    headers.emplace_back("Retry-After", std::to_string(fault.retry_after));
  }
  return ConnectionPlan::refuse(static_cast<int>(fault.status), std::move(headers), fault.body);
}

}  // namespace

Result<std::unique_ptr<FaultBook>> FaultBook::create(Scenario scenario, const std::string& file,
                                                     std::vector<std::int64_t> seqs) {
  const auto first_numbered =
      std::find_if(seqs.begin(), seqs.end(), [](auto seq) { return seq > 0; });
  const std::string held = first_numbered == seqs.end()
                               ? "no frame has one"
                               : fmt::format("it has {} to {}", *first_numbered, seqs.back());
  std::size_t number = 0;
  for (const Fault& fault : scenario.faults) {
    ++number;
    const auto check = [&](std::string_view key, std::int64_t seq) -> Result<void> {
      if (std::binary_search(seqs.begin(), seqs.end(), seq)) return {};
      return Error{Errc::invalid, fmt::format("{}: {}: {}: the fixture holds no seq {}: {}", file,
                                              describe(fault, number), key, seq, held)};
    };
    if (fault.place.by == FaultPlace::By::after_seq) {
      STANDPIPE_CHECK(check("after_seq", fault.place.at));
    }
    if (fault.place.by == FaultPlace::By::seq) STANDPIPE_CHECK(check("seq", fault.place.at));
    if (fault.kind == FaultKind::repeat) STANDPIPE_CHECK(check("from_seq", fault.from_seq));
    if (fault.kind == FaultKind::window) STANDPIPE_CHECK(check("oldest", fault.oldest));
  }
  return std::unique_ptr<FaultBook>(new FaultBook(std::move(scenario), std::move(seqs)));
}

FaultBook::FaultBook(Scenario scenario, std::vector<std::int64_t> seqs)
    : faults_(std::move(scenario.faults)), seqs_(std::move(seqs)), states_(faults_.size()) {
  for (std::size_t i = 0; i < faults_.size(); ++i) {
    states_[i].has_happened_on.resize(faults_[i].connections.numbers.size());
  }
}

std::size_t FaultBook::index_of(std::int64_t seq) const {
  return static_cast<std::size_t>(std::lower_bound(seqs_.begin(), seqs_.end(), seq) -
                                  seqs_.begin());
}

FrameRef FaultBook::place_of(const Fault& fault) const {
  if (is_by_seq(fault.place.by)) return {FrameRef::By::index, index_of(fault.place.at)};
  return {FrameRef::By::count, static_cast<std::size_t>(fault.place.at)};
}

bool FaultBook::is_for(const Fault& fault, std::uint64_t connection) const {
  const std::vector<std::uint64_t>& numbers = fault.connections.numbers;
  return fault.connections.which != FaultConnections::Which::listed ||
         std::binary_search(numbers.begin(), numbers.end(), connection);
}

bool FaultBook::has_all(const Fault& fault, const State& state) const {
  if (fault.connections.which != FaultConnections::Which::listed) return state.times > 0;
  const std::vector<bool>& happened = state.has_happened_on;
  return std::find(happened.begin(), happened.end(), false) == happened.end();
}

ConnectionPlan FaultBook::plan(std::size_t number, const ConnectionRecord& request) {
  ConnectionPlan plan;
  for (std::size_t i = 0; i < faults_.size(); ++i) {
    const Fault& fault = faults_[i];
    if (!is_for(fault, number + 1)) continue;
    if (!is_of_handshake(fault.kind)) {
      add_to(plan, fault, i);
    } else if (happen(i, {number, 0, std::nullopt})) {
      return answer_of(fault, request);
    }
  }
  return plan;
}

void FaultBook::add_to(ConnectionPlan& plan, const Fault& fault, FaultId id) const {
  if (fault.kind == FaultKind::no_pong) {
    plan.answers_pings = false;
    plan.pings_id = id;
    return;
  }
  if (fault.kind == FaultKind::window) {
    plan.window = ConnectionPlan::Window{index_of(fault.oldest), id};
    return;
  }
  const FrameRef place = place_of(fault);
  if (fault.place.by == FaultPlace::By::frame || fault.place.by == FaultPlace::By::seq) {
    PlannedFault planned = fault_of(fault);
    planned.frame = place;
    planned.id = id;
    plan.faults.push_back(std::move(planned));
    return;
  }
  if (fault.kind == FaultKind::repeat) {
    PlannedEvent back = event_of(PlannedEvent::Kind::go_back);
    back.index = index_of(fault.from_seq);
    back.after = place;
    back.id = id;
    plan.events.push_back(std::move(back));
    return;
  }
  for (PlannedEvent& event : events_of(fault)) {
    event.after = place;
    if (!event.follows) event.id = id;
    plan.events.push_back(std::move(event));
  }
}

bool FaultBook::happen(FaultId id, const FaultSite& site) {
  const Fault& fault = faults_[id];
  const std::uint64_t connection = site.connection + 1;
  const std::lock_guard lock(mutex_);
  State& state = states_[id];
  if (fault.connections.which == FaultConnections::Which::first && state.times > 0) return false;
  ++state.times;
  if (state.happenings.size() < kHappeningsMax) {
    state.happenings.push_back({connection, site.frames, site.seq});
  }
  const std::vector<std::uint64_t>& numbers = fault.connections.numbers;
  const auto at = std::lower_bound(numbers.begin(), numbers.end(), connection);
  if (at != numbers.end()) {
    state.has_happened_on[static_cast<std::size_t>(at - numbers.begin())] = true;
  }
  return true;
}

std::vector<FaultAccount> FaultBook::accounts() const {
  const std::lock_guard lock(mutex_);
  std::vector<FaultAccount> accounts;
  for (std::size_t i = 0; i < faults_.size(); ++i) {
    const Fault& fault = faults_[i];
    const State& state = states_[i];
    FaultAccount& account = accounts.emplace_back();
    account.what = describe(fault, i + 1);
    account.name = fault.name;
    account.kind = fault.kind;
    account.times = state.times;
    account.happenings = state.happenings;
    // Two connections may meet their faults in any order; a report does not show which it was.
    std::sort(account.happenings.begin(), account.happenings.end(),
              [](const Happening& a, const Happening& b) { return a.connection < b.connection; });
    account.has_happened = has_all(fault, state);
    for (std::size_t j = 0; j < state.has_happened_on.size(); ++j) {
      if (!state.has_happened_on[j]) account.missed_on.push_back(fault.connections.numbers[j]);
    }
  }
  return accounts;
}

bool FaultBook::have_all_happened() const {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < faults_.size(); ++i) {
    if (!has_all(faults_[i], states_[i])) return false;
  }
  return true;
}

}  // namespace standpipe::tools::play
