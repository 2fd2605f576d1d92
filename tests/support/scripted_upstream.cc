#include "tests/support/scripted_upstream.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "schema/base/assert.h"
#include "tests/support/net_stream.h"

namespace standpipe::test {

ScriptedUpstream::ScriptedUpstream(UpstreamOptions options) {
  auto server = tools::play::Server::start(std::move(options));
  STANDPIPE_ASSERT(server.has_value(), server.error().detail);
  server_ = std::move(*server);
}

void ScriptedUpstream::append(std::int64_t seq, Bytes bytes) {
  std::vector<UpstreamFrame> frames;
  frames.push_back({seq, std::move(bytes)});
  append(std::move(frames));
}

ConnectionRecord ScriptedUpstream::connection(std::size_t number) const {
  const std::vector<ConnectionRecord> records = connections();
  if (number < records.size()) return records[number];
  throw std::runtime_error(
      fmt::format("there is no connection {}; {}", number, server_->summary()));
}

void ScriptedUpstream::wait(const tools::play::Server::Holds& holds,
                            const std::string& what) const {
  if (server_->wait(holds, deadline_from_now())) return;
  throw std::runtime_error(
      fmt::format("upstream waited in vain for {}; {}", what, server_->summary()));
}

void ScriptedUpstream::wait_for_connections(std::size_t count) const {
  const auto holds = [count](const std::vector<ConnectionRecord>& records) {
    return records.size() >= count &&
           std::all_of(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(count),
                       [](const ConnectionRecord& record) {
                         return record.has_request || record.is_silent ||
                                record.end != ConnectionEnd::open;
                       });
  };
  wait(holds, fmt::format("{} connections", count));
}

void ScriptedUpstream::wait_until_sent(std::int64_t seq) const {
  const auto holds = [seq](const std::vector<ConnectionRecord>& records) {
    return std::any_of(records.begin(), records.end(), [seq](const ConnectionRecord& record) {
      return record.greatest_seq_sent >= seq;
    });
  };
  wait(holds, fmt::format("seq {} to be sent", seq));
}

void ScriptedUpstream::wait_until_sent(std::size_t number, std::int64_t seq) const {
  wait_for(number, fmt::format("seq {} to be sent", seq),
           [seq](const ConnectionRecord& record) { return record.greatest_seq_sent >= seq; });
}

ConnectionRecord ScriptedUpstream::wait_for_end(std::size_t number) const {
  return wait_for(number, "its end",
                  [](const ConnectionRecord& record) { return record.end != ConnectionEnd::open; });
}

void ScriptedUpstream::wait_for_pongs(std::size_t number, std::size_t count) const {
  wait_for(number, fmt::format("{} pongs", count),
           [count](const ConnectionRecord& record) { return record.pongs.size() >= count; });
}

ConnectionRecord ScriptedUpstream::wait_for(
    std::size_t number, std::string_view what,
    const std::function<bool(const ConnectionRecord&)>& holds) const {
  ConnectionRecord found;
  const auto is_so = [&](const std::vector<ConnectionRecord>& records) {
    if (number >= records.size() || !holds(records[number])) return false;
    found = records[number];
    return true;
  };
  wait(is_so, fmt::format("connection {}: {}", number, what));
  return found;
}

}  // namespace standpipe::test
