#include <functional>

#include "tools/metrics_parts.h"

namespace standpipe::tools {
namespace {

using archiver::StreamState;
using archiver::StreamStatus;
using storage::EpochInfo;
using storage::PartitionInfo;
using storage::StreamInfo;

constexpr MetricType kCounter = MetricType::counter;
constexpr MetricType kGauge = MetricType::gauge;
constexpr std::string_view kStream = "stream";

std::uint64_t unsigned_of(Seq seq) { return static_cast<std::uint64_t>(to_int(seq)); }

// One sample for each stream that is followed.
using OfStatus = std::function<std::uint64_t(const StreamStatus&)>;
void per_status(PrometheusText& text, const MetricsSample& sample, std::string_view name,
                MetricType type, std::string_view help, const OfStatus& value) {
  text.family(name, type, help);
  for (const StreamStatus& one : sample.mirror.streams) {
    text.count({{kStream, one.name}}, value(one));
  }
}

// One sample for each stream of the archive, of its newest epoch.
using OfEpoch = std::function<std::uint64_t(const EpochInfo&)>;
void per_epoch(PrometheusText& text, const MetricsSample& sample, std::string_view name,
               std::string_view help, const OfEpoch& value) {
  text.family(name, kGauge, help);
  for (const StreamInfo& one : sample.streams) {
    text.count({{kStream, one.spec.name}}, value(one.epochs.back()));
  }
}

void add_gaps(PrometheusText& text, const MetricsSample& sample) {
  const auto add = [&](std::string_view name, std::string_view help, auto member) {
    text.family(name, kGauge, help);
    for (const StreamInfo& stream : sample.streams) {
      for (const storage::GapReason reason : storage::kGapReasons) {
        std::uint64_t sum = 0;
        for (const EpochInfo& epoch : stream.epochs) sum += epoch.gaps.of(reason).*member;
        text.count({{kStream, stream.spec.name}, {"reason", storage::to_string(reason)}}, sum);
      }
    }
  };
  add("standpipe_gaps", "Gaps in the ledger, by reason, of all epochs.",
      &storage::GapTotals::Total::gaps);
  add("standpipe_gap_seqs", "Seqs that are absent, by reason, of all epochs.",
      &storage::GapTotals::Total::seqs);
}

void add_ages(PrometheusText& text, const MetricsSample& sample) {
  text.family("standpipe_stream_received_age_seconds", kGauge,
              "Since the newest frame was received; absent before the first.");
  for (const replay::StreamHealth& one : sample.health.streams) {
    if (one.received_age_s) text.value({{kStream, one.name}}, *one.received_age_s);
  }
  text.family("standpipe_stream_event_age_seconds", kGauge,
              "Since the time that the newest frame says, which is the lag behind the network.");
  for (const replay::StreamHealth& one : sample.health.streams) {
    if (one.event_age_s) text.value({{kStream, one.name}}, *one.event_age_s);
  }
}

void add_outcomes(PrometheusText& text, const MetricsSample& sample) {
  text.family("standpipe_frames_total", kCounter,
              "Frames from upstream, by what became of them, since the start.");
  for (const StreamStatus& one : sample.mirror.streams) {
    const auto add = [&](std::string_view outcome, std::uint64_t frames) {
      text.count({{kStream, one.name}, {"outcome", outcome}}, frames);
    };
    add("accepted", one.accepted);
    add("duplicate", one.duplicates);
    add("conflict", one.conflicts);
    add("late", one.late);
    add("quarantined", one.quarantined);
    add("noted", one.noted);
    add("refused", one.refused);
  }
  text.family("standpipe_kept_aside_total", kCounter,
              "Frames that were not archived as events, by reason, since the start.");
  for (const StreamStatus& one : sample.mirror.streams) {
    for (int i = static_cast<int>(Unarchivable::empty);
         i <= static_cast<int>(Unarchivable::text_message); ++i) {
      const auto reason = static_cast<Unarchivable>(i);
      const auto found = one.kept_aside.find(reason);
      text.count({{kStream, one.name}, {"reason", to_string(reason)}},
                 found == one.kept_aside.end() ? 0 : found->second);
    }
  }
}

void add_verification(PrometheusText& text, const MetricsSample& sample) {
  const auto verified = [&](std::string_view name, MetricType type, std::string_view help,
                            const OfStatus& value) {
    text.family(name, type, help);
    for (const StreamStatus& one : sample.mirror.streams) {
      if (one.check.verify == archiver::VerifyIngest::off) continue;
      text.count({{kStream, one.name}}, value(one));
    }
  };
  verified("standpipe_verified_frames_total", kCounter, "Frames judged by --verify-ingest.",
           [](const StreamStatus& one) { return one.check.frames; });
  verified("standpipe_invalid_frames_total", kCounter, "Of these, with a finding.",
           [](const StreamStatus& one) { return one.check.invalid; });
  verified("standpipe_verified_seq", kGauge, "All frames up to this seq have been judged.",
           [](const StreamStatus& one) { return unsigned_of(one.check.checked); });
  verified("standpipe_verify_missed_total", kCounter,
           "Times that retention took frames before they were judged.",
           [](const StreamStatus& one) { return one.check.missed; });
  text.family("standpipe_signatures_total", kCounter, "Signatures looked at, by what they were.");
  for (const StreamStatus& one : sample.mirror.streams) {
    if (one.check.verify == archiver::VerifyIngest::off) continue;
    const SignatureCounts& counts = one.check.signatures;
    text.count({{kStream, one.name}, {"result", "valid"}}, counts.valid);
    text.count({{kStream, one.name}, {"result", "wrong"}}, counts.wrong);
    text.count({{kStream, one.name}, {"result", "unchecked"}}, counts.unchecked());
  }
  text.family("standpipe_verify_findings_total", kCounter,
              "What was found, by kind; a kind appears with its first finding.");
  for (const StreamStatus& one : sample.mirror.streams) {
    for (const auto& [finding, count] : one.check.by_finding) {
      text.count({{kStream, one.name}, {"finding", finding}}, count);
    }
  }
}

void add_connection(PrometheusText& text, const MetricsSample& sample) {
  text.family("standpipe_upstream_state", kGauge,
              "1 for the state of the stream's upstream, 0 for all others.");
  for (const StreamStatus& one : sample.mirror.streams) {
    for (int i = 0; i <= static_cast<int>(StreamState::stopped); ++i) {
      const auto state = static_cast<StreamState>(i);
      text.count({{kStream, one.name}, {"state", archiver::to_string(state)}},
                 one.state == state ? 1 : 0);
    }
  }
  per_status(text, sample, "standpipe_upstream_connected", kGauge,
             "1 while a connection to the upstream is up.",
             [](const StreamStatus& one) { return one.is_connected ? 1U : 0U; });
  per_status(text, sample, "standpipe_upstream_connections_total", kCounter,
             "Connections made since the start: all but the first are reconnects.",
             [](const StreamStatus& one) { return one.connections; });
  per_status(text, sample, "standpipe_upstream_dials_failed_total", kCounter,
             "Dials that led to no connection.",
             [](const StreamStatus& one) { return one.dials_failed; });
}

}  // namespace

const PartitionInfo* oldest_partition(const MetricsSample& sample, const StreamInfo& stream) {
  const PartitionInfo* oldest = nullptr;
  for (const PartitionInfo& one : sample.partitions) {
    const bool is_read = one.state == storage::PartitionState::open ||
                         one.state == storage::PartitionState::sealing ||
                         one.state == storage::PartitionState::sealed;
    if (!is_read || one.stream != stream.id || one.epoch != stream.epochs.back().number) continue;
    if (one.first == kSeqNone || (oldest != nullptr && oldest->first < one.first)) continue;
    oldest = &one;
  }
  return oldest;
}

void add_stream_metrics(PrometheusText& text, const MetricsSample& sample) {
  text.family("standpipe_stream_info", kGauge, "1, with what the stream is.");
  for (const StreamInfo& one : sample.streams) {
    text.count({{kStream, one.spec.name},
                {"kind", storage::to_string(one.spec.kind)},
                {"density", storage::to_string(one.spec.density)}},
               1);
  }
  per_epoch(text, sample, "standpipe_stream_epoch", "Number of the newest epoch.",
            [](const EpochInfo& one) { return to_int(one.number); });
  per_epoch(text, sample, "standpipe_stream_newest_seq", "Newest seq that is durable; 0: none.",
            [](const EpochInfo& one) { return unsigned_of(one.newest); });
  text.family("standpipe_stream_oldest_seq", kGauge, "Oldest seq that is stored; absent if none.");
  for (const StreamInfo& one : sample.streams) {
    const PartitionInfo* oldest = oldest_partition(sample, one);
    if (oldest != nullptr) text.count({{kStream, one.spec.name}}, unsigned_of(oldest->first));
  }
  text.family("standpipe_stream_oldest_timestamp_seconds", kGauge,
              "Clock of the oldest frame that is stored, since 1970; absent if none.");
  for (const StreamInfo& one : sample.streams) {
    const PartitionInfo* oldest = oldest_partition(sample, one);
    if (oldest == nullptr) continue;
    text.value({{kStream, one.spec.name}}, static_cast<double>(oldest->clock_first_ms) / 1000);
  }
  text.family("standpipe_stream_newest_timestamp_seconds", kGauge,
              "Clock of the newest group that is stored, since 1970; absent if none.");
  for (const StreamInfo& one : sample.streams) {
    const std::int64_t clock_ms = one.epochs.back().clock_ms;
    if (clock_ms > 0) text.value({{kStream, one.spec.name}}, static_cast<double>(clock_ms) / 1000);
  }
  const auto of_all_epochs = [&](std::string_view name, std::string_view help, auto member) {
    text.family(name, kGauge, help);
    for (const StreamInfo& stream : sample.streams) {
      std::uint64_t sum = 0;
      for (const EpochInfo& epoch : stream.epochs) sum += epoch.*member;
      text.count({{kStream, stream.spec.name}}, sum);
    }
  };
  of_all_epochs("standpipe_stream_frames", "Frames stored, of all epochs.", &EpochInfo::frames);
  of_all_epochs("standpipe_stream_raw_bytes", "Their wire bytes.", &EpochInfo::raw_bytes);
  add_ages(text, sample);
  add_gaps(text, sample);
}

void add_upstream_metrics(PrometheusText& text, const MetricsSample& sample) {
  add_connection(text, sample);
  text.family("standpipe_upstream_received_total", kCounter,
              "What came from upstream, by its form: binary is a frame.");
  for (const StreamStatus& one : sample.mirror.streams) {
    text.count({{kStream, one.name}, {"form", "binary"}}, one.frames);
    text.count({{kStream, one.name}, {"form", "text"}}, one.text);
    text.count({{kStream, one.name}, {"form", "oversize"}}, one.oversize);
  }
  per_status(text, sample, "standpipe_upstream_received_bytes_total", kCounter,
             "Its bytes on the wire.", [](const StreamStatus& one) { return one.bytes; });
  add_outcomes(text, sample);
  per_status(text, sample, "standpipe_quarantine_dropped_total", kCounter,
             "Frames that were counted as kept aside, and not kept: the rate limit was reached.",
             [](const StreamStatus& one) { return one.quarantine_dropped; });
  per_status(text, sample, "standpipe_gaps_recorded_total", kCounter,
             "Gaps that were recorded while frames came, since the start.",
             [](const StreamStatus& one) { return one.gaps; });
  per_status(text, sample, "standpipe_queue_bytes", kGauge,
             "Waiting between the upstream's socket and the writer.",
             [](const StreamStatus& one) { return one.queue_bytes; });
  per_status(text, sample, "standpipe_queue_limit_bytes", kGauge,
             "With so much waiting the socket is not read (--queue-bytes).",
             [](const StreamStatus& one) { return one.queue_bytes_max; });
  per_status(text, sample, "standpipe_commits_total", kCounter, "Synced commits, since the start.",
             [](const StreamStatus& one) { return one.commits; });
  per_status(text, sample, "standpipe_groups_total", kCounter, "Groups of frames that they wrote.",
             [](const StreamStatus& one) { return one.groups; });
  text.family("standpipe_commit_seconds", MetricType::histogram,
              "How long a commit took, its sync included.");
  for (const StreamStatus& one : sample.mirror.streams) {
    text.histogram(kStream, one.name, one.commit_times);
  }
  add_verification(text, sample);
}

}  // namespace standpipe::tools
