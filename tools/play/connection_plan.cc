#include "tools/play/connection_plan.h"

#include <utility>

#include "schema/base/assert.h"

namespace standpipe::tools::play {
namespace {

PlannedEvent event(PlannedEvent::Kind kind, std::size_t after) {
  PlannedEvent event;
  event.kind = kind;
  event.after.at = after;
  return event;
}

PlannedFault fault(PlannedFault::Kind kind, std::size_t frame, std::size_t count = 0) {
  STANDPIPE_ASSERT(frame >= 1, "frames are counted from 1");
  PlannedFault fault;
  fault.kind = kind;
  fault.frame.at = frame;
  fault.count = count;
  return fault;
}

// Whether `fault` is this frame's.
bool is_for(const PlannedFault& fault, std::size_t frame) {
  return frame == fault.frame.at ||
         (fault.kind == PlannedFault::Kind::swap && frame == fault.frame.at + 1);
}

void add(std::vector<PlannedFault>& faults, PlannedFault added) {
  for (const PlannedFault& fault : faults) {
    STANDPIPE_ASSERT(!is_for(fault, added.frame.at) && !is_for(added, fault.frame.at),
                     "two faults of one frame");
  }
  faults.push_back(std::move(added));
}

ConnectionPlan opened_by(ConnectionPlan::Opening opening) {
  ConnectionPlan plan;
  plan.opening = opening;
  return plan;
}

}  // namespace

ConnectionPlan ConnectionPlan::refuse(int status, HttpHeaders headers, std::string body) {
  ConnectionPlan plan = opened_by(Opening::answer);
  plan.answer.status = status;
  plan.answer.headers = std::move(headers);
  plan.answer.body = std::move(body);
  return plan;
}

ConnectionPlan ConnectionPlan::redirect(const std::string& url, int status) {
  return refuse(status, {{"Location", url}});
}

ConnectionPlan ConnectionPlan::never_answer() { return opened_by(Opening::never_answer); }

ConnectionPlan ConnectionPlan::silent() { return opened_by(Opening::silent); }

ConnectionPlan ConnectionPlan::hang_up() { return opened_by(Opening::hang_up); }

ConnectionPlan ConnectionPlan::answer_raw(std::string_view bytes) {
  ConnectionPlan plan = opened_by(Opening::answer_raw);
  plan.raw_answer = bytes;
  return plan;
}

ConnectionPlan& ConnectionPlan::cut_after(std::size_t frames) {
  events.push_back(event(PlannedEvent::Kind::cut, frames));
  return *this;
}

ConnectionPlan& ConnectionPlan::reset_after(std::size_t frames) {
  events.push_back(event(PlannedEvent::Kind::reset, frames));
  return *this;
}

ConnectionPlan& ConnectionPlan::cut_within(std::size_t frame, std::size_t bytes) {
  add(faults, fault(PlannedFault::Kind::cut_within, frame, bytes));
  return *this;
}

ConnectionPlan& ConnectionPlan::reset_within(std::size_t frame, std::size_t bytes) {
  add(faults, fault(PlannedFault::Kind::reset_within, frame, bytes));
  return *this;
}

ConnectionPlan& ConnectionPlan::close_after(std::size_t frames, std::optional<std::uint16_t> code,
                                            std::string_view reason) {
  STANDPIPE_ASSERT(reason.empty() || (code && reason.size() <= 123), "no such close frame");
  PlannedEvent close = event(PlannedEvent::Kind::close, frames);
  close.code = code;
  close.reason = reason;
  events.push_back(std::move(close));
  return *this;
}

ConnectionPlan& ConnectionPlan::stall_after(std::size_t frames) {
  events.push_back(event(PlannedEvent::Kind::stall, frames));
  return *this;
}

ConnectionPlan& ConnectionPlan::pause_after(std::size_t frames) {
  events.push_back(event(PlannedEvent::Kind::pause, frames));
  return *this;
}

ConnectionPlan& ConnectionPlan::repeat(std::size_t frame, std::size_t times) {
  add(faults, fault(PlannedFault::Kind::repeat, frame, times));
  return *this;
}

ConnectionPlan& ConnectionPlan::skip(std::size_t frame) {
  add(faults, fault(PlannedFault::Kind::skip, frame));
  return *this;
}

ConnectionPlan& ConnectionPlan::swap(std::size_t frame) {
  add(faults, fault(PlannedFault::Kind::swap, frame));
  return *this;
}

ConnectionPlan& ConnectionPlan::go_back_after(std::size_t frames, std::size_t count) {
  PlannedEvent back = event(PlannedEvent::Kind::go_back, frames);
  back.count = count;
  events.push_back(std::move(back));
  return *this;
}

ConnectionPlan& ConnectionPlan::replace(std::size_t frame, Bytes with) {
  PlannedFault replaced = fault(PlannedFault::Kind::edit, frame);
  replaced.edit = [bytes = std::move(with)](ByteView) { return bytes; };
  add(faults, std::move(replaced));
  return *this;
}

ConnectionPlan& ConnectionPlan::text_after(std::size_t frames, std::string_view text) {
  PlannedEvent message = event(PlannedEvent::Kind::text, frames);
  message.bytes = to_bytes(as_bytes(text));
  events.push_back(std::move(message));
  return *this;
}

ConnectionPlan& ConnectionPlan::binary_after(std::size_t frames, Bytes message) {
  PlannedEvent binary = event(PlannedEvent::Kind::binary, frames);
  binary.bytes = std::move(message);
  events.push_back(std::move(binary));
  return *this;
}

ConnectionPlan& ConnectionPlan::oversize_after(std::size_t frames, std::uint64_t size,
                                               Bytes begins_with, std::size_t piece) {
  STANDPIPE_ASSERT(begins_with.size() <= size, "begins with more than there is");
  PlannedEvent filler = event(PlannedEvent::Kind::filler, frames);
  filler.bytes = std::move(begins_with);
  filler.count = size;
  filler.piece = piece;
  events.push_back(std::move(filler));
  return *this;
}

ConnectionPlan& ConnectionPlan::fragment(std::size_t frame, std::size_t pieces, bool has_pings) {
  STANDPIPE_ASSERT(pieces >= 1, "in no piece at all");
  PlannedFault fragmented = fault(PlannedFault::Kind::fragment, frame, pieces);
  fragmented.has_pings = has_pings;
  add(faults, std::move(fragmented));
  return *this;
}

ConnectionPlan& ConnectionPlan::raw_after(std::size_t frames, Bytes bytes) {
  PlannedEvent raw = event(PlannedEvent::Kind::raw, frames);
  raw.bytes = std::move(bytes);
  events.push_back(std::move(raw));
  return *this;
}

ConnectionPlan& ConnectionPlan::ping_after(std::size_t frames, std::string_view payload,
                                           bool waits_for_pong) {
  STANDPIPE_ASSERT(payload.size() <= 125, "too long for a ping");
  PlannedEvent ping = event(PlannedEvent::Kind::ping, frames);
  ping.bytes = to_bytes(as_bytes(payload));
  ping.waits_for_pong = waits_for_pong;
  events.push_back(std::move(ping));
  return *this;
}

ConnectionPlan& ConnectionPlan::never_pong() {
  answers_pings = false;
  return *this;
}

ConnectionPlan& ConnectionPlan::keep_open_at_end() {
  ends_tcp = false;
  return *this;
}

}  // namespace standpipe::tools::play
