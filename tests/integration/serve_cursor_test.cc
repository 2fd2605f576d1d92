// Where a subscriber begins and where it ends: cursor, time, until.
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "schema/datetime.h"
#include "tests/support/serve_fixture.h"

namespace standpipe::test {
namespace {

class ServeCursor : public ServeFixture {
 protected:
  // An upstream that refuses to be dialled until open_upstream(); `first_frames` of what it holds
  // it gives away before, on its first connection.
  void given_closed_upstream(UpstreamOptions options, std::size_t first_frames = 0) {
    is_open_ = std::make_shared<std::atomic<bool>>(false);
    options.plan = [is_open = is_open_, first_frames](std::size_t number, const ConnectionRecord&) {
      if (is_open->load()) return ConnectionPlan();
      if (number == 0 && first_frames > 0) return ConnectionPlan().cut_after(first_frames);
      return ConnectionPlan::refuse(503);
    };
    given_upstream(std::move(options));
  }
  void open_upstream() { is_open_->store(true); }

 private:
  std::shared_ptr<std::atomic<bool>> is_open_;
};

// -- Inside ---------------------------------------------------------------------------------------

TEST_F(ServeCursor, WithoutACursorItIsLive) {
  given_upstream(holding(1, 20));
  given_mirror();
  wait_until_durable(20);
  std::vector<Subscriber> subscribers;
  for (const char* query : {"", "?", "?cursor=", "?cursor", "?cursor=&", "?cursor=20"}) {
    SCOPED_TRACE(query);
    subscribers.push_back(subscribe(query));
    ASSERT_TRUE(subscribers.back().is_upgraded());
    expect_nothing_more(subscribers.back());
  }
  upstream().append(upstream_frames(21, 23));
  for (Subscriber& subscriber : subscribers) expect_made(subscriber.read_frames(3), 21, 23);
}

TEST_F(ServeCursor, ZeroIsTheOldestAndSaysNothingElse) {
  given_served(1'000, 1'050);
  Subscriber subscriber = subscribe("?cursor=0");
  expect_made(subscriber.read_frames(51), 1'000, 1'050);
  expect_nothing_more(subscriber);
}

TEST_F(ServeCursor, InsideItIsWhatComesBehindIt) {
  given_served(1'000, 1'050);
  for (const std::int64_t cursor : {1'000, 1'001, 1'024, 1'049}) {
    SCOPED_TRACE(cursor);
    Subscriber subscriber = subscribe("?cursor=" + std::to_string(cursor));
    expect_made(subscriber.read_until_seq(1'050), cursor + 1, 1'050);
    expect_nothing_more(subscriber);
  }
  Subscriber at_newest = subscribe("?cursor=1050");
  expect_nothing_more(at_newest);
}

TEST_F(ServeCursor, InsideAGapItIsTheNextFrameThatIsThere) {
  std::vector<Bytes> frames = made_frames(1, 10);
  for (const Bytes& frame : made_frames(100, 110)) frames.push_back(frame);
  given_imported(frames);
  given_server();
  for (const char* query : {"?cursor=10", "?cursor=11", "?cursor=55", "?cursor=99"}) {
    SCOPED_TRACE(query);
    Subscriber subscriber = subscribe(query);
    expect_made(subscriber.read_frames(11), 100, 110);
    expect_nothing_more(subscriber);
  }
}

TEST_F(ServeCursor, InclusiveModeBeginsWithTheCursorItself) {
  given_served(1'000, 1'050, {"--cursor-mode", "inclusive"});
  Subscriber inside = subscribe("?cursor=1030");
  expect_made(inside.read_until_seq(1'050), 1'030, 1'050);
  // The frame after newest is what comes next: not from the future.
  Subscriber next = subscribe("?cursor=1051");
  expect_nothing_more(next);
  Subscriber oldest = subscribe("?cursor=1000");  // judged as 999, the floor
  expect_made(oldest.read_until_seq(1'050), 1'000, 1'050);
  Subscriber zero = subscribe("?cursor=0");
  expect_made(zero.read_until_seq(1'050), 1'000, 1'050);
  Subscriber outdated = subscribe("?cursor=999");
  EXPECT_EQ(outdated.next_frame(), outdated_cursor_frame());
  expect_made(outdated.read_until_seq(1'050), 1'000, 1'050);
  Subscriber future = subscribe("?cursor=1052");
  expect_error_and_1008(future, future_cursor_frame(), "FutureCursor");
}

// -- Outside --------------------------------------------------------------------------------------

TEST_F(ServeCursor, BelowTheFloorOneInfoComesBeforeTheOldest) {
  given_served(1'000, 1'050);
  for (const char* query : {"?cursor=1", "?cursor=5", "?cursor=998"}) {
    SCOPED_TRACE(query);
    Subscriber subscriber = subscribe(query);
    EXPECT_EQ(subscriber.next_frame(), outdated_cursor_frame());
    expect_made(subscriber.read_frames(51), 1'000, 1'050);
    expect_nothing_more(subscriber);
  }
  Subscriber at_floor = subscribe("?cursor=999");
  expect_made(at_floor.read_frames(51), 1'000, 1'050);
  expect_nothing_more(at_floor);
}

TEST_F(ServeCursor, WhereAnArchiveWasToldToBeginIsItsFloor) {
  given_upstream(holding(1, 60));
  given_mirror({"--from", "41"});
  wait_until_durable(60);
  Subscriber at_floor = subscribe("?cursor=40");
  expect_made(at_floor.read_frames(20), 41, 60);
  Subscriber below = subscribe("?cursor=39");
  EXPECT_EQ(below.next_frame(), outdated_cursor_frame());
  expect_made(below.read_frames(20), 41, 60);
}

TEST_F(ServeCursor, AboveNewestIsRefused) {
  given_served(1'000, 1'050);
  for (const char* query : {"?cursor=1051", "?cursor=9007199254740991"}) {
    SCOPED_TRACE(query);
    Subscriber subscriber = subscribe(query);
    ASSERT_TRUE(subscriber.is_upgraded());
    expect_error_and_1008(subscriber, future_cursor_frame(), "FutureCursor");
  }
}

TEST_F(ServeCursor, WhileCatchingUpAFutureCursorIsServedOnceNewestGetsThere) {
  given_closed_upstream(holding(1, 50), 50);
  given_mirror();
  wait_until_durable(50);
  Subscriber ahead = subscribe("?cursor=60");
  Subscriber beyond = subscribe("?cursor=70");
  expect_nothing_more(ahead);
  expect_nothing_more(beyond);
  upstream().append(upstream_frames(51, 80));
  open_upstream();
  expect_made(ahead.read_until_seq(80), 61, 80);
  expect_made(beyond.read_until_seq(80), 71, 80);
  upstream().append(81, make_frame(81));
  EXPECT_EQ(ahead.next_frame(), make_frame(81));
}

TEST_F(ServeCursor, WhileCatchingUpAFutureCursorIsRefusedWhenItsTimeIsOver) {
  given_closed_upstream(holding(1, 50), 50);
  given_mirror({"--future-cursor-wait", "200ms"});
  wait_until_durable(50);
  Subscriber subscriber = subscribe("?cursor=60");
  expect_error_and_1008(subscriber, future_cursor_frame(), "FutureCursor");
}

TEST_F(ServeCursor, OnceCaughtUpAFutureCursorIsRefusedAtOnce) {
  UpstreamOptions options;
  FrameSpec now;
  now.time_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                    std::chrono::system_clock::now().time_since_epoch())
                    .count() +
                600'000;  // as if just made, however slow this machine is
  for (now.seq = 1; now.seq <= 5; ++now.seq) options.frames.push_back({now.seq, make_frame(now)});
  given_upstream(std::move(options));
  // Nobody who waits would be refused within the deadline of a test.
  given_mirror({"--future-cursor-wait", "1h"});
  wait_until_durable(5);
  Subscriber subscriber = subscribe("?cursor=6");
  expect_error_and_1008(subscriber, future_cursor_frame(), "FutureCursor");
}

TEST_F(ServeCursor, OfAnEmptyArchiveAFutureCursorWaits) {
  given_closed_upstream(holding(1, 50));
  given_mirror();
  Subscriber live = subscribe();
  Subscriber oldest = subscribe("?cursor=0");
  Subscriber ahead = subscribe("?cursor=40");
  for (Subscriber* one : {&live, &oldest, &ahead}) expect_nothing_more(*one);
  open_upstream();
  expect_made(live.read_until_seq(50), 1, 50);
  expect_made(oldest.read_until_seq(50), 1, 50);
  expect_made(ahead.read_until_seq(50), 41, 50);
}

TEST_F(ServeCursor, OfAnEmptyArchiveThatStaysEmptyAFutureCursorIsRefused) {
  given_closed_upstream({});
  given_mirror({"--future-cursor-wait", "200ms"});
  Subscriber subscriber = subscribe("?cursor=40");
  expect_error_and_1008(subscriber, future_cursor_frame(), "FutureCursor");
  stop();
  given_server({"--future-cursor-wait", "200ms"});
  Subscriber of_reader = subscribe("?cursor=40");
  expect_error_and_1008(of_reader, future_cursor_frame(), "FutureCursor");
}

TEST_F(ServeCursor, OfAnEpochThatIsOverAFutureCursorIsRefusedAtOnce) {
  given_imported(made_frames(1, 10));
  const Outcome begun = run_standpipe(
      {"epoch", "new", "--data", archive().string(), "--stream", "repos", "--reason", "a test"});
  ASSERT_EQ(begun.status, 0) << begun.err;
  given_closed_upstream({});
  given_mirror({"--future-cursor-wait", "1h", "--change-upstream"});
  Subscriber newest = subscribe("?cursor=11");
  expect_nothing_more(newest);
  Subscriber over = Subscriber::connect(port(), "/stream/repos/epoch/1" + repos("?cursor=11"));
  expect_error_and_1008(over, future_cursor_frame(), "FutureCursor");
}

TEST_F(ServeCursor, WhoLeavesWhileItsCursorWaitsIsForgotten) {
  given_closed_upstream(holding(1, 50), 50);
  given_mirror({"--connections-per-address", "1"});
  wait_until_durable(50);
  subscribe("?cursor=60").reset();
  while (!subscribe("?cursor=60").is_upgraded()) {  // until the one place is free again
  }
}

TEST_F(ServeCursor, WhatIsNoCursorIsRefusedBeforeTheUpgrade) {
  given_served(1, 10);
  for (const char* cursor : {"-1", "-0", "abc", "1.5", "1e3", "0x10", "+1", "%2B1", "%201", "1%20",
                             "9007199254740992", "18446744073709551616", "%00", "1%00"}) {
    expect_refusal(repos(std::string("?cursor=") + cursor), 400, "InvalidRequest", "cursor");
  }
  expect_refusal(repos("?cursor=" + std::string(5'000, '9')), 400, "InvalidRequest", "cursor");
  expect_refusal(repos("?cursor=1&cursor=2"), 400, "InvalidRequest", "cursor");
  expect_refusal(repos("?cursor=%zz"), 400, "InvalidRequest", "cursor");
  // Zeros in front change nothing, however many.
  Subscriber zeros = subscribe("?cursor=" + std::string(300, '0') + "7");
  expect_made(zeros.read_frames(3), 8, 10);
}

// -- By time --------------------------------------------------------------------------------------

TEST_F(ServeCursor, ATimeStartsAtTheFirstGroupThatMayHoldIt) {
  given_served(1, 2'000);
  const std::string time = format_datetime_ms(frame_time_ms(1'500));
  Subscriber subscriber = subscribe("?time=" + time);
  const std::vector<Bytes> frames = subscriber.read_until_seq(2'000);
  const std::int64_t first = 2'001 - static_cast<std::int64_t>(frames.size());
  EXPECT_LE(first, 1'500);
  EXPECT_GT(first, 1'300);  // half of 64 frames and a group or two before
  expect_made(frames, first, 2'000);
  // The same moment in another zone, its + as it is, encoded, and as forms have it.
  const std::string local = format_datetime_ms(frame_time_ms(1'500) + 7'200'000);
  for (const char* zone : {"+02:00", "%2B02:00", "%2b02%3A00", "%2002:00"}) {
    SCOPED_TRACE(zone);
    Subscriber other = subscribe("?time=" + local.substr(0, local.size() - 1) + zone);
    EXPECT_EQ(other.next_frame(), make_frame(first));
  }
}

TEST_F(ServeCursor, ATimeBeforeTheOldestIsAsAnOutdatedCursor) {
  given_served(1'000, 1'050);
  Subscriber subscriber = subscribe("?time=2020-01-01T00:00:00Z");
  EXPECT_EQ(subscriber.next_frame(), outdated_cursor_frame());
  expect_made(subscriber.read_frames(51), 1'000, 1'050);
  expect_nothing_more(subscriber);
}

TEST_F(ServeCursor, ATimeAfterTheNewestIsLive) {
  given_upstream(holding(1, 20));
  given_mirror();
  wait_until_durable(20);
  Subscriber subscriber = subscribe("?time=2100-01-01T00:00:00Z");
  expect_nothing_more(subscriber);
  upstream().append(upstream_frames(21, 22));
  expect_made(subscriber.read_frames(2), 21, 22);
}

TEST_F(ServeCursor, ATimeThatIsNoneOrComesWithACursorIsRefused) {
  given_served(1, 10);
  for (const char* time : {"yesterday", "2026-01-01", "2026-01-01T00:00:00", "1767225600",
                           "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z"}) {
    expect_refusal(repos(std::string("?time=") + time), 400, "InvalidRequest", "time");
  }
  expect_refusal(repos("?time=2026-01-01T00:00:00Z&cursor=1"), 400, "InvalidRequest", "cursor");
  expect_refusal(repos("?cursor=0&time=2026-01-01T00:00:00Z"), 400, "InvalidRequest", "cursor");
}

// -- Until ----------------------------------------------------------------------------------------

TEST_F(ServeCursor, UntilEndsBehindThatSeq) {
  std::vector<Bytes> frames = made_frames(1, 200);
  for (const Bytes& frame : made_frames(300, 400)) frames.push_back(frame);
  given_imported(frames);
  given_server();
  struct Row {
    const char* query;
    std::int64_t first, last;
  };
  for (const Row& row :
       {Row{"?cursor=0&until=200", 1, 200}, Row{"?cursor=10&until=11", 11, 11},
        Row{"?cursor=150&until=250", 151, 200},  // in a gap
        Row{"?cursor=200&until=299", 1, 0},      // nothing but a gap
        Row{"?cursor=250&until=300", 300, 300}, Row{"?cursor=350&until=400", 351, 400},  // newest
        Row{"?cursor=0&until=0", 1, 0}, Row{"?cursor=100&until=50", 1, 0},  // behind us
        Row{"?cursor=400&until=400", 1, 0}}) {
    SCOPED_TRACE(row.query);
    Subscriber subscriber = subscribe(row.query);
    expect_made(subscriber.read_frames(static_cast<std::size_t>(row.last - row.first + 1)),
                row.first, row.last);
    expect_close(subscriber, 1000);
  }
  Subscriber by_time = subscribe("?time=2020-01-01T00:00:00Z&until=3");
  EXPECT_EQ(by_time.next_frame(), outdated_cursor_frame());
  expect_made(by_time.read_frames(3), 1, 3);
  expect_close(by_time, 1000);
}

TEST_F(ServeCursor, UntilEndsWhereAFilterLetsNothingThrough) {
  given_served(1, 3'000);
  for (const char* query : {"?cursor=0&until=2500", "?cursor=0&until=3000"}) {
    SCOPED_TRACE(query);
    Subscriber subscriber = subscribe(std::string(query) + "&wantedCollections=com.example.none");
    expect_close(subscriber, 1000);
  }
}

TEST_F(ServeCursor, UntilWaitsLiveForWhatIsStillToCome) {
  given_upstream(holding(1, 20));
  given_mirror();
  wait_until_durable(20);
  Subscriber at = subscribe("?cursor=10&until=25");
  Subscriber in_gap = subscribe("?cursor=20&until=28");
  Subscriber filtered = subscribe("?cursor=20&until=25&wantedCollections=com.example.none");
  expect_made(at.read_frames(10), 11, 20);
  for (Subscriber* one : {&at, &in_gap, &filtered}) expect_nothing_more(*one);
  upstream().append(upstream_frames(21, 24));
  expect_made(at.read_frames(4), 21, 24);
  expect_made(in_gap.read_frames(4), 21, 24);
  for (Subscriber* one : {&at, &in_gap, &filtered}) expect_nothing_more(*one);
  upstream().append(25, make_frame(25));
  EXPECT_EQ(at.next_frame(), make_frame(25));
  expect_close(at, 1000);
  expect_close(filtered, 1000);
  EXPECT_EQ(in_gap.next_frame(), make_frame(25));
  expect_nothing_more(in_gap);
  upstream().append(40, make_frame(40));
  expect_close(in_gap, 1000);
}

// Each ends while frames beyond its end become durable; none may lose one for that.
TEST_F(ServeCursor, UntilLosesNothingWhileFramesArePublished) {
  given_upstream(holding(1, 100));
  given_mirror({"--live-bytes", "256KiB"});
  wait_until_durable(100);
  std::vector<Subscriber> subscribers;
  for (std::int64_t until = 101; until <= 3'000; until += 29) {
    subscribers.push_back(subscribe("?cursor=90&until=" + std::to_string(until)));
  }
  for (std::int64_t next = 101; next <= 3'100; next += 10) {
    upstream().append(upstream_frames(next, next + 9));
  }
  std::int64_t until = 101;
  for (Subscriber& subscriber : subscribers) {
    SCOPED_TRACE(until);
    Received end;
    expect_made(subscriber.read_to_end(&end), 91, until);
    EXPECT_EQ(describe(end), "close 1000 \"\"");
    until += 29;
  }
}

TEST_F(ServeCursor, UntilNeedsAPlaceToStartFrom) {
  given_served(1, 10);
  expect_refusal(repos("?until=5"), 400, "InvalidRequest", "until");
  expect_refusal(repos("?cursor=&until=5"), 400, "InvalidRequest", "until");
  for (const char* until : {"-1", "x", "9007199254740992"}) {
    expect_refusal(repos(std::string("?cursor=0&until=") + until), 400, "InvalidRequest", "until");
  }
}

}  // namespace
}  // namespace standpipe::test
