// From the archive to memory and back: whoever starts anywhere gets every frame once, in order.

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/bulk_frames.h"
#include "tests/support/mirror_fixture.h"
#include "tests/support/scale.h"

namespace standpipe::test {
namespace {

// Small partitions, a live log of a few hundred frames, small groups: every edge is near.
const std::vector<std::string> kSmall{
    "--live-bytes",          "256KiB", "--partition-bytes", "200KiB", "--partition-span", "1s",
    "--partition-bytes-min", "50KiB",  "--cache-bytes",     "1MiB"};

// That `frames` are exactly make_frame(first) .. make_frame(last).
void expect_frames(const std::vector<Bytes>& frames, std::int64_t first, std::int64_t last) {
  ASSERT_EQ(frames.size(), static_cast<std::size_t>(std::max<std::int64_t>(last - first + 1, 0)));
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const std::int64_t seq = first + static_cast<std::int64_t>(i);
    ASSERT_EQ(frames[i], make_frame(seq)) << "frame " << i << " is not seq " << seq;
  }
}

class MirrorCutover : public MirrorFixture {
 protected:
  // Reads from a cursor to `last` on a thread of its own, and checks each frame.
  struct Reading {
    std::int64_t first = 1;
    std::string query;
    std::thread thread;
    std::vector<Bytes> frames;
    std::string failure;
  };
  void begin(Reading& reading, std::int64_t last) {
    reading.thread = std::thread([this, &reading, last] {
      try {
        Subscriber subscriber = subscribe(reading.query);
        reading.frames = subscriber.read_until_seq(last);
      } catch (const std::exception& error) {
        reading.failure = error.what();
      }
    });
  }
};

TEST_F(MirrorCutover, SubscribersThatStartAnywhereGetEverythingWhileIngestRuns) {
  const std::int64_t kLast = static_cast<std::int64_t>(scaled(20'000));
  given_upstream(holding(1, kLast / 2));
  given_mirror(kSmall);
  wait_until_durable(kLast / 4);

  Random random(7);
  std::vector<Reading> readings(24);
  for (std::size_t i = 0; i < readings.size(); ++i) {
    Reading& reading = readings[i];
    // At 0, at random places of what is durable, and at what becomes durable at this moment.
    const std::int64_t durable = health()["streams"][0]["seq"];
    std::int64_t cursor =
        i == 0 ? 0 : static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(durable)));
    if (i % 5 == 1) cursor = durable;
    reading.first = cursor + 1;
    reading.query = "?cursor=" + std::to_string(cursor);
    begin(reading, kLast);
  }
  std::int64_t next = kLast / 2 + 1;
  while (next <= kLast) {
    const std::int64_t last = std::min(kLast, next + 99);
    upstream().append(upstream_frames(next, last));
    next = last + 1;
  }
  for (Reading& reading : readings) {
    SCOPED_TRACE(reading.query);
    reading.thread.join();
    ASSERT_EQ(reading.failure, "");
    expect_frames(reading.frames, reading.first, kLast);
  }
}

TEST_F(MirrorCutover, EveryEdgeOfAPartitionIsAsGoodAPlaceAsAnyOther) {
  given_upstream(holding(1, 2'000));
  given_mirror(kSmall);
  wait_until_durable(2'000);
  const Outcome inspected = run_standpipe({"inspect", "--data", archive().string(), "--json"});
  ASSERT_EQ(inspected.status, 0) << inspected.err;
  const auto described = nlohmann::json::parse(inspected.out);
  std::vector<std::int64_t> edges;
  for (const auto& stream : described["streams"]) {
    for (const auto& epoch : stream["epochs"]) {
      for (const auto& partition : epoch["partitions"]) {
        edges.push_back(partition["first"]);
        edges.push_back(partition["last"]);
      }
    }
  }
  ASSERT_GE(edges.size(), 8U) << inspected.out;
  for (const std::int64_t edge : edges) {
    for (const std::int64_t cursor : {edge - 1, edge, edge + 1}) {
      if (cursor < 0 || cursor >= 2'000) continue;
      SCOPED_TRACE(cursor);
      Subscriber subscriber = subscribe("?cursor=" + std::to_string(cursor));
      expect_frames(subscriber.read_until_seq(2'000), cursor + 1, 2'000);
    }
  }
}

// Not by the archive's clock alone, which is a median and lags behind by half its window.
TEST_F(MirrorCutover, ByTimeItBeginsWithTheFirstFrameOfThatTime) {
  given_upstream(holding(1, 1'000));
  given_mirror(kSmall);
  wait_until_durable(1'000);
  for (const std::int64_t seq : {2, 64, 65, 300, 777, 999, 1'000}) {
    SCOPED_TRACE(seq);
    Subscriber subscriber = subscribe("?time=" + format_datetime_ms(frame_time_ms(seq)));
    expect_frames(subscriber.read_until_seq(1'000), seq, 1'000);
  }
}

// Nobody waits for the next event to get the last one.
TEST_F(MirrorCutover, TheLastEventOfAStreamThatGoesQuietIsDeliveredAtOnce) {
  given_upstream(holding(1, 500));
  given_mirror(kSmall);
  wait_until_durable(500);
  Subscriber from_start = subscribe("?cursor=0");
  Subscriber live = subscribe();
  expect_frames(from_start.read_until_seq(500), 1, 500);
  upstream().append(501, make_frame(501));
  expect_frames(from_start.read_frames(1), 501, 501);
  expect_frames(live.read_frames(1), 501, 501);
  EXPECT_TRUE(live.read_until_pong().empty());
}

// A live log of two hundred frames, and a reader that stands still while it turns over many times.
TEST_F(MirrorCutover, WhoFallsOutOfMemoryComesBackAsOftenAsItTakes) {
  given_upstream(holding(1, 10));
  given_mirror({"--live-bytes", "64KiB", "--cache-bytes", "1MiB"});
  wait_until_durable(10);
  SubscriberOptions small;
  small.receive_buffer = 32 << 10;
  Subscriber subscriber = subscribe("?cursor=0", small);
  expect_frames(subscriber.read_frames(10), 1, 10);
  std::int64_t durable = 10;
  std::int64_t read = 10;
  const std::size_t rounds = scaled(12);
  for (std::size_t round = 0; round < rounds; ++round) {
    // More than the kernel takes and the log holds, so that the reader is left in mid-frame ...
    const std::int64_t last = durable + 2'000;
    upstream().append(upstream_frames(durable + 1, last));
    wait_until_durable(last);
    durable = last;
    // ... and then a part of it, or all, so that it comes back or does not.
    const std::int64_t until = round % 3 == 2 || round + 1 == rounds ? durable : read + 700;
    expect_frames(subscriber.read_until_seq(until), read + 1, until);
    read = until;
  }
  EXPECT_TRUE(subscriber.read_until_pong().empty());
}

// One frame larger than all buffers on its way: when its segment retires the subscriber is inside.
TEST_F(MirrorCutover, AFrameWhoseSegmentRetiresAmidItIsFinishedFromTheArchive) {
  given_upstream(holding(1, 5));
  given_mirror({"--live-bytes", "64KiB"});
  wait_until_durable(5);
  SubscriberOptions small;
  small.receive_buffer = 32 << 10;
  Subscriber subscriber = subscribe("", small);
  EXPECT_TRUE(subscriber.read_until_pong().empty());
  FrameSpec large;
  large.seq = 6;
  large.blocks_bytes = 5'000'000;
  upstream().append(6, make_frame(large));
  wait_until_durable(6);
  upstream().append(upstream_frames(7, 1'000));
  wait_until_durable(1'000);
  EXPECT_EQ(subscriber.next_frame(), make_frame(large));
  expect_frames(subscriber.read_until_seq(1'000), 7, 1'000);
}

// The same archive, served by a process that only reads it.
TEST_F(MirrorCutover, AServerOfAnArchiveAtRestGivesTheSameToEverybody) {
  given_upstream(holding(1, 1'000));
  given_mirror(kSmall);
  wait_until_durable(1'000);
  stop();
  given_server({"--cache-bytes", "1MiB"});
  for (int i = 0; i < 3; ++i) {
    Subscriber subscriber = subscribe("?cursor=0");
    expect_frames(subscriber.read_until_seq(1'000), 1, 1'000);
    EXPECT_TRUE(subscriber.read_until_pong().empty());
  }
}

}  // namespace
}  // namespace standpipe::test
