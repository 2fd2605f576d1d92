#include "tools/metrics.h"

#include "storage/archive.h"
#include "tools/metrics_parts.h"

namespace standpipe::tools {
namespace {

constexpr MetricType kCounter = MetricType::counter;
constexpr MetricType kGauge = MetricType::gauge;

double seconds(std::chrono::milliseconds time) { return static_cast<double>(time.count()) / 1000; }

// Of an enumeration whose values are 0 .. `last`: 1 for the one that holds, 0 for the others.
template <typename State>
void one_hot(PrometheusText& text, std::string_view label, State now, State last) {
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    const auto state = static_cast<State>(i);
    text.count({{label, to_string(state)}}, state == now ? 1 : 0);
  }
}

void add_health(PrometheusText& text, const MetricsSample& sample) {
  text.family("standpipe_health", kGauge,
              "1 for what /xrpc/_health says, 0 for all else it could say.");
  one_hot(text, "status", status_of(sample.health), replay::HealthStatus::corruption);
  text.family("standpipe_archive_health", kGauge,
              "1 for what the archive can do now, 0 for all else.");
  one_hot(text, "state", sample.mirror.archive.health, storage::Health::closed);
}

void add_timeouts(PrometheusText& text, const MetricsSample& sample) {
  text.family("standpipe_timeout_seconds", kGauge, "The times that are set by options, by name.");
  const auto& writer = sample.following.writer;
  const auto& upstream = sample.following.upstream;
  text.value({{"name", "commit_interval"}}, seconds(writer.commit_interval));
  text.value({{"name", "connect"}}, seconds(upstream.ws.connect_deadline));
  text.value({{"name", "idle"}}, seconds(upstream.ws.idle_timeout));
  text.value({{"name", "reconnect_min"}}, seconds(upstream.reconnect.delay_min));
  text.value({{"name", "reconnect_max"}}, seconds(upstream.reconnect.delay_max));
  if (!sample.serving) return;
  text.value({{"name", "future_cursor_wait"}}, seconds(sample.serving->future_cursor_wait));
  text.value({{"name", "handshake"}}, seconds(sample.serving->handshake_timeout));
  text.value({{"name", "stall"}}, seconds(sample.serving->stall_timeout));
  text.value({{"name", "ping_interval"}}, seconds(sample.serving->ping_interval));
  text.value({{"name", "drain"}}, seconds(sample.serving->drain_timeout));
}

}  // namespace

void add_gauge(PrometheusText& text, std::string_view name, std::string_view help,
               std::uint64_t value) {
  text.family(name, kGauge, help);
  text.count({}, value);
}

void add_counter(PrometheusText& text, std::string_view name, std::string_view help,
                 std::uint64_t value) {
  text.family(name, kCounter, help);
  text.count({}, value);
}

void add_process_metrics(PrometheusText& text, const MetricsSample& sample) {
  const ProcessUsage& process = sample.process;
  text.family("standpipe_build_info", kGauge, "1, with what this program is.");
  text.count({{"version", sample.version},
              {"verb", sample.verb},
              {"format", std::to_string(sample.format_version)}},
             1);
  text.family("process_cpu_seconds_total", kCounter, "Processor time of all threads.");
  text.value({}, process.cpu_seconds);
  text.family("process_start_time_seconds", kGauge, "When the process began, since 1970.");
  text.value({}, process.started_at_seconds);
  add_gauge(text, "process_resident_memory_bytes", "Memory that is in use and not swapped out.",
            process.resident_bytes);
  add_gauge(text, "process_virtual_memory_bytes", "Address space that is in use.",
            process.virtual_bytes);
  add_gauge(text, "process_open_fds", "File descriptors that are open.", process.descriptors);
  add_gauge(text, "process_max_fds", "File descriptors that may be open.", process.descriptors_max);
  add_gauge(text, "process_threads", "Threads.", process.threads);
}

void add_archive_metrics(PrometheusText& text, const MetricsSample& sample) {
  using storage::PartitionState;
  const storage::ArchiveStats& archive = sample.mirror.archive;
  add_gauge(text, "standpipe_archive_raw_bytes", "Wire bytes of the frames that are stored.",
            sample.mirror.raw_bytes);
  add_gauge(text, "standpipe_archive_stored_bytes", "Tables on disk.", archive.stored_bytes);
  add_gauge(text, "standpipe_archive_log_bytes", "RocksDB's logs on disk.", archive.log_bytes);
  add_gauge(text, "standpipe_archive_log_limit_bytes", "What the logs may grow to.",
            sample.archive.log_bytes_max);
  add_gauge(text, "standpipe_archive_free_bytes", "Room on the file system of the archive.",
            archive.free_bytes);
  add_gauge(text, "standpipe_archive_free_limit_bytes",
            "With less room than this nothing is written (--min-free).",
            sample.archive.free_bytes_min);
  text.family("standpipe_archive_partitions", kGauge, "Partitions in the directory, by state.");
  for (int i = static_cast<int>(PartitionState::creating);
       i <= static_cast<int>(PartitionState::dropping); ++i) {
    const auto state = static_cast<PartitionState>(i);
    std::uint64_t partitions = 0;
    for (const storage::PartitionInfo& one : sample.partitions) partitions += one.state == state;
    text.count({{"state", storage::to_string(state)}}, partitions);
  }
  add_gauge(text, "standpipe_archive_families", "Column families of the store.", archive.families);
  add_gauge(text, "standpipe_quarantine_entries", "Frames kept aside.", archive.quarantine_entries);
  add_gauge(text, "standpipe_quarantine_bytes", "Their bytes.", archive.quarantine_bytes);
  add_gauge(text, "standpipe_quarantine_limit_bytes", "What is kept aside at most: newest first.",
            sample.archive.quarantine_bytes_max);
  add_counter(text, "standpipe_run_cache_hits_total",
              "Runs of frames that were read from memory, or decoded once for several.",
              archive.run_cache_hits);
  add_counter(text, "standpipe_run_cache_misses_total", "Runs that were read from disk.",
              archive.run_cache_misses);
  add_gauge(text, "standpipe_run_cache_bytes", "Runs that are kept in memory.",
            archive.run_cache_bytes);
  add_gauge(text, "standpipe_run_cache_limit_bytes", "What they may take (--cache-bytes).",
            sample.archive.run_cache_bytes);
  text.family("standpipe_archive_written_bytes_total", kCounter,
              "What the store has written, by where to.");
  text.count({{"to", "log"}}, archive.bytes_written_log);
  text.count({{"to", "flush"}}, archive.bytes_written_flush);
  text.count({{"to", "compaction"}}, archive.bytes_written_compaction);
  add_counter(text, "standpipe_archive_reopens_total",
              "Times that the store was opened anew after a failed write.", archive.reopens);
  add_counter(text, "standpipe_archive_retention_partitions_total",
              "Partitions that retention has let go.", archive.retention_partitions);
  add_counter(text, "standpipe_archive_retention_frames_total", "Frames in them.",
              archive.retention_frames);
  add_counter(text, "standpipe_archive_retention_bytes_total",
              "What they took in table files, in bytes.", archive.retention_bytes);
}

std::string metrics_text(const MetricsSample& sample) {
  PrometheusText text;
  add_process_metrics(text, sample);
  add_health(text, sample);
  add_stream_metrics(text, sample);
  add_upstream_metrics(text, sample);
  add_archive_metrics(text, sample);
  add_server_metrics(text, sample);
  add_timeouts(text, sample);
  return text.take();
}

}  // namespace standpipe::tools
