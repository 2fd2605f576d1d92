// A connection that is kept up: how long it waits, and what ends the wait.
#include "archiver/firehose/upstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/archive_fixture.h"
#include "tests/support/scripted_upstream.h"

namespace standpipe::test {
namespace {

using firehose::Dial;
using firehose::Next;
using firehose::parse_upstream_url;
using firehose::Upstream;
using firehose::UpstreamKind;
using firehose::WsEnd;
using firehose::WsMessage;
using firehose::WsOpened;
using std::chrono::hours;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Counts what it gets, asks for what follows, and says how each connection ended.
class Reader final : public firehose::UpstreamSink {
 public:
  std::optional<Dial> before_dial() override {
    const std::lock_guard lock(mutex_);
    if (dials_++ == dials_max) return std::nullopt;
    Dial dial;
    dial.cursor = Seq{messages_};
    return dial;
  }
  Next on_connected(const WsOpened&, const Dial&) override {
    return refuses_sessions ? Next::redial : Next::read;
  }
  Next on_message(const WsMessage&) override {
    const std::lock_guard lock(mutex_);
    ++messages_;
    changed_.notify_all();
    return Next::read;
  }
  bool on_disconnected(const WsEnd& end, milliseconds delay) override {
    const std::lock_guard lock(mutex_);
    ends_.push_back(std::string(to_string(end.kind)) + " " + std::to_string(delay.count()));
    changed_.notify_all();
    return true;
  }

  void wait_for_ends(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ends_.size() >= count; });
  }
  void wait_for_messages(std::int64_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return messages_ >= count; });
  }
  std::vector<std::string> ends() const {
    const std::lock_guard lock(mutex_);
    return ends_;
  }

  int dials_max = 1'000;
  bool refuses_sessions = false;

 private:
  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  int dials_ = 0;
  std::int64_t messages_ = 0;
  std::vector<std::string> ends_;
};

UpstreamOptions serving(std::int64_t last) {
  UpstreamOptions options;
  for (std::int64_t seq = 1; seq <= last; ++seq) options.frames.push_back({seq, make_frame(seq)});
  return options;
}

// Waits of 1, 2, 4 ... `most` times `step`, without jitter.
firehose::UpstreamOptions steps_of(milliseconds step, int most = 60) {
  firehose::UpstreamOptions options;
  options.reconnect.delay_min = step;
  options.reconnect.delay_max = step * most;
  options.reconnect.jitter = 0;
  return options;
}

firehose::UpstreamUrl url_of(const ScriptedUpstream& upstream) {
  return parse_upstream_url(upstream.url(), UpstreamKind::repos).value();
}

TEST(UpstreamTest, EveryFailureWaitsTwiceAsLongAndTheNextDialAsksForWhatFollows) {
  ScriptedUpstream server(serving(5));
  server.plan_next(ConnectionPlan::refuse(503));
  server.plan_next(ConnectionPlan::hang_up());
  server.plan_next(ConnectionPlan().cut_after(2));
  server.plan_next(ConnectionPlan().close_after(1, 1012));
  Reader reader;
  Upstream upstream(url_of(server), steps_of(milliseconds(1)), reader);
  upstream.start();
  reader.wait_for_messages(5);
  upstream.stop();
  EXPECT_THAT(reader.ends(), ElementsAre("http_status 1", "lost 2", "lost 4", "closed 8",
                                         ::testing::StartsWith("stopped")));
  std::vector<std::int64_t> cursors;
  for (const ConnectionRecord& seen : server.connections()) cursors.push_back(*seen.cursor);
  EXPECT_THAT(cursors, ElementsAre(0, 0, 0, 2, 3));
}

TEST(UpstreamTest, AServerThatAsksForPatienceIsGivenIt) {
  ScriptedUpstream server;
  server.plan_next(ConnectionPlan::refuse(429, {{"Retry-After", "300"}}));
  Reader reader;
  Upstream upstream(url_of(server), steps_of(milliseconds(1)), reader);
  upstream.start();
  reader.wait_for_ends(1);
  upstream.stop();
  EXPECT_THAT(reader.ends(), ElementsAre("http_status 300000"));
  EXPECT_EQ(server.connections().size(), 1U);
}

TEST(UpstreamTest, StopEndsAWait) {
  ScriptedUpstream server;
  server.plan_next(ConnectionPlan::refuse(500));
  Reader reader;
  Upstream upstream(url_of(server), steps_of(hours(1)), reader);
  upstream.start();
  reader.wait_for_ends(1);
  upstream.stop();
  upstream.stop();
  EXPECT_THAT(reader.ends(), ElementsAre("http_status 3600000"));
}

TEST(UpstreamTest, RedialNowEndsAWaitAndBeginsAnew) {
  ScriptedUpstream server(serving(1));
  server.plan_next(ConnectionPlan::refuse(500));
  server.plan_next(ConnectionPlan::refuse(500));
  Reader reader;
  Upstream upstream(url_of(server), steps_of(hours(1)), reader);
  upstream.start();
  reader.wait_for_ends(1);
  upstream.redial_now();
  reader.wait_for_ends(2);
  upstream.redial_now();
  reader.wait_for_messages(1);
  upstream.stop();
  EXPECT_EQ(reader.ends()[1], "http_status 3600000");  // not two hours
}

TEST(UpstreamTest, HangingUpRedialsAtOnceUnlessItIsAFailure) {
  ScriptedUpstream server(serving(1));
  Reader reader;
  Upstream upstream(url_of(server), steps_of(milliseconds(1)), reader);
  upstream.start();
  server.wait_until_sent(0, 1);
  upstream.hang_up(/*is_failure=*/false);
  reader.wait_for_ends(1);
  server.wait_for_connections(2);
  upstream.hang_up(/*is_failure=*/true);
  reader.wait_for_ends(2);
  upstream.stop();
  EXPECT_EQ(reader.ends()[0], "stopped 0");
  EXPECT_EQ(reader.ends()[1], "stopped 1");
}

TEST(UpstreamTest, ASinkThatWantsNoSessionEndsItAndOneThatWantsNoMoreEndsTheThread) {
  ScriptedUpstream server(serving(1));
  Reader reader;
  reader.refuses_sessions = true;
  reader.dials_max = 3;
  Upstream upstream(url_of(server), steps_of(hours(1)), reader);
  upstream.start();
  reader.wait_for_ends(3);
  upstream.stop();
  EXPECT_THAT(reader.ends(), ElementsAre("handler 0", "handler 0", "handler 0"));
}

}  // namespace
}  // namespace standpipe::test
