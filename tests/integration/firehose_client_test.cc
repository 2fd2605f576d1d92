// The clients that block: callbacks, cursors, ranges, and all the ways of ending them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>

#include "archiver/firehose/client.h"
#include "archiver/firehose/messages.h"
#include "tests/support/firehose_fixture.h"
#include "tests/support/frames.h"
#include "tests/support/hex.h"
#include "tests/support/scale.h"
#include "tests/support/upstream_fixture.h"
#include "tests/support/worked_frames.h"

namespace standpipe::test {
namespace {

using firehose::ClientOptions;
using firehose::FirehoseSubscribeLabelsClient;
using firehose::FirehoseSubscribeReposClient;
using firehose::MessageFrame;
using firehose::Params;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

constexpr Params kFromOldest{Seq{0}};

// Stops with the frame of seq `last`, and returns the seqs that came.
std::vector<std::string> read_until(firehose::FirehoseClient& client, std::int64_t last) {
  std::vector<std::string> came;
  client.start([&](const MessageFrame& frame) {
    came.push_back(std::to_string(seq_of(frame)));
    if (seq_of(frame) == last) client.stop();
  });
  return came;
}

// -- Frames and cursors ---------------------------------------------------------------------------

TEST(FirehoseClient, EveryFrameComesOnceInOrderAndByteForByte) {
  ScriptedUpstream upstream(holding(1, 200));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  std::int64_t expected = 1;
  std::uint64_t bytes = 0;
  client.start([&](const MessageFrame& frame) {
    bytes += frame.bytes().size();
    EXPECT_EQ(client.stats().bytes, bytes);
    EXPECT_TRUE(equal(frame.bytes(), make_frame(expected)));
    if (expected++ == 200) client.stop();
  });
  EXPECT_EQ(expected, 201);
  EXPECT_EQ(client.cursor(), Seq{200});
  EXPECT_EQ(client.stats().frames, 200U);
  EXPECT_EQ(upstream.connection(0).target, "/xrpc/com.atproto.sync.subscribeRepos?cursor=0");
}

TEST(FirehoseClient, LabelsComeFromTheirOwnEndpoint) {
  UpstreamOptions held;
  held.frames.push_back({5, hex(kWorkedLabels)});
  ScriptedUpstream upstream(held);
  FirehoseSubscribeLabelsClient client(kFromOldest, client_of(upstream));
  std::string value;
  client.start([&](const MessageFrame& frame) {
    const auto message = or_throw(firehose::parse_subscribe_labels_message(frame));
    value = std::get<firehose::Labels>(message).labels.at(0).val;
    client.stop();
  });
  EXPECT_EQ(value, "spam");
  EXPECT_EQ(upstream.connection(0).target, "/xrpc/com.atproto.label.subscribeLabels?cursor=0");
}

TEST(FirehoseClient, AfterACutItGoesOnFromTheLastFrameThatIsDone) {
  ScriptedUpstream upstream(holding(1, 9));
  upstream.plan_next(ConnectionPlan().cut_after(3));
  upstream.plan_next(ConnectionPlan().cut_within(3, 100));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  EXPECT_THAT(read_until(client, 9), ElementsAreArray(numbers(1, 9)));
  EXPECT_THAT(cursors_of(upstream), ElementsAre("0", "3", "5"));
}

TEST(FirehoseClient, StartedLiveItGoesOnFromWhereItStood) {
  ScriptedUpstream upstream(holding(1, 4));
  upstream.plan_next(ConnectionPlan().cut_after(2));
  ClientOptions options = client_of(upstream);
  Sightings connected;
  options.hooks.on_connect = [&](const firehose::WsOpened&, const Params&) {
    connected.add("connected");
  };
  FirehoseSubscribeReposClient client({}, options);
  std::thread appends([&] {
    connected.wait_for(1);
    upstream.append(upstream_frames(5, 8));
  });
  EXPECT_THAT(read_until(client, 8), ElementsAreArray(numbers(5, 8)));
  appends.join();
  EXPECT_THAT(cursors_of(upstream), ElementsAre("-", "6"));
}

TEST(FirehoseClient, ServersThatRepeatTheCursorsFrameAreServedOut) {
  UpstreamOptions held = holding(1, 6);
  held.cursor_mode = CursorMode::inclusive;
  ScriptedUpstream upstream(held);
  upstream.plan_next(ConnectionPlan().cut_after(3));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  EXPECT_THAT(read_until(client, 6), ElementsAreArray(numbers(1, 6)));
  EXPECT_EQ(client.stats().duplicates, 1U);
  EXPECT_EQ(client.stats().bytes, 7 * make_frame(1).size());
}

TEST(FirehoseClient, InManualModeUpdateParamsAloneMovesTheCursor) {
  ScriptedUpstream upstream(holding(1, 6));
  upstream.plan_next(ConnectionPlan().cut_after(5));
  ClientOptions options = client_of(upstream);
  options.cursor_mode = firehose::CursorMode::manual;
  FirehoseSubscribeReposClient client(kFromOldest, options);
  std::vector<std::string> came;
  client.start([&](const MessageFrame& frame) {
    came.push_back(std::to_string(seq_of(frame)));
    if (seq_of(frame) == 3) client.update_params({frame.seq()});
    if (seq_of(frame) == 6) client.stop();
  });
  // As with the original: what came after the last update comes again.
  EXPECT_THAT(came, ElementsAre("1", "2", "3", "4", "5", "4", "5", "6"));
  EXPECT_EQ(client.cursor(), Seq{3});
}

TEST(FirehoseClient, UpdateParamsSaysWhereTheNextDialBegins) {
  ScriptedUpstream upstream(holding(1, 6));
  upstream.plan_next(ConnectionPlan().cut_after(4));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  std::vector<std::string> came;
  client.start([&](const MessageFrame& frame) {
    came.push_back(std::to_string(seq_of(frame)));
    if (came.size() == 2) client.update_params({Seq{1}});
    if (seq_of(frame) == 6) client.stop();
  });
  EXPECT_THAT(came, ElementsAre("1", "2", "3", "4", "2", "3", "4", "5", "6"));
  EXPECT_THAT(cursors_of(upstream), ElementsAre("0", "1"));
  EXPECT_EQ(client.cursor(), Seq{6});
}

// -- Callbacks ------------------------------------------------------------------------------------

TEST(FirehoseClient, WhatACallbackThrowsIsReportedAndTheStreamGoesOn) {
  ScriptedUpstream upstream(holding(1, 4));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  std::vector<std::string> errors;
  std::vector<std::string> came;
  client.start(
      [&](const MessageFrame& frame) {
        came.push_back(std::to_string(seq_of(frame)));
        if (seq_of(frame) == 4) client.stop();
        if (seq_of(frame) % 2 == 0) throw std::runtime_error("at " + came.back());
      },
      [&](const std::exception_ptr& thrown) {
        errors.push_back(what_of(thrown));
        throw std::runtime_error("and this one throws, too");
      });
  EXPECT_THAT(came, ElementsAreArray(numbers(1, 4)));
  EXPECT_THAT(errors, ElementsAre("at 2", "at 4"));
  EXPECT_EQ(client.cursor(), Seq{3});  // 4 was not done
  EXPECT_EQ(client.stats().callback_errors, 2U);
}

TEST(FirehoseClient, AFrameWhoseCallbackThrewComesAgainAfterACut) {
  ScriptedUpstream upstream(holding(1, 4));
  upstream.plan_next(ConnectionPlan().cut_after(2));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  std::vector<std::string> came;
  client.start(
      [&](const MessageFrame& frame) {
        came.push_back(std::to_string(seq_of(frame)));
        if (came.size() == 2) throw 17;
        if (seq_of(frame) == 4) client.stop();
      },
      [](const std::exception_ptr&) {});
  EXPECT_THAT(came, ElementsAre("1", "2", "2", "3", "4"));
}

TEST(FirehoseClient, ACallbackThatBlocksHoldsTheServerBackAndLosesNothing) {
  constexpr std::int64_t kLast = 20'000;  // some 12 MB: more than the sockets hold
  ScriptedUpstream upstream(holding(1, kLast));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  std::promise<void> entered;
  std::promise<void> gate;
  std::int64_t count = 0;
  std::future<void> running = std::async(std::launch::async, [&] {
    client.start([&](const MessageFrame& frame) {
      if (++count == 1) {
        entered.set_value();
        gate.get_future().wait();
      }
      if (seq_of(frame) == kLast) client.stop();
    });
  });
  entered.get_future().wait();
  client.update_params(Params{});  // what other threads may do meanwhile does not wait
  EXPECT_EQ(client.cursor(), std::nullopt);
  gate.set_value();
  running.get();
  EXPECT_EQ(count, kLast);
}

TEST(FirehoseClient, HooksMayThrowToo) {
  ScriptedUpstream upstream(holding(1, 2));
  upstream.plan_next(ConnectionPlan().text_after(1, "hello").cut_after(1));
  ClientOptions options = client_of(upstream);
  options.hooks.on_connect = [](const auto&, const auto&) { throw std::runtime_error("connect"); };
  options.hooks.on_skip = [](const auto&) { throw std::runtime_error("skip"); };
  options.hooks.on_disconnect = [](const auto&, auto) { throw std::runtime_error("disconnect"); };
  FirehoseSubscribeReposClient client(kFromOldest, options);
  std::vector<std::string> errors;
  client.start(
      [&](const MessageFrame& frame) {
        if (seq_of(frame) == 2) client.stop();
      },
      [&](const std::exception_ptr& thrown) { errors.push_back(what_of(thrown)); });
  EXPECT_THAT(errors, ElementsAre("connect", "skip", "disconnect", "connect", "disconnect"));
}

// -- Ending it ------------------------------------------------------------------------------------

TEST(FirehoseClient, StopInsideACallbackIsTheLastFrameAndStartGoesOnFromThere) {
  ScriptedUpstream upstream(holding(1, 9));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  EXPECT_THAT(read_until(client, 3), ElementsAreArray(numbers(1, 3)));
  EXPECT_THAT(read_until(client, 7), ElementsAreArray(numbers(4, 7)));
  EXPECT_THAT(read_until(client, 9), ElementsAreArray(numbers(8, 9)));
  EXPECT_THAT(cursors_of(upstream), ElementsAre("0", "3", "7"));
}

TEST(FirehoseClient, StopFromAnotherThreadEndsAnIdleConnection) {
  ScriptedUpstream upstream(holding(1, 1));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  Sightings came;
  std::thread stops([&] {
    came.wait_for(1);
    client.stop();
  });
  client.start([&](const MessageFrame& frame) { came.add(seq_of(frame)); });
  stops.join();
  EXPECT_THAT(came.all(), ElementsAre("1"));
}

TEST(FirehoseClient, StopWakesABackOff) {
  ScriptedUpstream upstream;
  upstream.plan_next(ConnectionPlan::refuse(503));
  ClientOptions options = client_of(upstream);
  options.reconnect.delay_min = options.reconnect.delay_max = std::chrono::hours(1);
  Sightings ended;
  options.hooks.on_disconnect = [&](const firehose::WsEnd& end, std::chrono::milliseconds delay) {
    ended.add(end.detail + " " + std::to_string(delay.count()));
  };
  FirehoseSubscribeReposClient client({}, options);
  std::thread stops([&] {
    ended.wait_for(1);
    client.stop();
  });
  client.start([](const MessageFrame&) {});
  stops.join();
  EXPECT_THAT(ended.all(), ElementsAre("HTTP 503 Scripted 3600000"));
}

TEST(FirehoseClient, StopBeforeStartEndsThatStartAndNoOther) {
  ScriptedUpstream upstream(holding(1, 2));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  client.stop();
  EXPECT_THAT(read_until(client, 2), IsEmpty());
  EXPECT_THAT(upstream.connections(), IsEmpty());
  EXPECT_THAT(read_until(client, 2), ElementsAre("1", "2"));
}

TEST(FirehoseClient, ASecondStartIsRefusedWhileTheFirstRuns) {
  ScriptedUpstream upstream(holding(1, 1));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  bool was_refused = false;
  client.start([&](const MessageFrame&) {
    try {
      client.start([](const MessageFrame&) {});
    } catch (const std::logic_error&) {
      was_refused = true;
    }
    client.stop();
  });
  EXPECT_TRUE(was_refused);
}

TEST(FirehoseClient, ItMayGoWhileItIsConnectedOnAnotherThread) {
  ScriptedUpstream upstream(holding(1, 3));
  auto client = std::make_unique<FirehoseSubscribeReposClient>(kFromOldest, client_of(upstream));
  Sightings came;
  firehose::FirehoseClient* const running = client.get();
  std::thread runs(
      [&] { running->start([&](const MessageFrame& frame) { came.add(seq_of(frame)); }); });
  came.wait_for(3);
  client.reset();  // waits for start()
  runs.join();
  EXPECT_THAT(came.all(), ElementsAre("1", "2", "3"));
}

TEST(FirehoseClient, ItMayGoInItsOwnCallback) {
  ScriptedUpstream upstream(holding(1, 3));
  auto client = std::make_unique<FirehoseSubscribeReposClient>(kFromOldest, client_of(upstream));
  firehose::FirehoseClient* const running = client.get();
  int count = 0;
  running->start([&](const MessageFrame&) {
    ++count;
    client.reset();
  });
  EXPECT_EQ(count, 1);
}

TEST(FirehoseClient, AThousandStartsAndStops) {
  const int rounds = static_cast<int>(scaled(1'000));
  UpstreamOptions held = holding(1, 4);
  held.connections_max = 4'096;
  ScriptedUpstream upstream(held);
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  for (int round = 0; round < rounds; ++round) {
    client.update_params(kFromOldest);
    if (round % 3 == 0) {  // from a callback
      ASSERT_EQ(read_until(client, 2).size(), 2U);
    } else if (round % 3 == 1) {  // from another thread, whenever it gets to it
      std::thread stops([&] { client.stop(); });
      client.start([](const MessageFrame&) {});
      stops.join();
    } else {  // from another thread, in the middle of the stream
      Sightings came;
      std::thread stops([&] {
        came.wait_for(1);
        client.stop();
      });
      client.start([&](const MessageFrame& frame) { came.add(seq_of(frame)); });
      stops.join();
    }
  }
}

// -- messages() -----------------------------------------------------------------------------------

TEST(FirehoseMessages, ARangeGivesWhatStartGives) {
  ScriptedUpstream upstream(holding(1, 300));
  upstream.plan_next(ConnectionPlan().cut_after(100));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  std::vector<std::string> came;
  for (const MessageFrame& frame : client.messages()) {
    came.push_back(std::to_string(seq_of(frame)));
    if (seq_of(frame) == 300) client.stop();
  }
  EXPECT_THAT(came, ElementsAreArray(numbers(1, 300)));
  EXPECT_EQ(client.cursor(), Seq{300});  // it was asked for the next one
}

TEST(FirehoseMessages, ALoopThatIsLeftEndsTheConnectionAndItsFrameIsNotDone) {
  ScriptedUpstream upstream(holding(1, 9));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  for (const MessageFrame& frame : client.messages()) {
    if (seq_of(frame) == 4) break;
  }
  EXPECT_EQ(client.cursor(), Seq{3});
  upstream.wait_for_end(0);
  EXPECT_THAT(read_until(client, 5), ElementsAre("4", "5"));
}

TEST(FirehoseMessages, WhoIsSlowHoldsNoMoreThanTheQueue) {
  constexpr std::int64_t kLast = 2'000;
  ScriptedUpstream upstream(holding(1, kLast));
  ClientOptions options = client_of(upstream);
  options.queue_frames_max = 3;
  FirehoseSubscribeReposClient client(kFromOldest, options);
  std::int64_t count = 0;
  for (const MessageFrame& frame : client.messages()) {
    ++count;
    // Delivered, but not more than were asked for and the queue.
    EXPECT_LE(client.stats().frames, static_cast<std::uint64_t>(count) + 3);
    if (seq_of(frame) == kLast) break;
  }
  EXPECT_EQ(count, kLast);
}

TEST(FirehoseMessages, AnErrorFrameIsThrownByTheIncrement) {
  ScriptedUpstream upstream(holding(1, 1));
  upstream.plan_next(ConnectionPlan().binary_after(1, hex(kWorkedTooSlow)));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  std::string error;
  int count = 0;
  try {
    for ([[maybe_unused]] const MessageFrame& frame : client.messages()) ++count;
  } catch (const firehose::FirehoseError& thrown) {
    error = thrown.error();
  }
  EXPECT_EQ(count, 1);
  EXPECT_EQ(error, "ConsumerTooSlow");
  EXPECT_EQ(client.cursor(), Seq{1});
}

TEST(FirehoseMessages, StopFromAnotherThreadEndsTheRange) {
  ScriptedUpstream upstream(holding(1, 2));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  Sightings came;
  std::thread stops([&] {
    came.wait_for(2);
    client.stop();
  });
  for (const MessageFrame& frame : client.messages()) came.add(seq_of(frame));
  stops.join();
  EXPECT_THAT(came.all(), ElementsAre("1", "2"));
}

TEST(FirehoseMessages, TheClientMayGoBeforeItsRange) {
  ScriptedUpstream upstream(holding(1, 2));
  auto client = std::make_unique<FirehoseSubscribeReposClient>(kFromOldest, client_of(upstream));
  firehose::Messages messages = client->messages();
  auto frame = messages.begin();
  EXPECT_EQ(seq_of(*frame), 1);
  client.reset();
  ++frame;
  EXPECT_TRUE(frame == messages.end());
}

// -- Bad arguments --------------------------------------------------------------------------------

TEST(FirehoseClient, BadArgumentsAreRefusedWithWhatIsAllowed) {
  const auto refused = [](Params params, const ClientOptions& options) {
    try {
      const FirehoseSubscribeReposClient client(params, options);
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  ClientOptions options;
  options.base_uri = "gopher://example.com";
  EXPECT_THAT(refused({}, options), ::testing::HasSubstr("base_uri: "));
  EXPECT_EQ(refused(Params{Seq{-1}}, {}), "cursor: 0 to 2^53 - 1");
  EXPECT_EQ(refused(Params{Seq{std::int64_t{1} << 53}}, {}), "cursor: 0 to 2^53 - 1");
  options = {};
  options.queue_frames_max = 0;
  EXPECT_EQ(refused({}, options), "queue_frames_max, queue_bytes_max: at least 1");
  options = {};
  options.message_bytes_max = 0;
  EXPECT_EQ(refused({}, options), "message_bytes_max: 1 to 5,242,880 bytes");
  // What is larger is no frame.
  options.message_bytes_max = kFrameBytesMax + 1;
  EXPECT_EQ(refused({}, options), "message_bytes_max: 1 to 5,242,880 bytes");
  options.message_bytes_max = kFrameBytesMax;
  EXPECT_EQ(refused({}, options), "accepted");
}

}  // namespace
}  // namespace standpipe::test
