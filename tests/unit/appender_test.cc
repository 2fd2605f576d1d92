// Ingest: duplicates, conflicts, resets, gaps, density, groups.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/appender_fixture.h"

namespace standpipe::test {
namespace {

using storage::Appender;
using storage::CommitReport;
using storage::Density;
using storage::EpochInfo;
using storage::Gap;
using storage::Judgement;
using storage::StreamKind;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::int64_t kMinuteMs = 60'000;

using AppenderTest = AppenderFixture;

void expect_accepted(Appender& appender, ByteView frame, std::int64_t received_ms) {
  const Result<Judgement> judgement = appender.offer(frame, received_ms);
  ASSERT_OK(judgement);
  EXPECT_EQ(to_string(*judgement), "accepted");
}

// -- At or below newest ---------------------------------------------------------------------------

TEST_F(AppenderTest, TheSameBytesAgainAreDroppedWithoutGrowth) {
  given_archive();
  given_frames(1, 20);
  const EpochInfo before = epoch_info();
  for (std::int64_t seq = 1; seq <= 20; ++seq) EXPECT_EQ(judged(seq), "duplicate");
  EXPECT_THAT(commit().runs, IsEmpty());
  append(21);
  EXPECT_EQ(judged(21), "duplicate") << "also while it is pending";
  const CommitReport report = commit();
  EXPECT_THAT(seqs_of(report), ElementsAre(ElementsAre(21)));
  EXPECT_EQ(epoch_info().frames, before.frames + 1);
  EXPECT_EQ(appender().stats().duplicates, 21U);
  EXPECT_THAT(*archive().quarantine(10), IsEmpty());
  EXPECT_FALSE(appender().was_reset());
  expect_model();
}

TEST_F(AppenderTest, OtherBytesForAStoredSeqAreAConflictAndTheFirstStay) {
  given_archive();
  given_frames(1, 20);
  EXPECT_EQ(judged({.seq = 5, .variant = 1}), "conflict");
  append(21);
  EXPECT_EQ(judged({.seq = 21, .variant = 1}), "conflict") << "also while it is pending";
  commit();
  const auto kept = archive().quarantine(10);
  ASSERT_OK(kept);
  ASSERT_EQ(kept->size(), 2U);
  EXPECT_EQ(to_string(kept->at(0).reason), "conflict");
  EXPECT_EQ(kept->at(0).seq, Seq{21});
  EXPECT_EQ(kept->at(1).seq, Seq{5});
  EXPECT_EQ(kept->at(1).bytes, as_text(make_frame({.seq = 5, .variant = 1})));
  EXPECT_EQ(appender().stats().conflicts, 2U);
  EXPECT_FALSE(appender().was_reset());
  EXPECT_THAT(gaps(), IsEmpty()) << "the seq is stored";
  expect_model();
}

TEST_F(AppenderTest, ASeqBelowNewestThatIsNotStoredIsLate) {
  given_archive();
  append(10);
  append(15);
  commit();
  EXPECT_EQ(judged(12), "late");
  commit();
  const auto kept = archive().quarantine(10);
  ASSERT_OK(kept);
  ASSERT_EQ(kept->size(), 1U);
  EXPECT_EQ(to_string(kept->front().reason), "late");
  EXPECT_EQ(kept->front().seq, Seq{12});
  EXPECT_EQ(appender().stats().late, 1U);
  EXPECT_THAT(gaps(), ElementsAre("10..15 upstream")) << "nothing is inserted in the middle";
  expect_model();
}

TEST_F(AppenderTest, ThreeConflictsInARowMeanThatTheUpstreamWasReset) {
  given_archive();
  given_frames(1, 20);
  EXPECT_EQ(judged({.seq = 5, .variant = 1}), "conflict");
  EXPECT_EQ(judged({.seq = 6, .variant = 1}), "conflict");
  EXPECT_EQ(judged(7), "duplicate");  // breaks the row
  EXPECT_EQ(judged({.seq = 8, .variant = 1}), "conflict");
  EXPECT_EQ(judged({.seq = 9, .variant = 1}), "conflict");
  EXPECT_FALSE(appender().was_reset());
  EXPECT_EQ(judged({.seq = 10, .variant = 1}), "conflict");
  EXPECT_TRUE(appender().was_reset());
  EXPECT_EQ(judged({.seq = 11, .variant = 1}), "refused");
  EXPECT_EQ(judged(21), "refused");
  EXPECT_EQ(appender().stats().refused, 2U);
  commit();
  EXPECT_EQ(appender().newest(), Seq{20});
  expect_model();

  ASSERT_OK(archive().begin_epoch(stream(), "upstream was reset"));
  const Result<CommitReport> after = appender().commit();
  ASSERT_FALSE(after.has_value());
  EXPECT_EQ(after.error().code, Errc::closed);
  reopen();
  model.clear();
  EXPECT_EQ(epoch(), storage::EpochNumber{2});
  given_frames(1, 5);
  expect_model();
  EXPECT_EQ(archive().streams().front().epochs.front().newest, Seq{20});
}

TEST_F(AppenderTest, AnAcceptedFrameBreaksARowOfConflicts) {
  given_archive();
  given_frames(1, 20);
  EXPECT_EQ(judged({.seq = 5, .variant = 1}), "conflict");
  EXPECT_EQ(judged({.seq = 6, .variant = 1}), "conflict");
  append(21);
  EXPECT_EQ(judged({.seq = 8, .variant = 1}), "conflict");
  EXPECT_FALSE(appender().was_reset());
}

TEST_F(AppenderTest, ASessionCountsItsConflictsFromZero) {
  given_archive();
  given_frames(1, 20);
  EXPECT_EQ(judged({.seq = 5, .variant = 1}), "conflict");
  EXPECT_EQ(judged({.seq = 6, .variant = 1}), "conflict");
  appender().begin_session();
  EXPECT_EQ(judged({.seq = 8, .variant = 1}), "conflict");
  EXPECT_FALSE(appender().was_reset());
}

TEST_F(AppenderTest, AResetOutlivesTheProcessAndEndsWithTheEpoch) {
  given_archive();
  given_frames(1, 10);
  appender().note_future_cursor();
  commit();
  crash();
  reopen();
  EXPECT_TRUE(archive().find_stream("repos")->epochs.back().was_reset);
  EXPECT_TRUE(appender().was_reset());
  const auto refused = offer(make_frame(11));
  ASSERT_OK(refused);
  EXPECT_EQ(*refused, storage::Judgement::refused);
  ASSERT_OK(archive().begin_epoch(stream(), "upstream began anew"));
  reopen();
  EXPECT_FALSE(archive().find_stream("repos")->epochs.back().was_reset);
  const auto accepted = offer(make_frame(11));
  ASSERT_OK(accepted);
  EXPECT_EQ(*accepted, storage::Judgement::accepted);
}

TEST_F(AppenderTest, LateFramesCountTowardsAReset) {
  given_archive();
  append(10);
  append(15);
  commit();
  for (std::int64_t seq : {11, 12, 13}) EXPECT_EQ(judged(seq), "late");
  EXPECT_TRUE(appender().was_reset());
}

TEST_F(AppenderTest, AConflictDatedAMinutePastNewestIsAResetAtOnce) {
  given_archive();
  given_frames(1, 20);
  const std::int64_t newest_ms = frame_time_ms(20);
  EXPECT_EQ(judged({.seq = 5, .time_ms = newest_ms + kMinuteMs - 1000, .variant = 1}), "conflict");
  EXPECT_FALSE(appender().was_reset());
  EXPECT_EQ(judged({.seq = 6, .time_ms = newest_ms + kMinuteMs + 1000, .variant = 1}), "conflict");
  EXPECT_TRUE(appender().was_reset());
}

TEST_F(AppenderTest, AConflictBeforeTheFirstCommitIsNotAResetYet) {
  given_archive();
  append_range(1, 3);
  EXPECT_EQ(judged({.seq = 2, .variant = 1}), "conflict");
  EXPECT_FALSE(appender().was_reset()) << "there is no newest to be a minute past of";
}

TEST_F(AppenderTest, ALabelerMaySignItsPastAnewWithoutAReset) {
  given_archive();
  Appender labels = given_stream("labeler", StreamKind::labels, Density::sparse);
  for (std::int64_t seq : {1, 2, 3, 4}) {
    expect_accepted(labels, make_frame(seq), clock.now_ms());
  }
  ASSERT_OK(labels.commit());
  for (std::int64_t seq : {1, 2, 3, 4}) {
    const auto judgement = labels.offer(make_frame({.seq = seq, .variant = 1}), clock.now_ms());
    ASSERT_OK(judgement);
    EXPECT_EQ(to_string(*judgement), "conflict");
  }
  EXPECT_FALSE(labels.was_reset());
}

TEST_F(AppenderTest, AFutureCursorMeansThatTheUpstreamWasReset) {
  given_archive();
  given_frames(1, 8);
  EXPECT_FALSE(appender().was_reset());
  appender().note_future_cursor();
  EXPECT_TRUE(appender().was_reset());
  EXPECT_EQ(judged(9), "refused");
}

TEST_F(AppenderTest, ASeqThatRetentionTookIsJudgedByItsTimeAlone) {
  given_archive();
  given_frames(1, 16);
  ASSERT_OK(archive().seal(stream()));
  given_frames(17, 24);
  drop_oldest();
  EXPECT_EQ(judged(5), "duplicate");
  EXPECT_EQ(judged({.seq = 6, .variant = 1}), "duplicate") << "nothing is left to compare it with";
  EXPECT_FALSE(appender().was_reset());
  const std::int64_t newest_ms = frame_time_ms(24);
  EXPECT_NE(judged({.seq = 7, .time_ms = newest_ms + kMinuteMs + 1000}), "duplicate");
  EXPECT_TRUE(appender().was_reset());
  expect_model();
}

// -- Gaps -----------------------------------------------------------------------------------------

TEST_F(AppenderTest, ASkippedSeqIsAGapOfUpstreams) {
  given_archive();
  append(10);
  append(11);
  append(15);
  const CommitReport report = commit();
  ASSERT_EQ(report.gaps.size(), 1U);
  EXPECT_EQ(to_text(report.gaps.front()), "11..15 upstream");
  EXPECT_EQ(report.gaps.front().recorded_ms, clock.now_ms());
  append(17);
  commit();
  EXPECT_THAT(gaps(), ElementsAre("11..15 upstream", "15..17 upstream"));
  EXPECT_EQ(appender().stats().gaps, 2U);
  reopen();
  EXPECT_THAT(gaps(), ElementsAre("11..15 upstream", "15..17 upstream"));
}

TEST_F(AppenderTest, TheFirstSkipOfASessionIsAnOutage) {
  given_archive();
  append(10);
  commit();
  appender().begin_session();
  append(100);
  append(105);
  commit();
  EXPECT_THAT(gaps(), ElementsAre("10..100 outage", "100..105 upstream"));
}

TEST_F(AppenderTest, ASessionThatGoesOnWithoutASkipHasNoOutage) {
  given_archive();
  append(10);
  commit();
  appender().begin_session();
  EXPECT_EQ(judged(10), "duplicate");
  append(11);
  append(15);
  commit();
  EXPECT_THAT(gaps(), ElementsAre("11..15 upstream"));
}

TEST_F(AppenderTest, GapsAreFoundByTheRangeTheyTouch) {
  given_archive();
  for (std::int64_t seq : {10, 20, 30, 40}) append(seq);
  commit();
  const auto touching = [&](std::int64_t after, std::int64_t before, std::size_t max) {
    std::vector<std::string> out;
    const auto found = archive().gaps(stream(), epoch(), Seq{after}, Seq{before}, max);
    EXPECT_OK(found);
    for (const Gap& gap : *found) out.push_back(to_text(gap));
    return out;
  };
  EXPECT_THAT(touching(0, 1000, 2), ElementsAre("10..20 upstream", "20..30 upstream"));
  EXPECT_THAT(touching(15, 17, 10), ElementsAre("10..20 upstream"));
  EXPECT_THAT(touching(20, 30, 10), ElementsAre("20..30 upstream"));
  EXPECT_THAT(touching(25, 35, 10), ElementsAre("20..30 upstream", "30..40 upstream"));
  EXPECT_THAT(touching(40, 50, 10), IsEmpty());
  EXPECT_THAT(touching(0, 10, 10), IsEmpty());
}

TEST_F(AppenderTest, BeginAfterSaysWhereAnEmptyArchiveStarts) {
  given_archive();
  ASSERT_OK(appender().begin_after(Seq{100}));
  commit();
  EXPECT_EQ(appender().origin(), Seq{100});
  EXPECT_EQ(appender().floor(), Seq{100});
  append(105);
  commit();
  EXPECT_EQ(gaps().size(), 1U);
  EXPECT_EQ(gaps().front().substr(0, 9), "100..105 ");
  EXPECT_EQ(judged(90), "duplicate") << "below the origin: never ours to keep";
  const Result<void> again = appender().begin_after(Seq{200});
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, Errc::invalid);
  reopen();
  EXPECT_EQ(appender().origin(), Seq{100});
}

TEST_F(AppenderTest, WithoutBeginAfterTheFirstFrameIsWhereItStarts) {
  given_archive();
  append(500);
  commit();
  EXPECT_EQ(appender().origin(), Seq{499});
  EXPECT_THAT(gaps(), IsEmpty());
}

// -- Density --------------------------------------------------------------------------------------

TEST_F(AppenderTest, ASparseStreamHasNoGaps) {
  given_archive();
  Appender sparse = given_stream("pds", StreamKind::repos, Density::sparse);
  for (std::int64_t seq : {10, 20, 30}) expect_accepted(sparse, make_frame(seq), clock.now_ms());
  ASSERT_OK(sparse.commit());
  EXPECT_THAT(gaps_of(other()), IsEmpty());
}

TEST_F(AppenderTest, ADenseStreamRecordsEverySkipHoweverMany) {
  given_archive();
  Appender dense = given_stream("relay", StreamKind::repos, Density::dense);
  for (std::int64_t seq = 10; seq <= 2000; seq += 10) {
    expect_accepted(dense, make_frame(seq), clock.now_ms());
  }
  ASSERT_OK(dense.commit());
  EXPECT_EQ(gaps_of(other()).size(), 199U);
}

TEST_F(AppenderTest, AutomaticDensityFindsASparseStreamOut) {
  given_archive();
  Appender automatic = given_stream("unknown", StreamKind::repos, Density::automatic);
  for (std::int64_t seq = 10; seq <= 2000; seq += 10) {
    expect_accepted(automatic, make_frame(seq), clock.now_ms());
    ASSERT_OK(automatic.commit());
  }
  const std::size_t recorded = gaps_of(other()).size();
  EXPECT_GE(recorded, 63U) << "until 64 steps were seen";
  EXPECT_LE(recorded, 65U);
}

TEST_F(AppenderTest, AutomaticDensityTakesALabelerForSparse) {
  given_archive();
  Appender labeler = given_stream("labeler", StreamKind::labels, Density::automatic);
  for (std::int64_t seq : {10, 20, 30}) expect_accepted(labeler, make_frame(seq), clock.now_ms());
  ASSERT_OK(labeler.commit());
  EXPECT_THAT(gaps_of(other()), IsEmpty());
}

TEST_F(AppenderTest, AutomaticDensityTakesARelayWithSomeSkipsForDense) {
  given_archive();
  Appender automatic = given_stream("unknown", StreamKind::repos, Density::automatic);
  std::int64_t seq = 0;
  for (int i = 0; i < 400; ++i) {
    seq += i % 8 == 0 ? 2 : 1;  // one in eight skips
    expect_accepted(automatic, make_frame(seq), clock.now_ms());
  }
  ASSERT_OK(automatic.commit());
  EXPECT_EQ(gaps_of(other()).size(), 49U);  // the very first frame is the origin
}

// -- Groups and commits ---------------------------------------------------------------------------

TEST_F(AppenderTest, AGroupHasAtMostSixtyFourFrames) {
  options.group_frames_max = 64;
  given_archive();
  append_range(1, 130);
  EXPECT_EQ(appender().pending_frames(), 130U);
  const CommitReport report = commit();
  ASSERT_EQ(report.runs.size(), 3U);
  EXPECT_EQ(report.runs[0]->frames.size(), 64U);
  EXPECT_EQ(report.runs[1]->frames.size(), 64U);
  EXPECT_EQ(report.runs[2]->frames.size(), 2U);
  EXPECT_EQ(appender().pending_frames(), 0U);
  expect_model();
}

TEST_F(AppenderTest, AGroupEndsBeforeItsBytesAreTooManyAndALargeFrameStandsAlone) {
  options.group_bytes_max = 256 << 10;
  given_archive();
  for (std::int64_t seq : {1, 2, 3}) append({.seq = seq, .blocks_bytes = 100'000});
  append({.seq = 4, .blocks_bytes = 300'000});
  append({.seq = 5, .blocks_bytes = 100});
  append({.seq = 6, .blocks_bytes = 100});
  EXPECT_THAT(seqs_of(commit()),
              ElementsAre(ElementsAre(1, 2), ElementsAre(3), ElementsAre(4), ElementsAre(5, 6)));
  expect_model();
}

TEST_F(AppenderTest, ACommitReportsWhatASubscriberWouldBeSent) {
  given_archive();
  append(1);
  append({.seq = 2, .blocks_bytes = 70'000});
  const CommitReport report = commit();
  ASSERT_EQ(report.runs.size(), 1U);
  const storage::WireRun& run = *report.runs.front();
  EXPECT_TRUE(equal(run.frame_of(0), make_frame(1)));
  EXPECT_TRUE(equal(run.frame_of(1), make_frame({.seq = 2, .blocks_bytes = 70'000})));
  EXPECT_EQ(run.received_first_ms, clock.now_ms());
  EXPECT_EQ(run.epoch, epoch());
}

TEST_F(AppenderTest, ACommitOfNothingWritesNothing) {
  given_archive();
  given_frames(1, 8);
  const std::uint64_t written = archive().stats().bytes_written_log;
  const CommitReport report = commit();
  EXPECT_THAT(report.runs, IsEmpty());
  EXPECT_EQ(archive().stats().bytes_written_log, written);
}

TEST_F(AppenderTest, WhatWasNotCommittedIsNotThere) {
  given_archive();
  given_frames(1, 8);
  append_range(9, 12);
  EXPECT_EQ(appender().newest(), Seq{8});
  EXPECT_EQ(archive().newest(stream(), epoch()), Seq{8});
  expect_model();
  crash();
  reopen();
  expect_model();
}

TEST_F(AppenderTest, AStreamHasOneAppender) {
  given_archive();
  append(1);
  const auto second = archive().appender(stream());
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Errc::busy);
}

}  // namespace
}  // namespace standpipe::test
