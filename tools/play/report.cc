#include "tools/play/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace standpipe::tools::play {
namespace {

using json = nlohmann::ordered_json;

template <typename T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json();
}

json to_json(const ConnectionRecord& record, std::size_t number) {
  return {{"connection", number + 1},
          {"target", record.target},
          {"user_agent", or_null(record.header("User-Agent"))},
          {"cursor", or_null(record.cursor)},
          {"upgraded", record.is_upgraded},
          {"frames", record.frames_sent},
          {"messages", record.messages_sent},
          {"bytes", record.message_bytes_sent},
          {"last_seq", record.frames_sent > 0 ? json(record.greatest_seq_sent) : json()},
          {"sha256", record.messages_sha256.empty() ? json() : json(record.messages_sha256)},
          {"caught_up", record.is_caught_up},
          {"pings", record.pings_received},
          {"end", to_string(record.end)},
          {"close_code", or_null(record.close_code)},
          {"violation", record.violation.empty() ? json() : json(record.violation)}};
}

json to_json(const FaultAccount& account, std::size_t number) {
  json happenings = json::array();
  for (const Happening& happening : account.happenings) {
    happenings.push_back({{"connection", happening.connection},
                          {"frame", happening.frames},
                          {"seq", or_null(happening.seq)}});
  }
  return {{"fault", number + 1},           {"kind", to_string(account.kind)},
          {"name", account.name},          {"happened", account.has_happened},
          {"times", account.times},        {"on", std::move(happenings)},
          {"missed_on", account.missed_on}};
}

}  // namespace

std::string report_text(const FixtureFigures& fixture,
                        const std::vector<ConnectionRecord>& connections,
                        const std::vector<FaultAccount>& faults) {
  json sent = json::array();
  for (const ConnectionRecord& record : connections) sent.push_back(to_json(record, sent.size()));
  json accounts = json::array();
  bool is_passed = true;
  for (const FaultAccount& account : faults) {
    is_passed = is_passed && account.has_happened;
    accounts.push_back(to_json(account, accounts.size()));
  }
  const json report = {{"passed", is_passed},
                       {"fixture",
                        {{"frames", fixture.frames},
                         {"bytes", fixture.bytes},
                         {"first_seq", fixture.first_seq},
                         {"last_seq", fixture.last_seq},
                         {"released", or_null(fixture.released)}}},
                       {"connections", std::move(sent)},
                       {"faults", std::move(accounts)}};
  return report.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string missed_text(const std::vector<FaultAccount>& faults) {
  constexpr std::size_t kShown = 10;
  std::vector<std::string> missed;
  for (const FaultAccount& account : faults) {
    if (account.has_happened) continue;
    missed.push_back(account.what);
    if (!account.missed_on.empty()) {
      missed.back() += fmt::format(" on connection {}", fmt::join(account.missed_on, ", "));
    }
  }
  if (missed.empty()) return "";
  const std::size_t more = missed.size() - std::min(missed.size(), kShown);
  missed.resize(missed.size() - more);
  std::string text = fmt::format("did not happen: {}", fmt::join(missed, "; "));
  if (more > 0) text += fmt::format("; and {} more", more);
  return text;
}

}  // namespace standpipe::tools::play
