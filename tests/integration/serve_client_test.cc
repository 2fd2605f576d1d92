// What a subscriber may send, how fast it must read, and how it is ended.
#include <csignal>
#include <string>
#include <vector>

#include "tests/support/serve_fixture.h"

namespace standpipe::test {
namespace {

constexpr std::size_t kLargeBlocks = 20'000;
constexpr std::int64_t kManyLarge = 600;  // 12 MB: more than all buffers of a connection hold

class ServeClient : public ServeFixture {
 protected:
  static Bytes large_frame(std::int64_t seq) {
    return make_frame(FrameSpec{.seq = seq, .blocks_bytes = kLargeBlocks});
  }
  void given_large(std::int64_t last, const std::vector<std::string>& arguments) {
    std::vector<Bytes> frames;
    for (std::int64_t seq = 1; seq <= last; ++seq) frames.push_back(large_frame(seq));
    given_imported(frames);
    given_server(arguments);
  }
  // That `frames` are the ones from `first` on, as far as they go.
  static void expect_large(const std::vector<Bytes>& frames, std::int64_t first = 1) {
    for (std::size_t i = 0; i < frames.size(); ++i) {
      ASSERT_EQ(frames[i], large_frame(first + static_cast<std::int64_t>(i))) << i;
    }
  }
  static SubscriberOptions small_buffers() {
    SubscriberOptions options;
    options.receive_buffer = 16 << 10;
    options.read_bytes = 4 << 10;
    return options;
  }
  // Until this many from one address are too many no more.
  void wait_for_room() const {
    const Deadline deadline = deadline_from_now();
    while (!subscribe().is_upgraded()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "waited in vain for room";
    }
  }
  // A frame that breaks the rules is answered by a close frame with this code.
  void expect_ended_by(const Bytes& bytes, std::uint16_t code, const std::string& what) {
    SCOPED_TRACE(what);
    Subscriber subscriber = subscribe();
    ASSERT_TRUE(subscriber.send_raw(bytes));
    expect_close(subscriber, code);
  }
  static Bytes client_frame(std::size_t bytes, const ClientFrameOptions& options) {
    Bytes frame;
    append_client_frame(frame, Bytes(bytes), options);
    return frame;
  }
};

// -- What it sends --------------------------------------------------------------------------------

TEST_F(ServeClient, TextAndBinaryUpTo64KiBAreDiscarded) {
  given_served(1, 10);
  Subscriber subscriber = subscribe("?cursor=0");
  EXPECT_TRUE(subscriber.send_text("hello"));
  EXPECT_TRUE(subscriber.send_text("\xff\xfe is no UTF-8"));
  EXPECT_TRUE(subscriber.send_binary(0));
  EXPECT_TRUE(subscriber.send_binary(65'536));
  // In fragments, with a ping between them.
  EXPECT_TRUE(subscriber.send_raw(client_frame(32'768, {.is_final = false})));
  EXPECT_TRUE(subscriber.send_ping("between"));
  EXPECT_TRUE(subscriber.send_raw(client_frame(32'768, {.opcode = 0})));
  expect_made(subscriber.read_frames(10), 1, 10);
  expect_nothing_more(subscriber);
  EXPECT_EQ(subscriber.pongs().front(), hex("'between'"));
}

TEST_F(ServeClient, AboveThatItIsEndedBy1009) {
  given_served(1, 10);
  expect_ended_by(client_frame(65'537, {}), 1009, "binary");
  expect_ended_by(client_frame(65'537, {.opcode = kOpcodeText}), 1009, "text");
  expect_ended_by(client_frame(40'000, {.is_final = false}) + client_frame(40'000, {.opcode = 0}),
                  1009, "in fragments");
  // The length alone is enough, and what is behind it is not read.
  expect_ended_by(hex("82ff 7fffffffffffffff 00000000"), 1009, "the greatest length there is");
}

TEST_F(ServeClient, WhatBreaksTheFramingIsEndedBy1002) {
  given_served(1, 10);
  expect_ended_by(client_frame(5, {.is_masked = false}), 1002, "unmasked");
  for (const unsigned opcode : {3U, 7U, 11U, 15U}) {
    expect_ended_by(client_frame(0, {.opcode = opcode}), 1002, "a reserved opcode");
  }
  for (const unsigned bit : {0x40U, 0x20U, 0x10U}) {
    expect_ended_by(client_frame(5, {.reserved = bit}), 1002, "a reserved bit");
  }
  expect_ended_by(client_frame(126, {.opcode = kOpcodePing}), 1002, "a long ping");
  expect_ended_by(client_frame(5, {.opcode = kOpcodePing, .is_final = false}), 1002,
                  "a fragmented ping");
  expect_ended_by(client_frame(1, {.opcode = kOpcodeClose}), 1002, "half a close code");
  expect_ended_by(client_frame(2, {.opcode = kOpcodeClose}), 1002, "the close code 0");
  expect_ended_by(client_frame(5, {.opcode = 0}), 1002, "a continuation of nothing");
  expect_ended_by(client_frame(5, {.is_final = false}) + client_frame(5, {}), 1002,
                  "a message within a message");
}

TEST_F(ServeClient, AReplayThatIsUnderWayEndsAtAFrameWhereTheFramingIsBroken) {
  given_large(kManyLarge, {});
  Subscriber subscriber = subscribe("?cursor=0", small_buffers());
  EXPECT_EQ(subscriber.next_frame(), large_frame(1));
  EXPECT_TRUE(subscriber.send_raw(client_frame(5, {.is_masked = false})));
  Received end;
  const std::vector<Bytes> frames = subscriber.read_to_end(&end);
  expect_large(frames, 2);
  EXPECT_LT(frames.size(), static_cast<std::size_t>(kManyLarge) - 1);
  ASSERT_TRUE(std::holds_alternative<Closed>(end)) << describe(end);
  EXPECT_EQ(std::get<Closed>(end).code, 1002);
}

TEST_F(ServeClient, APingIsAnsweredInTheMiddleOfAReplay) {
  given_large(kManyLarge, {});
  Subscriber subscriber = subscribe("?cursor=0", small_buffers());
  EXPECT_EQ(subscriber.next_frame(), large_frame(1));
  const std::vector<Bytes> before = subscriber.read_until_pong();
  expect_large(before, 2);
  // Behind what the kernels hold, not behind the replay.
  EXPECT_LT(before.size(), static_cast<std::size_t>(kManyLarge) / 2);
  EXPECT_TRUE(subscriber.send_ping(std::string(125, 'x')));
  EXPECT_EQ(subscriber.wait_for_pong(), repeat(std::byte{'x'}, 125));
  const std::vector<Bytes> rest = subscriber.read_until_seq(kManyLarge);
  expect_large(rest, 2 + static_cast<std::int64_t>(before.size()));
}

TEST_F(ServeClient, ACloseFrameIsAnsweredAndTheConnectionEnds) {
  given_served(1, 10);
  for (const std::uint16_t code : {std::uint16_t{1000}, std::uint16_t{1001}, std::uint16_t{4000}}) {
    Subscriber subscriber = subscribe();
    EXPECT_TRUE(subscriber.send_close(code, "bye"));
    expect_close(subscriber, code);
  }
  Subscriber subscriber = subscribe();
  EXPECT_TRUE(subscriber.send_close());
  const Received answer = subscriber.next();
  EXPECT_TRUE(std::holds_alternative<Closed>(answer)) << describe(answer);
  EXPECT_EQ(subscriber.wait_for_tcp_end(), (TcpEnd{}));
}

TEST_F(ServeClient, WhoEndsItsSideOfTcpIsEnded) {
  given_served(1, 10);
  Subscriber subscriber = subscribe();
  expect_nothing_more(subscriber);
  subscriber.finish_writing();
  EXPECT_EQ(subscriber.wait_for_tcp_end(), (TcpEnd{}));
}

// -- Time -----------------------------------------------------------------------------------------

TEST_F(ServeClient, WhoHearsNothingIsPingedAndNeedNotAnswer) {
  given_served(1, 10, {"--ping-interval", "100ms", "--stall-timeout", "200ms"});
  SubscriberOptions silent;
  silent.answers_pings = false;
  Subscriber subscriber = subscribe("", silent);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(subscriber.wait_for_ping(), Bytes());
  expect_nothing_more(subscriber);
}

TEST_F(ServeClient, WhoTakesNothingIsEndedWithinAFrameIfThatIsWhereItIs) {
  given_large(kManyLarge, {"--stall-timeout", "300ms", "--connections-per-address", "1"});
  Subscriber stalled = subscribe("?cursor=0", small_buffers());
  ASSERT_TRUE(stalled.is_upgraded());
  wait_for_room();
  Received end;
  const std::vector<Bytes> frames = stalled.read_to_end(&end);
  expect_large(frames);
  EXPECT_GT(frames.size(), 0U);
  EXPECT_LT(frames.size(), static_cast<std::size_t>(kManyLarge));
  EXPECT_FALSE(std::holds_alternative<Violation>(end)) << describe(end);
}

// Less than the kernel takes, so that it can still be told.
TEST_F(ServeClient, WhoTakesNothingIsToldThatItIsTooSlowIfThatCanBeWritten) {
  given_large(5, {"--stall-timeout", "300ms", "--connections-per-address", "1"});
  Subscriber stalled = subscribe("?cursor=0", small_buffers());
  ASSERT_TRUE(stalled.is_upgraded());
  wait_for_room();
  expect_large(stalled.read_frames(5));
  expect_error_and_1008(stalled, consumer_too_slow_frame(), "ConsumerTooSlow");
}

// Time passes by the pings that the same thread of the server sends to somebody else. In it, one
// who takes nothing is ended, twice over; one who takes a frame at each ping is not.
TEST_F(ServeClient, WhoIsSlowButMovesIsNotEnded) {
  given_large(kManyLarge, {"--stall-timeout", "1s", "--ping-interval", "50ms", "--network-threads",
                           "1", "--connections-per-address", "3"});
  Subscriber clock = subscribe();
  Subscriber slow = subscribe("?cursor=0", small_buffers());
  std::int64_t read = 0;
  for (int round = 0; round < 2; ++round) {
    const Subscriber stalled = subscribe("?cursor=0", small_buffers());
    ASSERT_TRUE(stalled.is_upgraded());
    do {
      clock.wait_for_ping();
      ++read;
      ASSERT_EQ(slow.next_frame(), large_frame(read));
    } while (!subscribe().is_upgraded());
  }
  ASSERT_LT(read, kManyLarge - 200);  // the rest is more than what was under way
  expect_large(slow.read_until_seq(kManyLarge), read + 1);
}

TEST_F(ServeClient, WhoHasTakenAllIsIdleAndNotStalled) {
  given_large(20, {"--stall-timeout", "200ms", "--ping-interval", "100ms"});
  Subscriber subscriber = subscribe("?cursor=0");
  expect_large(subscriber.read_frames(20));
  for (int i = 0; i < 8; ++i) subscriber.wait_for_ping();
  expect_nothing_more(subscriber);
}

// -- The end of the server ------------------------------------------------------------------------

TEST_F(ServeClient, AtSigtermEveryoneEndsAtAFrameWithoutACloseFrame) {
  given_large(kManyLarge, {"--network-threads", "2"});
  std::vector<Subscriber> replays;
  for (int i = 0; i < 6; ++i) {
    SubscriberOptions options;
    options.receive_buffer = (8 << 10) << i;
    replays.push_back(subscribe("?cursor=0", options));
  }
  SubscriberOptions whole;
  replays.push_back(subscribe("?cursor=0&wantedCollections=app.bsky.feed.post", whole));
  std::vector<Subscriber> live;
  for (int i = 0; i < 3; ++i) live.push_back(subscribe());
  for (Subscriber& one : live) expect_nothing_more(one);
  for (Subscriber& one : replays) EXPECT_EQ(one.next_frame(), large_frame(1));

  process().signal(SIGTERM);
  for (Subscriber& one : live) EXPECT_EQ(one.next(), Received(TcpEnd{}));
  for (Subscriber& one : replays) {
    Received end;
    const std::vector<Bytes> frames = one.read_to_end(&end);
    EXPECT_EQ(describe(end), describe(Received(TcpEnd{})));
    expect_large(frames, 2);
    EXPECT_LT(frames.size(), static_cast<std::size_t>(kManyLarge) - 1);
  }
  replays.clear();
  live.clear();
  EXPECT_EQ(process().wait().status, 0);
}

TEST_F(ServeClient, AtSigtermNobodyIsWaitedForLongerThanTheDrainTimeout) {
  given_large(kManyLarge, {"--drain-timeout", "200ms"});
  const Subscriber reads_nothing = subscribe("?cursor=0", small_buffers());
  NetStream half_a_request = connect_stream(port(), {});
  write_all(half_a_request, as_bytes("GET / HTTP/1.1\r\n"), deadline_from_now());
  process().signal(SIGTERM);
  EXPECT_EQ(process().wait().status, 0);
}

TEST_F(ServeClient, AtSigtermWhatIsLiveHasBeenSentAndAWaitingCursorEndsToo) {
  UpstreamOptions options = holding(1, 100);
  options.plan = [](std::size_t number, const ConnectionRecord&) {
    return number == 0 ? ConnectionPlan().cut_after(100) : ConnectionPlan::refuse(503);
  };
  given_upstream(std::move(options));
  given_mirror();
  wait_until_durable(100);
  Subscriber caught_up = subscribe("?cursor=0");
  Subscriber waiting = subscribe("?cursor=500");
  expect_made(caught_up.read_frames(100), 1, 100);
  expect_nothing_more(waiting);
  process().signal(SIGTERM);
  EXPECT_EQ(caught_up.next(), Received(TcpEnd{}));
  EXPECT_EQ(waiting.next(), Received(TcpEnd{}));
  caught_up.close();
  waiting.close();
  EXPECT_EQ(process().wait().status, 0);
  // And whoever comes back goes on where it was.
  given_server();
  Subscriber again = subscribe("?cursor=60");
  expect_made(again.read_frames(40), 61, 100);
}

}  // namespace
}  // namespace standpipe::test
