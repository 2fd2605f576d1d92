#include "tools/simulated_upstreams.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "schema/base/log.h"
#include "tools/sim/spec.h"

namespace standpipe::tools {
namespace {

constexpr std::int64_t kSecondMs = 1'000;

// The position behind which the stream is to go on.
Seq after(const storage::StreamInfo& stream, const archiver::From& from) {
  const Seq newest = stream.epochs.back().newest;
  if (newest != kSeqNone) return newest;
  const auto* seq = std::get_if<archiver::FromSeq>(&from);
  return seq == nullptr ? kSeqNone : previous(seq->first);
}

}  // namespace

Result<void> SimulatedUpstreams::resolve(storage::StreamSpec& spec, const storage::Archive& archive,
                                         std::int64_t now_ms) {
  if (!sim::is_sim_url(spec.url)) return {};
  std::optional<sim::Spec> known;
  if (const auto stream = archive.find_stream(spec.name)) {
    if (sim::is_sim_url(stream->spec.url)) {
      STANDPIPE_TRY(known, sim::parse_spec(stream->spec.url));
    }
  }
  STANDPIPE_TRY(sim::Spec said, sim::parse_spec(spec.url, known ? &*known : nullptr));
  if (!said.has_start) {
    said.has_start = true;
    said.network.start_ms = now_ms / kSecondMs * kSecondMs;
  }
  // Nothing has to be learned of how it numbers.
  if (spec.density == storage::Density::automatic) {
    spec.density = spec.kind == storage::StreamKind::repos ? storage::Density::dense
                                                           : storage::Density::sparse;
  }
  speeds_[spec.name] = said.speed;
  spec.url = to_string(said);
  return {};
}

Result<void> SimulatedUpstreams::start(const std::vector<storage::StreamInfo>& streams,
                                       const archiver::From& from, std::string_view version,
                                       const std::function<bool()>& is_stopping) {
  std::map<std::string, sim::HostOptions> wanted;
  for (const storage::StreamInfo& stream : streams) {
    if (!sim::is_sim_url(stream.spec.url)) continue;
    sim::HostOptions& host = wanted[stream.spec.url];
    STANDPIPE_TRY(host.spec, sim::parse_spec(stream.spec.url));
    if (const auto speed = speeds_.find(stream.spec.name); speed != speeds_.end()) {
      host.spec.speed = speed->second;
    }
    const bool is_repos = stream.spec.kind == storage::StreamKind::repos;
    // Of several, one may be ahead; the others get from it what they lack.
    Seq& newest = is_repos ? host.repos_after : host.labels_after;
    newest = std::max(newest, after(stream, from));
    host.version = version;
    host.is_stopping = is_stopping;
  }
  for (const auto& [text, options] : wanted) {
    if (options.repos_after != kSeqNone) {
      log_info(fmt::format("simulated network {}: going on after seq {}", text,
                           to_int(options.repos_after)));
    }
    STANDPIPE_TRY(auto host, sim::Host::start(options));
    log_info(fmt::format("simulated network {} at ws://{}, its DID documents at http://{}/did:...",
                         text, host->address(), host->address()));
    hosts_[text] = std::move(host);
  }
  for (const storage::StreamInfo& stream : streams) {
    if (const auto host = hosts_.find(stream.spec.url); host != hosts_.end()) {
      of_stream_[stream.spec.name] = host->second.get();
    }
  }
  return {};
}

void SimulatedUpstreams::redirect(storage::StreamInfo& stream,
                                  archiver::WriterOptions& writer) const {
  const auto host = of_stream_.find(stream.spec.name);
  if (host == of_stream_.end()) return;
  stream.spec.url = host->second->url(stream.spec.kind);
  writer.clock = &host->second->clock();
}

const Clock* SimulatedUpstreams::clock_of(std::string_view stream) const {
  const auto host = of_stream_.find(stream);
  return host == of_stream_.end() ? nullptr : &host->second->clock();
}

void SimulatedUpstreams::stop() {
  of_stream_.clear();
  hosts_.clear();
}

}  // namespace standpipe::tools
