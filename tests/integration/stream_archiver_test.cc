// From a real server to a real archive.
#include "archiver/stream_archiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>

#include "tests/support/archiver_fixture.h"
#include "tests/support/repo_maker.h"

namespace standpipe::test {
namespace {

using archiver::FromNewest;
using archiver::FromSeq;
using archiver::OnUpstreamReset;
using archiver::StreamState;
using archiver::StreamStatus;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t kFiveMiB = 5'242'880;

// ConsumerTooSlow, as indigo sends it.
Bytes too_slow() {
  return parse_hex(
             "a2617460626f7020a2656572726f726f436f6e73756d6572546f6f536c6f77676d657373616765"
             "60")
      .value();
}

using StreamArchiverTest = ArchiverFixture;

// -- Frames ---------------------------------------------------------------------------------------

TEST_F(StreamArchiverTest, WhatAnUpstreamSendsIsStoredByteForByteAndToldInOrder) {
  given_archive();
  given_upstream(1, 40);
  start();
  wait_for_newest(40);
  const StreamStatus now = status();
  EXPECT_EQ(now.frames, 40U);
  EXPECT_EQ(now.accepted, 40U);
  EXPECT_EQ(now.bytes, bytes_of(stored(1, 40)));
  EXPECT_EQ(now.connections, 1U);
  EXPECT_TRUE(now.is_connected);
  EXPECT_EQ(now.event_time_ms, 1'767'225'600'400);  // 2026-01-01T00:00:00Z and 40 steps
  EXPECT_EQ(now.received_ms, clock.now_ms());
  EXPECT_EQ(now.url, server().url("/xrpc/com.atproto.sync.subscribeRepos"));
  stop();
  EXPECT_EQ(differences(stored(1, 40), read_all()), "");
  std::vector<std::string> expected;
  for (int seq = 1; seq <= 40; ++seq) expected.push_back("1:" + std::to_string(seq));
  EXPECT_EQ(durable(), expected);
}

TEST_F(StreamArchiverTest, WhatIsVerifiedCountsTheRepositoriesThatItForgets) {
  given_archive();
  std::vector<RepoMaker> repos;
  for (unsigned i = 0; i < 6; ++i) repos.emplace_back(i);
  UpstreamOptions script;
  for (std::int64_t seq = 1; seq <= 12; ++seq) {
    RepoMaker& repo = repos[static_cast<std::size_t>(seq % 6)];
    script.frames.push_back({seq, repo.commit(seq, {{"create", "a.b.c/" + std::to_string(seq)}})});
  }
  given_upstream(std::move(script));
  stream_options.check.verify = archiver::VerifyIngest::full;
  stream_options.check.repos_max = 4;
  start();
  wait_for("twelve verdicts", [](const StreamStatus& now) { return now.check.frames == 12; });
  const archiver::IngestCheckStats check = status().check;
  EXPECT_EQ(check.invalid, 0U);
  EXPECT_EQ(check.checked, Seq{12});
  EXPECT_EQ(check.repos_forgotten, 8U);  // as `verify --repos-max 4` says
}

TEST_F(StreamArchiverTest, AfterAnyEndItGoesOnFromTheFloorAndDropsWhatComesTwice) {
  given_archive();
  UpstreamOptions rainbow;
  rainbow.frames = frames(1, 30);
  rainbow.cursor_mode = CursorMode::inclusive;  // repeats the frame of the cursor
  given_upstream(std::move(rainbow));
  server().plan_next(ConnectionPlan().cut_after(10));
  server().plan_next(ConnectionPlan().reset_within(6, 50));
  server().plan_next(ConnectionPlan().repeat(3).close_after(8, 1012));
  start();
  wait_for_newest(30);
  EXPECT_THAT(cursors(), ElementsAre(0, 10, 14, 21));
  // Each connection but the first repeats one frame, and the third repeats one more.
  EXPECT_EQ(status().duplicates, 4U);
  EXPECT_EQ(status().accepted, 30U);
  EXPECT_EQ(status().connections, 4U);
  stop();
  EXPECT_EQ(differences(stored(1, 30), read_all()), "");
  EXPECT_THAT(gaps(), IsEmpty());
}

TEST_F(StreamArchiverTest, ARestartResumes) {
  given_archive();
  given_upstream(1, 10);
  start();
  wait_for_newest(10);
  stop();
  server().append(frames(11, 12));
  reopen();
  stream_options.writer.from = FromNewest{};  // says nothing where something is stored
  start();
  wait_for_newest(12);
  stop();
  EXPECT_THAT(cursors(), ElementsAre(0, 10));
  EXPECT_EQ(differences(stored(1, 12), read_all()), "");
}

TEST_F(StreamArchiverTest, ASkipIsUpstreamsAndOneBetweenTwoConnectionsIsAnOutage) {
  given_archive();
  given_upstream(1, 20);
  server().plan_next(ConnectionPlan().skip(3).cut_after(5));
  server().plan_next(ConnectionPlan().skip(1).skip(2));
  start();
  wait_for_newest(20);
  stop();
  EXPECT_THAT(gaps(), ElementsAre("2..4 upstream", "5..8 outage"));
}

TEST_F(StreamArchiverTest, AnOversizeFrameIsKeptAsideAndDoesNotComeBackForEver) {
  given_archive();
  given_upstream(1, 3);
  Bytes large = make_frame({.seq = 4, .blocks_bytes = kFiveMiB});
  ASSERT_GT(large.size(), kFiveMiB);
  server().append(4, large);
  server().append(frames(5, 6));
  server().plan_next(ConnectionPlan().cut_after(4));  // its last frame is the oversize one
  start();
  wait_for_newest(6);
  EXPECT_THAT(cursors(), ElementsAre(0, 4));
  EXPECT_EQ(status().oversize, 1U);
  EXPECT_EQ(status().kept_aside.at(Unarchivable::too_large), 1U);
  stop();
  EXPECT_THAT(gaps(), ElementsAre("3..5 quarantined"));
  const auto kept = archive().quarantine(10);
  ASSERT_OK(kept);
  ASSERT_EQ(kept->size(), 1U);
  EXPECT_EQ(kept->front().bytes_total, large.size());
  EXPECT_EQ(kept->front().bytes, as_text(ByteView(large).first(65'536)));
}

TEST_F(StreamArchiverTest, TextAndGarbageAreKeptAsideAndTheConnectionGoesOn) {
  given_archive();
  given_upstream(1, 2);
  server().plan_next(
      ConnectionPlan().text_after(1, "hello").binary_after(1, to_bytes(as_bytes("junk"))));
  start();
  wait_for_newest(2);
  const StreamStatus now = status();
  EXPECT_EQ(now.text, 1U);
  EXPECT_EQ(now.quarantined, 2U);
  EXPECT_EQ(now.kept_aside.at(Unarchivable::text_message), 1U);
  EXPECT_EQ(now.kept_aside.at(Unarchivable::header_malformed), 1U);
  EXPECT_EQ(now.connections, 1U);
}

TEST_F(StreamArchiverTest, AnErrorFrameEndsTheConnection) {
  given_archive();
  given_upstream(1, 4);
  server().plan_next(ConnectionPlan().binary_after(2, too_slow()).pause_after(2));
  start();
  wait_for_newest(4);
  EXPECT_THAT(cursors(), ElementsAre(0, 2));
  EXPECT_EQ(status().noted, 1U);
}

// -- Where it begins ------------------------------------------------------------------------------

TEST_F(StreamArchiverTest, FromNewestAsksForNoCursor) {
  given_archive();
  given_upstream(1, 5);
  stream_options.writer.from = FromNewest{};
  start();
  server().wait_for_connections(1);
  server().append(frames(6, 7));
  wait_for_newest(7);
  stop();
  EXPECT_THAT(cursors(), ElementsAre(-1));
  EXPECT_EQ(differences(stored(6, 7), read_all()), "");
}

TEST_F(StreamArchiverTest, FromASeqItIsTheFirstFrameWantedAndWhatIsMissingBeforeItIsAGap) {
  given_archive();
  given_upstream(6, 8);
  stream_options.writer.from = FromSeq{Seq{4}};
  server().plan_next(ConnectionPlan::refuse(503));  // the origin is decided once
  start();
  wait_for_newest(8);
  stop();
  EXPECT_THAT(cursors(), ElementsAre(3, 3));
  EXPECT_EQ(epoch_info().origin, Seq{3});
  EXPECT_THAT(gaps(), ElementsAre("3..6 outage"));
}

// -- Reset ----------------------------------------------------------------------------------------

TEST_F(StreamArchiverTest, FutureCursorIsAResetAndNobodyDialsBeforeANewEpoch) {
  given_archive();
  given_frames(1, 50);
  renew_appender();
  given_upstream(1, 10);
  start();
  wait_for_state(StreamState::upstream_reset);
  EXPECT_THAT(status().last_error, HasSubstr("newest here is 50"));
  server().wait_for_end(0);
  EXPECT_THAT(cursors(), ElementsAre(50));
  ASSERT_OK(archive().begin_epoch(stream(), "asked for"));
  stream_archiver().epoch_began();
  wait_for_newest(10);
  EXPECT_EQ(to_int(status().epoch), 2U);
  stop();
  EXPECT_THAT(cursors(), ElementsAre(50, 0));
  EXPECT_EQ(differences(stored(1, 10), read_all_of(2)), "");
  EXPECT_EQ(differences(stored(1, 50), read_all_of(1)), "");
}

TEST_F(StreamArchiverTest, AResetOutlivesARestart) {
  given_archive();
  given_frames(1, 50);
  renew_appender();
  given_upstream(1, 10);
  start();
  wait_for_state(StreamState::upstream_reset);
  stop();
  reopen();
  start();
  EXPECT_EQ(state(), "upstream_reset");
  stop();
  EXPECT_THAT(cursors(), ElementsAre(50));
}

TEST_F(StreamArchiverTest, WhereSoAskedAResetBeginsAnEpochByItself) {
  given_archive();
  given_frames(1, 50);
  renew_appender();
  given_upstream(1, 10);
  stream_options.writer.on_upstream_reset = OnUpstreamReset::new_epoch;
  clock.advance(600'000);
  start();
  wait_for_newest(10);
  EXPECT_THAT(epochs_began(), ElementsAre(2));
  EXPECT_EQ(archive().streams().front().epochs.back().reason, "upstream was reset");
  stop();
  EXPECT_EQ(differences(stored(1, 50), read_all_of(1)), "");
}

TEST_F(StreamArchiverTest, AnEpochThatHasHardlyBegunIsNotEndedByItself) {
  given_archive();
  given_frames(1, 50);
  renew_appender();
  given_upstream(1, 10);
  stream_options.writer.on_upstream_reset = OnUpstreamReset::new_epoch;
  start();
  wait_for_state(StreamState::upstream_reset);
  EXPECT_THAT(epochs_began(), IsEmpty());
  clock.advance(600'000);
  wait_for_newest(10);
  EXPECT_THAT(epochs_began(), ElementsAre(2));
}

TEST_F(StreamArchiverTest, AnEpochThatSomebodyBeganIsFollowed) {
  given_archive();
  given_upstream(1, 5);
  start();
  wait_for_newest(5);
  ASSERT_OK(archive().begin_epoch(stream(), "asked for"));
  stream_archiver().epoch_began();
  wait_for("epoch 2",
           [](const StreamStatus& now) { return to_int(now.epoch) == 2 && now.newest == Seq{5}; });
  EXPECT_THAT(cursors(), ElementsAre(0, 0));
  stop();
  EXPECT_EQ(differences(stored(1, 5), read_all_of(2)), "");
}

// -- The archive refuses --------------------------------------------------------------------------

TEST_F(StreamArchiverTest, AStreamThatIsBeingAppendedToIsRefused) {
  given_archive();
  append(1);
  given_upstream(1, 5);
  const Result<void> refused = try_start();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::busy);
  EXPECT_THAT(server().connections(), IsEmpty());
}

TEST_F(StreamArchiverTest, WhatCannotBeginIsRefusedBeforeAnybodyIsDialled) {
  given_archive();
  given_upstream(1, 5);
  for (const Seq first : {Seq{0}, Seq{-1}, next(kSeqMax)}) {
    stream_options.writer.from = FromSeq{first};
    const Result<void> refused = try_start();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::invalid);
  }
  storage::StreamInfo info = *archive().find_stream("repos");
  info.spec.url = "gopher://a.example";
  const auto refused = archiver::StreamArchiver::start(archive(), info, {}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::invalid);
  EXPECT_THAT(server().connections(), IsEmpty());
}

// -- stop() ---------------------------------------------------------------------------------------

TEST_F(StreamArchiverTest, StopMakesWhatIsQueuedDurable) {
  given_archive();
  given_paced_upstream(200);
  hold_writer();
  start();
  server().release(1);
  wait_until_held();
  server().release_all();
  wait_until_queued(2, 200);
  std::future<void> stopped = std::async(std::launch::async, [&] { stream_archiver().stop(); });
  server().wait_for_end(0);  // upstream goes first
  let_writer_go();
  stopped.get();
  EXPECT_EQ(state(), "stopped");
  EXPECT_EQ(status().newest, Seq{200});
  EXPECT_EQ(status().queue_bytes, 0U);
  EXPECT_EQ(differences(stored(1, 200), read_all()), "");
}

TEST_F(StreamArchiverTest, AQueueThatIsFullHoldsUpTheSocketAndLosesNothing) {
  given_archive();
  given_upstream(1, 2'000);
  stream_options.queue_bytes_max = 2'000;  // three frames
  start();
  wait_for_newest(2'000);
  stop();
  EXPECT_EQ(differences(stored(1, 2'000), read_all()), "");
  EXPECT_EQ(durable().size(), 2'000U);
}

TEST_F(StreamArchiverTest, StopEndsEveryWait) {
  given_archive();
  given_upstream(1, 5);
  server().plan_next(ConnectionPlan::never_answer());
  start();
  server().wait_for_connections(1);
  stop();  // in the handshake
  stream_options.upstream.reconnect.delay_min = std::chrono::hours(1);
  stream_options.upstream.reconnect.delay_max = std::chrono::hours(1);
  server().plan_next(ConnectionPlan::refuse(503));
  start();
  wait_for_state(StreamState::down);
  EXPECT_THAT(status().last_error, HasSubstr("HTTP 503"));
  stop();  // before the next dial
  start();
  wait_for_newest(5);
  stop();  // live, with nothing to come
}

// -- Status ---------------------------------------------------------------------------------------

TEST_F(StreamArchiverTest, FramesThatComeAndAreOldMeanCatchingUp) {
  given_archive();
  given_upstream(1, 5);
  clock.set(frame_time_ms(5) + 30'000);
  start();
  wait_for_newest(5);
  EXPECT_EQ(state(), "live");
  clock.advance(1);
  server().append(frames(6, 6));
  wait_for_newest(6);
  EXPECT_EQ(state(), "live");  // 29,991 ms
  clock.advance(1'000);
  server().append(frames(7, 7));
  wait_for_newest(7);
  EXPECT_EQ(state(), "catching_up");
  clock.advance(2'001);
  EXPECT_EQ(state(), "live");  // nothing has come for more than two seconds: that was all
}

TEST_F(StreamArchiverTest, AConnectionThatHasJustBeenMadeIsCatchingUp) {
  given_archive();
  given_upstream(1, 0);
  start();
  wait_for_state(StreamState::catching_up);
  clock.advance(2'000);
  EXPECT_EQ(state(), "live");
}

}  // namespace
}  // namespace standpipe::test
