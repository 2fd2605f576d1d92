// What the real program says of itself at its admin listener is what happened.
#include <gmock/gmock.h>

#include <fstream>
#include <future>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/host_by_hand.h"
#include "tests/support/metrics_fixture.h"

namespace standpipe::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class MetricsOfAMirror : public MetricsFixture {
 protected:
  static std::string repos(const std::string& name) { return with(name, {{"stream", "repos"}}); }
  static std::string repos(const std::string& name, const std::string& label,
                           const std::string& value) {
    return with(name, {{"stream", "repos"}, {label, value}});
  }
  static Bytes other_frame(std::int64_t seq) {
    FrameSpec spec;
    spec.seq = seq;
    spec.variant = 1;
    return make_frame(spec);
  }
  static double sum_of(const Metrics& all, const std::string& family) {
    return std::accumulate(all.begin(), all.end(), 0.0, [&](double sum, const auto& one) {
      return sum + (one.first.starts_with(family + "{") ? one.second : 0);
    });
  }
};

TEST_F(MetricsOfAMirror, FramesAreCountedByWhatBecameOfThem) {
  given_upstream(holding(1, 30));
  upstream().plan_next(ConnectionPlan()
                           .repeat(3, 2)                     // two duplicates
                           .binary_after(6, other_frame(2))  // a conflict
                           .binary_after(7, Bytes{})         // empty
                           .skip(10)                         // a gap, and then too late
                           .binary_after(12, make_frame(10))
                           .text_after(20, "text"));
  given_measured_mirror();
  // In this order a frame is counted, and is there to be sent from memory.
  const Metrics now = wait_for_metrics("frame 30", [](const Metrics& metrics) {
    return metrics.at(repos("standpipe_frames_total", "outcome", "accepted")) == 29 &&
           metrics.at(repos("standpipe_live_log_bytes")) > 29 * 300;
  });
  EXPECT_EQ(now.at(repos("standpipe_stream_newest_seq")), 30);
  EXPECT_EQ(now.at(repos("standpipe_frames_total", "outcome", "duplicate")), 2);
  EXPECT_EQ(now.at(repos("standpipe_frames_total", "outcome", "conflict")), 1);
  EXPECT_EQ(now.at(repos("standpipe_frames_total", "outcome", "late")), 1);
  EXPECT_EQ(now.at(repos("standpipe_frames_total", "outcome", "quarantined")), 2);
  EXPECT_EQ(now.at(repos("standpipe_frames_total", "outcome", "refused")), 0);
  EXPECT_EQ(now.at(repos("standpipe_upstream_received_total", "form", "binary")), 34);
  EXPECT_EQ(now.at(repos("standpipe_upstream_received_total", "form", "text")), 1);
  EXPECT_EQ(now.at(repos("standpipe_kept_aside_total", "reason", "conflict")), 1);
  EXPECT_EQ(now.at(repos("standpipe_kept_aside_total", "reason", "late")), 1);
  EXPECT_EQ(now.at(repos("standpipe_kept_aside_total", "reason", "empty")), 1);
  EXPECT_EQ(now.at(repos("standpipe_kept_aside_total", "reason", "text_message")), 1);
  EXPECT_EQ(now.at("standpipe_quarantine_entries"), 4);
  EXPECT_EQ(now.at(repos("standpipe_gaps", "reason", "upstream")), 1);
  EXPECT_EQ(now.at(repos("standpipe_gap_seqs", "reason", "upstream")), 1);
  EXPECT_EQ(now.at(repos("standpipe_gap_seqs", "reason", "outage")), 0);
  EXPECT_EQ(now.at(repos("standpipe_gaps_recorded_total")), 1);
  EXPECT_EQ(now.at(repos("standpipe_stream_frames")), 29);
  EXPECT_EQ(now.at(repos("standpipe_stream_oldest_seq")), 1);
  EXPECT_GE(now.at(repos("standpipe_stream_oldest_timestamp_seconds")), 1'767'225'600.01);
  EXPECT_LE(now.at(repos("standpipe_stream_newest_timestamp_seconds")), 1'767'225'600.3);
  EXPECT_EQ(now.at(repos("standpipe_upstream_connections_total")), 1);
  EXPECT_EQ(now.at(repos("standpipe_upstream_connected")), 1);
  EXPECT_EQ(now.at(with("standpipe_archive_partitions", {{"state", "open"}})), 1);
  const double commits = now.at(repos("standpipe_commits_total"));
  EXPECT_GE(commits, 1);
  EXPECT_EQ(now.at(repos("standpipe_commit_seconds_count")), commits);
  EXPECT_EQ(now.at(repos("standpipe_commit_seconds_bucket", "le", "+Inf")), commits);
  EXPECT_GT(now.at(repos("standpipe_commit_seconds_sum")), 0);
  EXPECT_GT(now.at("process_open_fds"), 10);
  EXPECT_GT(now.at("process_resident_memory_bytes"), 1 << 20);
  EXPECT_EQ(now.at(with("standpipe_build_info",
                        {{"version", "0.1.0"}, {"verb", "mirror"}, {"format", "1"}})),
            1);
}

TEST_F(MetricsOfAMirror, StatesAreOneHotAndFollowTheUpstream) {
  given_upstream(holding(1, 5));
  given_measured_mirror();
  Metrics now = wait_for_metric(repos("standpipe_upstream_state", "state", "live"), 1);
  EXPECT_EQ(sum_of(now, "standpipe_upstream_state"), 1);
  EXPECT_EQ(sum_of(now, "standpipe_health"), 1);
  // Whatever it says is gone: every dial from now on is refused.
  given_upstream();
  now = wait_for_metric(repos("standpipe_upstream_state", "state", "down"), 1);
  EXPECT_EQ(sum_of(now, "standpipe_upstream_state"), 1);
  now = wait_for_metric(with("standpipe_health", {{"status", "upstream_down"}}), 1);
  EXPECT_EQ(sum_of(now, "standpipe_health"), 1);
  EXPECT_EQ(now.at(repos("standpipe_upstream_connected")), 0);
  wait_for_metrics("a failed dial", [](const Metrics& later) {
    return later.at(repos("standpipe_upstream_dials_failed_total")) >= 1;
  });
}

TEST_F(MetricsOfAMirror, SubscribersAreCountedByStateAndByWhyTheyEnded) {
  given_upstream(holding(1, 20));
  given_measured_mirror();
  wait_until_durable(20);
  Subscriber all = subscribe("?cursor=0");
  Subscriber filtered = subscribe("?wantedCollections=app.bsky.nothing");
  Subscriber waiting = subscribe("?cursor=0&until=25");
  EXPECT_EQ(all.read_frames(20).size(), 20U);
  EXPECT_EQ(waiting.read_frames(20).size(), 20U);
  Metrics now = wait_for_metric(with("standpipe_subscribers", {{"state", "live"}}), 3);
  EXPECT_EQ(sum_of(now, "standpipe_subscribers"), 3);
  EXPECT_EQ(now.at("standpipe_subscribers_filtered"), 1);
  EXPECT_EQ(now.at("standpipe_subscriptions_total"), 3);
  EXPECT_EQ(now.at("standpipe_sent_frames_total"), 40);
  // Frames of 126 to 65,535 bytes have a header of four.
  double wire_bytes = 0;
  for (const UpstreamFrame& frame : upstream_frames(1, 20)) {
    wire_bytes += static_cast<double>(frame.bytes.size()) + 4;
  }
  EXPECT_EQ(now.at("standpipe_sent_bytes_total"), 2 * wire_bytes);

  upstream().append(upstream_frames(21, 25));
  Received end;
  EXPECT_EQ(waiting.read_to_end(&end).size(), 5U);
  EXPECT_EQ(all.read_frames(5).size(), 5U);
  all.send_close(1000);
  const auto ended = [](const std::string& reason) {
    return with("standpipe_subscribers_ended_total", {{"reason", reason}});
  };
  wait_for_metric(ended("until_reached"), 1);
  now = wait_for_metric(ended("client_closed"), 1);
  EXPECT_EQ(sum_of(now, "standpipe_subscribers_ended_total"), 2);
  EXPECT_EQ(sum_of(now, "standpipe_subscribers"), 1);
  EXPECT_EQ(now.at("standpipe_sent_frames_total"), 50);
  EXPECT_EQ(now.at("standpipe_subscribers_filtered"), 1);
  filtered.close();
  now = wait_for_metric("standpipe_subscribers_filtered", 0);
  EXPECT_EQ(sum_of(now, "standpipe_subscribers"), 0);
}

TEST_F(MetricsOfAMirror, WhatIsPassedOnIsCountedByWhatBecameOfIt) {
  HostByHand host;
  given_measured_mirror({"--upstream", host.url(), "--forwards", "1", "--forward-bytes", "10"});
  const std::string target = "/xrpc/com.atproto.sync.listRepos";
  const auto ask = [&] {
    return std::async(std::launch::async, [&] { return http_get(port(), target).status; });
  };
  auto answered = ask();
  {
    AskedByHand asked = host.take();
    EXPECT_EQ(metrics()["standpipe_forwards_open"], 1);
    EXPECT_EQ(http_get(port(), target).status, 503);
    asked.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes");
    EXPECT_EQ(answered.get(), 200);
    asked.wait_for_end();
  }
  answered = ask();
  host.take().send("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n");
  EXPECT_EQ(answered.get(), 502);
  NetStream leaving = connect_stream(port(), {});
  const std::string request = "GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n";
  write_all(leaving, as_bytes(request), deadline_from_now());
  AskedByHand left = host.take();
  leaving.close();
  left.wait_for_end();
  const Metrics now = wait_for_metric("standpipe_forwards_open", 0);
  EXPECT_EQ(now.at("standpipe_forwards_total"), 3);
  EXPECT_EQ(now.at("standpipe_forwards_failed_total"), 1);  // who leaves is no failure of upstream
  EXPECT_EQ(now.at("standpipe_forwards_refused_total"), 1);
  EXPECT_EQ(now.at("standpipe_forwarded_bytes_total"), 3);
  EXPECT_EQ(now.at("standpipe_forwards_limit"), 1);
  EXPECT_EQ(now.at("standpipe_forwards_per_address_limit"), 8);
}

TEST_F(MetricsOfAMirror, OneThatOnlyServesSaysWhatItHolds) {
  std::vector<Bytes> frames;
  for (std::int64_t seq = 1; seq <= 10; ++seq) frames.push_back(make_frame(seq));
  given_imported(frames);
  given_measured_server();
  Subscriber subscriber = subscribe("?cursor=0");
  EXPECT_EQ(subscriber.read_frames(10).size(), 10U);
  const Metrics now = wait_for_metrics("a decoded run", [](const Metrics& metrics) {
    return metrics.at("standpipe_run_cache_misses_total") >= 1 &&
           metrics.at("standpipe_sent_frames_total") == 10;
  });
  EXPECT_EQ(now.at(repos("standpipe_stream_newest_seq")), 10);
  EXPECT_EQ(now.at(repos("standpipe_stream_frames")), 10);
  EXPECT_EQ(now.at(with("standpipe_health", {{"status", "read_only"}})), 1);
  EXPECT_FALSE(now.contains(repos("standpipe_upstream_connected")));
}

using AdminOfAMirror = MetricsOfAMirror;

TEST_F(AdminOfAMirror, HealthIsWhatThePublicListenerSays) {
  given_upstream(holding(1, 5));
  given_measured_mirror();
  wait_for_metrics("the time of frame 5", [](const Metrics& now) {
    return now.at(repos("standpipe_frames_total", "outcome", "accepted")) == 5 &&
           now.contains(repos("standpipe_stream_event_age_seconds"));
  });
  const HttpReply reply = http_get(process().admin_port(), "/healthz");
  EXPECT_EQ(reply.status, 200);
  const auto shown = nlohmann::json::parse(reply.body, nullptr, false);
  EXPECT_EQ(shown["streams"][0]["seq"], 5);
  EXPECT_EQ(shown["streams"][0]["name"], "repos");
  EXPECT_EQ(http_get(process().admin_port(), "/healthz?max_lag=1").status, 503);
  // Nothing of it stands on the public listener.
  EXPECT_EQ(http_get(port(), "/metrics").status, 404);
}

TEST_F(AdminOfAMirror, ATokenIsAskedForAndNeverLogged) {
  const std::string token = "a-token-that-nobody-else-knows";
  const std::string file = dir / "token";
  std::ofstream(file) << token << "\n";
  given_upstream(holding(1, 5));
  given_mirror({"--admin", "0.0.0.0:0", "--admin-token-file", file, "--log-level", "debug"});
  HttpCall call;
  EXPECT_EQ(http_get(process().admin_port(), "/metrics", call).status, 401);
  call.headers = {{"Authorization", "Bearer " + token}};
  const HttpReply reply = http_get(process().admin_port(), "/metrics", call);
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.body, Not(HasSubstr(token)));
  call.headers.emplace_back("Origin", "https://evil.example");
  EXPECT_EQ(http_get(process().admin_port(), "/metrics", call).status, 403);
  EXPECT_THAT(process().error_text(), Not(HasSubstr(token)));
  EXPECT_THAT(stop().err, HasSubstr("metrics at http://0.0.0.0:"));
}

TEST_F(AdminOfAMirror, WhereItCannotListenTheProgramSaysSoAndEnds) {
  given_upstream(holding(1, 5));
  const Outcome open = run_standpipe(arguments_of("mirror", {"--admin", "0.0.0.0:0"}));
  EXPECT_EQ(open.status, 2);
  EXPECT_THAT(open.err, HasSubstr("--admin: 0.0.0.0:0 can be reached from other machines: give "
                                  "--admin-token-file FILE"));
  const Outcome useless =
      run_standpipe(arguments_of("mirror", {"--admin", "none", "--admin-token-file", "x"}));
  EXPECT_EQ(useless.status, 2);
  given_measured_mirror();
  const std::string taken = "127.0.0.1:" + std::to_string(process().admin_port());
  std::vector<std::string> again{"mirror",
                                 "--data",
                                 (dir / "other").string(),
                                 "--upstream",
                                 upstream().url(),
                                 "--min-free",
                                 "0",
                                 "--listen",
                                 "127.0.0.1:0",
                                 "--admin",
                                 taken};
  const Outcome refused = run_standpipe(again);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("cannot listen at " + taken + " for metrics"));
}

}  // namespace
}  // namespace standpipe::test
