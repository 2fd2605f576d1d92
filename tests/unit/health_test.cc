#include "replay/health.h"

#include <gtest/gtest.h>

namespace standpipe::replay {
namespace {

StreamHealth stream(std::string name, UpstreamState upstream) {
  StreamHealth health;
  health.name = std::move(name);
  health.seq = Seq{5};
  health.upstream = upstream;
  return health;
}

HealthReport report(storage::Health archive, UpstreamState upstream = UpstreamState::live) {
  HealthReport health;
  health.archive = archive;
  health.streams = {stream("repos", upstream)};
  return health;
}

// The status as text, behind its HTTP status.
std::string said(const HealthReport& health) {
  return std::to_string(health_reply(health, std::nullopt).status) + " " +
         std::string(to_string(status_of(health)));
}

TEST(Health, EachStateHasItsWordAndItsHttpStatus) {
  EXPECT_EQ(said(report(storage::Health::ok)), "200 ok");
  EXPECT_EQ(said(report(storage::Health::ok, UpstreamState::none)), "200 ok");
  EXPECT_EQ(said(report(storage::Health::ok, UpstreamState::catching_up)), "200 catching_up");
  EXPECT_EQ(said(report(storage::Health::ok, UpstreamState::down)), "200 upstream_down");
  EXPECT_EQ(said(report(storage::Health::ok, UpstreamState::reset)), "200 upstream_reset");
  EXPECT_EQ(said(report(storage::Health::disk_full)), "200 disk_full");
  EXPECT_EQ(said(report(storage::Health::read_only, UpstreamState::none)), "200 read_only");
  EXPECT_EQ(said(report(storage::Health::closed)), "503 shutdown");
  EXPECT_EQ(said(report(storage::Health::storage_failed)), "503 io_failure");
  EXPECT_EQ(said(report(storage::Health::corrupt)), "503 corruption");
}

TEST(Health, TheWorstOfAllStreamsAndTheArchiveIsSaid) {
  HealthReport health = report(storage::Health::ok, UpstreamState::live);
  health.streams.push_back(stream("a", UpstreamState::catching_up));
  EXPECT_EQ(said(health), "200 catching_up");
  health.streams.push_back(stream("b", UpstreamState::reset));
  health.streams.push_back(stream("c", UpstreamState::down));
  EXPECT_EQ(said(health), "200 upstream_reset");
  health.archive = storage::Health::disk_full;
  EXPECT_EQ(said(health), "200 disk_full");
  health.is_shutting_down = true;
  EXPECT_EQ(said(health), "503 shutdown");
  health.archive = storage::Health::corrupt;
  EXPECT_EQ(said(health), "503 corruption");
}

TEST(Health, TheReplyIsJson) {
  HealthReport health = report(storage::Health::ok);
  health.streams[0].seq = Seq{26653242499};
  health.streams[0].received_age_s = 0.25;
  health.streams[0].event_age_s = 1.5;
  health.streams.push_back(stream("mod.example.com", UpstreamState::down));
  health.streams[1].kind = storage::StreamKind::labels;
  const HttpReply reply = health_reply(health, std::nullopt);
  EXPECT_EQ(reply.content_type, "application/json");
  EXPECT_EQ(reply.body,
            R"({"status":"upstream_down","streams":[)"
            R"({"name":"repos","kind":"repos","seq":26653242499,"received_age_s":0.25,)"
            R"("event_age_s":1.5,"upstream":"live"},)"
            R"({"name":"mod.example.com","kind":"labels","seq":5,"received_age_s":null,)"
            R"("event_age_s":null,"upstream":"down"}]})");
}

TEST(Health, AnArchiveWithoutStreamsIsWell) {
  const HttpReply reply = health_reply({}, std::nullopt);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, R"({"status":"ok","streams":[]})");
}

TEST(Health, LagAboveTheLimitIs503AndNamesTheStream) {
  HealthReport health = report(storage::Health::ok);
  health.streams[0].event_age_s = 30.0;
  EXPECT_EQ(health_reply(health, 30.0).status, 200);
  EXPECT_EQ(health_reply(health, 29.9).status, 503);
  health.streams[0].event_age_s = std::nullopt;
  health.streams[0].received_age_s = 1000.0;
  EXPECT_EQ(health_reply(health, 0.0).status, 200);  // quiet, which is not lag
  health.streams[0].event_age_s = 2.0;
  EXPECT_EQ(
      health_reply(health, 1.0).body,
      R"({"status":"ok","streams":[{"name":"repos","kind":"repos","seq":5,)"
      R"("received_age_s":1000.0,"event_age_s":2.0,"upstream":"live"}],"lagging":["repos"]})");
}

TEST(Health, WhatIsBadStaysBadWithoutLag) {
  EXPECT_EQ(health_reply(report(storage::Health::corrupt), 10.0).status, 503);
}

}  // namespace
}  // namespace standpipe::replay
