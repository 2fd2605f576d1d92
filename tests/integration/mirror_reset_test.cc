// Where a stream stands when upstream comes back: a hole, the past once more, or another history.

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "schema/base/clock.h"
#include "storage/archive.h"
#include "tests/support/archive_fixture.h"
#include "tests/support/mirror_status_fixture.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Frames of another history.
std::vector<UpstreamFrame> other_frames(std::int64_t first, std::int64_t last) {
  std::vector<UpstreamFrame> frames;
  for (std::int64_t seq = first; seq <= last; ++seq) frames.push_back({seq, other_frame(seq)});
  return frames;
}

std::vector<Bytes> bytes_of(const std::vector<UpstreamFrame>& frames) {
  std::vector<Bytes> bytes;
  for (const UpstreamFrame& frame : frames) bytes.push_back(frame.bytes);
  return bytes;
}

class MirrorReset : public MirrorStatusFixture {
 protected:
  // A mirror that has stored frames 1 to `last`, and stopped.
  void given_stored(std::int64_t last) {
    given_upstream(holding(1, last));
    given_mirror();
    wait_until_durable(last);
    stop();
  }

  // The upstream that comes in its place.
  void given_other_upstream(std::vector<UpstreamFrame> frames, bool refuses_future_cursor = true) {
    UpstreamOptions options;
    options.frames = std::move(frames);
    options.refuses_future_cursor = refuses_future_cursor;
    given_upstream(std::move(options));
  }

  Outcome begin_epoch() const {
    return run_standpipe({"epoch", "new", "--data", archive().string(), "--stream", "repos",
                          "--reason", "relay rebuilt"});
  }

  Subscriber subscribe_to_epoch(int number) const {
    return Subscriber::connect(port(),
                               "/stream/repos/epoch/" + std::to_string(number) + target_after(0));
  }
};

// -- Holes ----------------------------------------------------------------------------------------

TEST_F(MirrorReset, WhatUpstreamNoLongerHasIsAnOutageAndWhatItPassesOverIsItsOwn) {
  given_upstream(holding(1, 10));
  given_watched_mirror();
  wait_for_newest(10);
  stop();
  upstream().append(upstream_frames(11, 30));
  upstream().forget(15);
  upstream().plan_next(ConnectionPlan().skip(5).skip(6));  // of 16, 17, ...
  given_watched_mirror();
  const json status = wait_for_newest(30);
  EXPECT_EQ(status["gaps"], 2);
  EXPECT_THAT(cursors(), ElementsAre(0, 10));
  EXPECT_THAT(gaps(), ElementsAre("10..16 outage", "19..22 upstream"));
  std::vector<Bytes> served = frames_between(1, 10);
  for (const std::int64_t seq : {16, 17, 18, 19, 22, 23, 24, 25, 26, 27, 28, 29, 30}) {
    served.push_back(make_frame(seq));
  }
  expect_served(served);
}

TEST_F(MirrorReset, AHoleBetweenTwoConnectionsOfOneMirrorIsAnOutageToo) {
  given_upstream(holding(1, 20));
  upstream().plan_next(ConnectionPlan().skip(3).cut_after(5));
  upstream().plan_next(ConnectionPlan().skip(1).skip(2));
  given_watched_mirror();
  wait_for_newest(20);
  EXPECT_THAT(gaps(), ElementsAre("2..4 upstream", "5..8 outage"));
}

// Every seq but each tenth is missing. A stream whose density is not given is taken for dense until
// 64 steps have said otherwise.
TEST_F(MirrorReset, ASkipIsAGapAsTheDensityOfTheStreamHasIt) {
  std::vector<UpstreamFrame> sparse;
  for (std::int64_t seq = 10; seq <= 1'000; seq += 10) sparse.push_back({seq, make_frame(seq)});
  const std::vector<std::pair<std::string, std::uint64_t>> expected{
      {"dense", 99}, {"sparse", 0}, {"auto", 64}};
  for (const auto& [density, gaps_recorded] : expected) {
    SCOPED_TRACE(density);
    given_other_upstream(sparse);
    given_watched_mirror({"--density", density});
    const json status = wait_for_newest(1'000);
    EXPECT_EQ(status["accepted"], 100);
    EXPECT_EQ(status["gaps"], gaps_recorded);
    EXPECT_EQ(gaps().size(), gaps_recorded);
    expect_served(bytes_of(sparse));
    stop();
    std::filesystem::remove_all(archive());
  }
}

// -- Where it begins ------------------------------------------------------------------------------

TEST_F(MirrorReset, FromNewestNothingOldIsAskedForAndLaterItResumes) {
  given_upstream(holding(1, 10));
  given_watched_mirror({"--from", "newest"});
  upstream().wait_for_connections(1);
  upstream().append(upstream_frames(11, 13));
  wait_for_newest(13);
  stop();
  upstream().append(14, make_frame(14));
  given_watched_mirror({"--from", "newest"});
  wait_for_newest(14);
  EXPECT_THAT(cursors(), ElementsAre(-1, 13));
  EXPECT_THAT(gaps(), IsEmpty());
  expect_served(frames_between(11, 14));
}

TEST_F(MirrorReset, FromASeqItIsTheFirstFrameAndLaterItResumes) {
  given_upstream(holding(1, 10));
  given_watched_mirror({"--from", "6"});
  wait_for_newest(10);
  expect_served(frames_between(6, 10));
  stop();
  upstream().append(11, make_frame(11));
  given_watched_mirror({"--from", "3"});
  wait_for_newest(11);
  EXPECT_THAT(cursors(), ElementsAre(5, 10));
  EXPECT_THAT(gaps(), IsEmpty());
  expect_served(frames_between(6, 11));
}

TEST_F(MirrorReset, FromASeqThatUpstreamNoLongerHasTheDifferenceIsAnOutage) {
  given_upstream(holding(8, 10));
  given_watched_mirror({"--from", "6"});
  wait_for_newest(10);
  EXPECT_THAT(gaps(), ElementsAre("5..8 outage"));
  expect_served(frames_between(8, 10));
}

TEST_F(MirrorReset, AnotherUrlForAKnownNameIsRefusedUnlessAskedFor) {
  given_stored(10);
  const std::string before = upstream().url();
  given_upstream(holding(1, 12));
  const Outcome refused = run_standpipe(arguments_of("mirror", {"--listen", "127.0.0.1:0"}));
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("--change-upstream"));
  EXPECT_THAT(refused.err, HasSubstr(before));
  EXPECT_THAT(upstream().connections(), IsEmpty());
  given_watched_mirror({"--change-upstream"});
  wait_for_newest(12);
  EXPECT_THAT(cursors(), ElementsAre(10));
  expect_served(frames_between(1, 12));
}

// -- The past once more ---------------------------------------------------------------------------

TEST_F(MirrorReset, AnUpstreamThatIgnoresTheCursorAddsNothingTwice) {
  UpstreamOptions options = holding(1, 300);
  options.cursor_mode = CursorMode::ignored;
  given_upstream(std::move(options));
  upstream().plan_next(ConnectionPlan().cut_after(200));
  given_watched_mirror();
  EXPECT_EQ(wait_for_newest(300)["duplicates"], 200);
  stop();
  upstream().append(upstream_frames(301, 310));
  given_watched_mirror();
  const json status = wait_for_newest(310);
  EXPECT_EQ(status["duplicates"], 300);
  EXPECT_EQ(status["accepted"], 10);
  EXPECT_EQ(status["conflicts"], 0);
  EXPECT_THAT(cursors(), ElementsAre(0, 200, 300));
  EXPECT_THAT(gaps(), IsEmpty());
  expect_served(frames_between(1, 310));
}

TEST_F(MirrorReset, AnUpstreamThatBeginsBeforeWhereTheArchiveDoesAddsNothingEither) {
  UpstreamOptions options = holding(1, 20);
  options.cursor_mode = CursorMode::ignored;
  given_upstream(std::move(options));
  given_watched_mirror({"--from", "11"});
  const json status = wait_for_newest(20);
  EXPECT_EQ(status["duplicates"], 10);
  EXPECT_EQ(status["late"], 0);
  expect_served(frames_between(11, 20));
}

// -- Another history ------------------------------------------------------------------------------

TEST_F(MirrorReset, FutureCursorPausesIngestUntilAnEpochIsBegun) {
  given_stored(50);
  given_other_upstream(other_frames(1, 10));
  given_watched_mirror({"--change-upstream"});
  json status = wait_for_state("upstream_reset");
  EXPECT_THAT(status["last_error"].get<std::string>(), HasSubstr("newest here is 50"));
  EXPECT_EQ(health()["status"], "upstream_reset");
  EXPECT_EQ(http_get(port(), "/xrpc/_health").status, 200);
  expect_served(frames_between(1, 50));

  // A restart does not forget it, and nobody is dialled.
  stop();
  given_watched_mirror();
  wait_for_state("upstream_reset");
  EXPECT_THAT(cursors(), ElementsAre(50));
  Subscriber before = subscribe("?cursor=45");
  EXPECT_EQ(before.read_frames(5).size(), 5U);

  const Outcome begun = begin_epoch();
  ASSERT_EQ(begun.status, 0) << begun.err;
  status = wait_for_status(
      "epoch 2", [](const json& now) { return now["epoch"] == 2 && now["newest"] == 10; });
  Received end;
  EXPECT_THAT(before.read_to_end(&end), IsEmpty());
  EXPECT_TRUE(std::holds_alternative<TcpEnd>(end)) << describe(end);
  EXPECT_THAT(cursors(), ElementsAre(50, 0));
  expect_served(bytes_of(other_frames(1, 10)));
  Subscriber older = subscribe_to_epoch(1);
  EXPECT_TRUE(older.read_frames(50) == frames_between(1, 50));
  upstream().append(other_frames(11, 12));
  wait_until_durable(12);
  expect_served(bytes_of(other_frames(1, 12)));
  EXPECT_NE(health()["status"], "upstream_reset");
  EXPECT_EQ(inspected()["streams"][0]["epochs"][1]["reason"], "relay rebuilt");
}

// It says nothing of the cursor, and its seqs grow into those that we have.
TEST_F(MirrorReset, OtherBytesForTheSameSeqsAreAResetAndNothingIsOverwritten) {
  given_stored(50);
  given_other_upstream(other_frames(1, 10), /*refuses_future_cursor=*/false);
  given_watched_mirror({"--change-upstream"});
  upstream().wait_for_connections(1);
  upstream().append(other_frames(11, 60));
  const json status = wait_for_state("upstream_reset");
  EXPECT_EQ(status["conflicts"], 3);
  EXPECT_EQ(status["accepted"], 0);
  EXPECT_EQ(status["newest"], 50);
  expect_served(frames_between(1, 50));
  ASSERT_EQ(begin_epoch().status, 0);
  wait_for_newest(60);
  expect_served(bytes_of(other_frames(1, 60)));
  Subscriber older = subscribe_to_epoch(1);
  EXPECT_TRUE(older.read_frames(50) == frames_between(1, 50));
}

// One frame is enough where it also says that it is a minute younger than all that we have.
TEST_F(MirrorReset, AnOldSeqWithANewerTimeIsAResetAtOnce) {
  given_stored(50);
  FrameSpec newer;
  newer.seq = 20;
  newer.variant = 1;
  newer.time_ms = frame_time_ms(50) + 120'000;
  given_other_upstream({{20, make_frame(newer)}});
  upstream().plan_next(ConnectionPlan().go_back_after(0, 1));
  given_watched_mirror({"--change-upstream"});
  wait_for_state("upstream_reset");
  expect_served(frames_between(1, 50));
}

// Made long ago, so that an epoch may follow it unasked.
TEST_F(MirrorReset, WhereSoAskedAnEpochIsBegunByItself) {
  {
    const ManualClock clock(kFirstFrameMs);
    auto made = storage::Archive::open(archive(), small_archive_options(clock));
    ASSERT_OK(made);
    storage::StreamSpec spec;
    spec.name = "repos";
    const auto stream = (*made)->ensure_stream(spec);
    ASSERT_OK(stream);
    auto appender = (*made)->appender(stream->id);
    ASSERT_OK(appender);
    for (std::int64_t seq = 1; seq <= 50; ++seq) {
      ASSERT_OK(appender->offer(make_frame(seq), kFirstFrameMs));
    }
    ASSERT_OK(appender->commit());
  }
  given_other_upstream(other_frames(1, 10));
  given_watched_mirror({"--change-upstream", "--on-upstream-reset", "new-epoch"});
  const json status = wait_for_status(
      "epoch 2", [](const json& now) { return now["epoch"] == 2 && now["newest"] == 10; });
  EXPECT_EQ(status["accepted"], 10);
  EXPECT_THAT(cursors(), ElementsAre(50, 0));
  expect_served(bytes_of(other_frames(1, 10)));
  Subscriber older = subscribe_to_epoch(1);
  EXPECT_TRUE(older.read_frames(50) == frames_between(1, 50));
  EXPECT_EQ(inspected()["streams"][0]["epochs"][1]["reason"], "upstream was reset");
}

}  // namespace
}  // namespace standpipe::test
