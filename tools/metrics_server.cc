#include "tools/metrics_parts.h"

namespace standpipe::tools {
namespace {

using replay::ServerStats;

constexpr MetricType kCounter = MetricType::counter;
constexpr MetricType kGauge = MetricType::gauge;

// Families of one sample each, where the process serves.
class ServerText {
 public:
  ServerText(PrometheusText& text, const MetricsSample& sample)
      : text_(text), stats_(sample.mirror.server), options_(sample.serving) {}

  void gauge(std::string_view name, std::string_view help, std::uint64_t ServerStats::*member) {
    one(name, kGauge, help, member);
  }
  void counter(std::string_view name, std::string_view help, std::uint64_t ServerStats::*member) {
    one(name, kCounter, help, member);
  }
  template <typename Value>
  void limit(std::string_view name, std::string_view help, Value replay::ServerOptions::*member) {
    text_.family(name, kGauge, help);
    if (options_) text_.count({}, (*options_).*member);
  }

 private:
  void one(std::string_view name, MetricType type, std::string_view help,
           std::uint64_t ServerStats::*member) {
    text_.family(name, type, help);
    if (stats_) text_.count({}, (*stats_).*member);
  }

  PrometheusText& text_;
  const std::optional<ServerStats>& stats_;
  const std::optional<replay::ServerOptions>& options_;
};

void add_subscribers(PrometheusText& text, const std::optional<ServerStats>& stats) {
  text.family("standpipe_subscribers", kGauge,
              "Subscribers by where they are sent from: live (memory), backfill (the archive), "
              "waiting (a cursor that upstream has not reached), other (beginning or ending).");
  if (!stats) return;
  text.count({{"state", "live"}}, stats->live);
  text.count({{"state", "backfill"}}, stats->backfill);
  text.count({{"state", "waiting"}}, stats->waiting);
  text.count({{"state", "other"}},
             stats->subscribers - stats->live - stats->backfill - stats->waiting);
}

void add_ends(PrometheusText& text, const std::optional<ServerStats>& stats) {
  text.family("standpipe_subscribers_ended_total", kCounter, "Subscribers that ended, by reason.");
  if (!stats) return;
  for (std::size_t i = 0; i < replay::kEndReasons; ++i) {
    text.count({{"reason", to_string(static_cast<replay::EndReason>(i))}}, stats->ended[i]);
  }
}

}  // namespace

void add_server_metrics(PrometheusText& text, const MetricsSample& sample) {
  using replay::ServerOptions;
  const std::optional<ServerStats>& stats = sample.mirror.server;
  ServerText server(text, sample);
  server.gauge("standpipe_connections", "Connections that are open, subscribers included.",
               &ServerStats::connections);
  server.limit("standpipe_connections_limit", "Subscribers in total at most (--connections).",
               &ServerOptions::connections_max);
  server.limit("standpipe_connections_per_address_limit",
               "Subscribers of one address at most (--connections-per-address).",
               &ServerOptions::connections_per_address_max);
  server.counter("standpipe_connections_accepted_total", "Connections, since the start.",
                 &ServerStats::accepted);
  text.family("standpipe_connections_refused_total", kCounter,
              "Refused for too many: of one address, or in total.");
  if (stats) {
    text.count({{"limit", "address"}}, stats->refused_address);
    text.count({{"limit", "total"}}, stats->refused_total);
  }
  server.counter("standpipe_requests_total", "Requests answered, handshakes included.",
                 &ServerStats::requests);
  server.counter("standpipe_requests_refused_total", "Of these, answered with 4xx or 5xx.",
                 &ServerStats::requests_refused);
  server.counter("standpipe_request_timeouts_total", "Connections closed for being slow to ask.",
                 &ServerStats::request_timeouts);
  server.gauge("standpipe_request_bytes", "Held for requests that are not answered yet.",
               &ServerStats::request_bytes);
  server.limit("standpipe_request_head_limit_bytes", "Request line and fields at most.",
               &ServerOptions::request_head_bytes_max);

  server.counter("standpipe_forwards_total", "Requests that were passed on to an upstream.",
                 &ServerStats::forwards);
  server.counter("standpipe_forwards_failed_total",
                 "Of these: the upstream did not answer, or not to the end.",
                 &ServerStats::forwards_failed);
  server.counter("standpipe_forwards_refused_total",
                 "Requests that were not passed on: too many at once.",
                 &ServerStats::forwards_refused);
  server.counter("standpipe_forwarded_bytes_total", "Of the bodies of upstreams' answers.",
                 &ServerStats::forwarded_bytes);
  server.gauge("standpipe_forwards_open", "Under way.", &ServerStats::forwards_open);
  server.limit("standpipe_forwards_limit", "At once at most (--forwards).",
               &ServerOptions::forwards_max);
  server.limit("standpipe_forwards_per_address_limit",
               "For one address at most (--forwards-per-address).",
               &ServerOptions::forwards_per_address_max);

  add_subscribers(text, stats);
  server.gauge("standpipe_subscribers_filtered", "Subscribers that have a filter.",
               &ServerStats::filtered);
  server.gauge("standpipe_subscribers_blocked", "Subscribers that take nothing at the moment.",
               &ServerStats::blocked);
  server.counter("standpipe_subscriptions_total", "Handshakes, since the start.",
                 &ServerStats::subscribed);
  add_ends(text, stats);
  server.counter("standpipe_sent_frames_total", "Whole frames handed to the kernel.",
                 &ServerStats::frames_sent);
  server.counter("standpipe_sent_bytes_total", "Their bytes, WebSocket headers included.",
                 &ServerStats::bytes_sent);
  server.counter("standpipe_sends_total", "System calls that sent them.", &ServerStats::sends);
  server.counter("standpipe_cutovers_total", "Subscribers' ways from the archive to memory.",
                 &ServerStats::cutovers);
  server.counter("standpipe_fallbacks_total", "Subscribers' ways from memory to the archive.",
                 &ServerStats::fallbacks);
  server.counter("standpipe_pongs_total", "Pings of subscribers that were answered.",
                 &ServerStats::pongs);
  server.limit("standpipe_egress_limit_bytes_per_second",
               "To all subscribers together (--max-egress); 0: no limit.",
               &ServerOptions::egress_max);
  server.limit("standpipe_egress_per_subscriber_limit_bytes_per_second",
               "To each (--max-egress-per-subscriber); 0: no limit.",
               &ServerOptions::egress_per_subscriber_max);

  text.family("standpipe_live_log_bytes", kGauge, "Newest frames that are kept in memory.");
  for (const auto& [stream, bytes] : sample.live_bytes) text.count({{"stream", stream}}, bytes);
  text.family("standpipe_live_log_limit_bytes", kGauge, "Of each stream (--live-bytes).");
  if (sample.serving) text.count({}, sample.serving->live_log.bytes_max);
  server.gauge("standpipe_archive_reads_pending",
               "Reads for subscribers that are under way or wait for a thread.",
               &ServerStats::reads_pending);
  server.limit("standpipe_read_threads", "Threads that read the archive for subscribers.",
               &ServerOptions::read_threads);
  server.limit("standpipe_network_threads", "Threads that send.", &ServerOptions::network_threads);
}

}  // namespace standpipe::tools
