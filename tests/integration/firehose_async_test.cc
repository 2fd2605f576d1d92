// The clients that do not block: every kind of completion token, cancellation, and their ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/system/system_error.hpp>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>

#include "archiver/firehose/async_client.h"
#include "archiver/firehose/messages.h"
#include "tests/support/firehose_fixture.h"
#include "tests/support/frames.h"
#include "tests/support/hex.h"
#include "tests/support/scale.h"
#include "tests/support/upstream_fixture.h"
#include "tests/support/worked_frames.h"

namespace standpipe::test {
namespace {

namespace asio = boost::asio;
using firehose::AsyncFirehoseSubscribeLabelsClient;
using firehose::AsyncFirehoseSubscribeReposClient;
using firehose::ClientOptions;
using firehose::MessageFrame;
using firehose::Params;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

constexpr Params kFromOldest{Seq{0}};

void rethrow(const std::exception_ptr& thrown) {
  if (thrown) std::rethrow_exception(thrown);
}

// -- Tokens ---------------------------------------------------------------------------------------

asio::awaitable<void> read_all(firehose::AsyncFirehoseClient& client, std::int64_t last,
                               std::vector<std::string>& came) {
  for (;;) {
    const std::optional<MessageFrame> frame = co_await client.async_next(asio::use_awaitable);
    if (!frame) co_return;
    came.push_back(std::to_string(seq_of(*frame)));
    if (seq_of(*frame) == last) client.stop();
  }
}

TEST(AsyncFirehoseClient, ACoroutineAwaitsOneFrameAfterTheOther) {
  ScriptedUpstream upstream(holding(1, 300));
  upstream.plan_next(ConnectionPlan().cut_after(100));
  asio::io_context io;
  AsyncFirehoseSubscribeReposClient client(io.get_executor(), kFromOldest, client_of(upstream));
  std::vector<std::string> came;
  asio::co_spawn(io, read_all(client, 300, came), rethrow);
  io.run();
  EXPECT_THAT(came, ElementsAreArray(numbers(1, 300)));
  EXPECT_EQ(client.cursor(), Seq{300});
}

TEST(AsyncFirehoseClient, ACallbackGetsEachFrameAndTheEnd) {
  ScriptedUpstream upstream(holding(1, 20));
  asio::io_context io;
  AsyncFirehoseSubscribeReposClient client(io.get_executor(), kFromOldest, client_of(upstream));
  std::vector<std::string> came;
  bool has_ended = false;
  client.async_start(
      [&](const MessageFrame& frame) {
        came.push_back(std::to_string(seq_of(frame)));
        if (seq_of(frame) == 20) client.stop();
      },
      {}, [&](const std::exception_ptr& thrown) { has_ended = !thrown; });
  EXPECT_THAT(came, IsEmpty());  // nothing happens within the call
  io.run();
  EXPECT_TRUE(has_ended);
  EXPECT_THAT(came, ElementsAreArray(numbers(1, 20)));
}

TEST(AsyncFirehoseClient, AFutureWaitsForTheEndOnAPoolOfThreads) {
  ScriptedUpstream upstream(holding(1, 2'000));
  upstream.plan_next(ConnectionPlan().cut_after(700));
  asio::thread_pool pool(3);
  AsyncFirehoseSubscribeReposClient client(pool.get_executor(), kFromOldest, client_of(upstream));
  std::int64_t expected = 1;  // touched by the strand alone
  std::future<void> done = client.async_start(
      [&](const MessageFrame& frame) {
        EXPECT_EQ(seq_of(frame), expected);
        if (expected++ == 2'000) client.stop();
      },
      {}, asio::use_future);
  done.get();
  EXPECT_EQ(expected, 2'001);
  pool.join();
}

TEST(AsyncFirehoseClient, AFutureOfTheNextFrame) {
  ScriptedUpstream upstream(holding(1, 2));
  asio::thread_pool pool(1);
  AsyncFirehoseSubscribeReposClient client(pool.get_executor(), kFromOldest, client_of(upstream));
  EXPECT_EQ(seq_of(*client.async_next(asio::use_future).get()), 1);
  EXPECT_EQ(seq_of(*client.async_next(asio::use_future).get()), 2);
  EXPECT_EQ(client.cursor(), Seq{1});  // the second is still being worked on
  client.stop();
  EXPECT_FALSE(client.async_next(asio::use_future).get().has_value());
  EXPECT_EQ(client.cursor(), Seq{2});
  pool.join();
}

asio::awaitable<void> handle(asio::steady_timer& timer, std::vector<std::string>& came,
                             MessageFrame frame) {
  came.push_back("in " + std::to_string(seq_of(frame)));
  timer.expires_after(std::chrono::milliseconds(0));
  co_await timer.async_wait(asio::use_awaitable);
  came.push_back("out " + std::to_string(seq_of(frame)));
  if (seq_of(frame) == 2) throw std::runtime_error("at 2");
}

TEST(AsyncFirehoseClient, ACallbackThatIsACoroutineIsAwaitedBeforeTheNext) {
  ScriptedUpstream upstream(holding(1, 3));
  upstream.plan_next(ConnectionPlan().close_after(3, 1000));
  asio::io_context io;
  ClientOptions options = client_of(upstream);
  options.on_clean_close = firehose::CleanClose::stop;
  AsyncFirehoseSubscribeReposClient client(io.get_executor(), kFromOldest, options);
  asio::steady_timer timer(io);
  std::vector<std::string> came;
  std::vector<std::string> errors;
  client.async_start(
      [&](MessageFrame frame) -> asio::awaitable<void> {
        return handle(timer, came, std::move(frame));
      },
      [&](const std::exception_ptr& thrown) { errors.push_back(what_of(thrown)); }, rethrow);
  io.run();
  EXPECT_THAT(came, ElementsAre("in 1", "out 1", "in 2", "out 2", "in 3", "out 3"));
  EXPECT_THAT(errors, ElementsAre("at 2"));
}

TEST(AsyncFirehoseClient, LabelsAndAnOperationThatIsDeferred) {
  UpstreamOptions held;
  held.frames.push_back({5, hex(kWorkedLabels)});
  ScriptedUpstream upstream(held);
  asio::io_context io;
  AsyncFirehoseSubscribeLabelsClient client(io.get_executor(), kFromOldest, client_of(upstream));
  auto next = client.async_next(asio::deferred);
  std::string type;
  std::move(next)([&](const std::exception_ptr&, const std::optional<MessageFrame>& frame) {
    if (frame) type = frame->type();
    client.stop();
  });
  io.run();
  EXPECT_EQ(type, "#labels");
}

// -- Ends -----------------------------------------------------------------------------------------

TEST(AsyncFirehoseClient, AnErrorFrameIsThrownAndTheNextStartBeginsAnew) {
  ScriptedUpstream upstream(holding(1, 3));
  upstream.plan_next(ConnectionPlan().binary_after(2, hex(kWorkedTooSlow)));
  asio::thread_pool pool(1);
  AsyncFirehoseSubscribeReposClient client(pool.get_executor(), kFromOldest, client_of(upstream));
  Sightings came;
  const auto take = [&](const MessageFrame& frame) {
    came.add(seq_of(frame));
    if (seq_of(frame) == 3) client.stop();
  };
  std::future<void> first = client.async_start(take, {}, asio::use_future);
  EXPECT_THROW(first.get(), firehose::FirehoseError);
  std::future<void> second = client.async_start(take, {}, asio::use_future);
  second.get();
  EXPECT_THAT(came.all(), ElementsAre("1", "2", "3"));
  EXPECT_THAT(cursors_of(upstream), ElementsAre("0", "2"));
  pool.join();
}

TEST(AsyncFirehoseClient, ASlotCancelsTheWaitAndLosesNoFrame) {
  ScriptedUpstream upstream(holding(1, 1));
  asio::io_context io;
  AsyncFirehoseSubscribeReposClient client(io.get_executor(), kFromOldest, client_of(upstream));
  std::vector<std::string> ends;
  asio::cancellation_signal signal;
  const auto end_of = [&](const std::exception_ptr& thrown,
                          const std::optional<MessageFrame>& frame) {
    ends.push_back(thrown ? "cancelled" : frame ? std::to_string(seq_of(*frame)) : "over");
  };
  client.async_next(
      [&](const std::exception_ptr& thrown, const std::optional<MessageFrame>& frame) {
        end_of(thrown, frame);
        client.async_next(asio::bind_cancellation_slot(
            signal.slot(), [&](const std::exception_ptr& cancelled, const auto& none) {
              end_of(cancelled, none);
              upstream.append(2, make_frame(2));
              client.async_next([&](const std::exception_ptr& failed, const auto& second) {
                end_of(failed, second);
                client.stop();
              });
            }));
        asio::post(client.executor(), [&] { signal.emit(asio::cancellation_type::terminal); });
      });
  io.run();
  EXPECT_THAT(ends, ElementsAre("1", "cancelled", "2"));
  EXPECT_THAT(cursors_of(upstream), ElementsAre("0"));  // on one connection
}

TEST(AsyncFirehoseClient, ASlotCancelsAStartAndTheConnectionEnds) {
  ScriptedUpstream upstream(holding(1, 2));
  asio::io_context io;
  AsyncFirehoseSubscribeReposClient client(io.get_executor(), kFromOldest, client_of(upstream));
  asio::cancellation_signal signal;
  std::string end;
  const auto take = [&](const MessageFrame& frame) {
    if (seq_of(frame) != 2) return;
    asio::post(client.executor(), [&] { signal.emit(asio::cancellation_type::terminal); });
  };
  const auto ended = [&](const std::exception_ptr& thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const boost::system::system_error& error) {
      end = error.code() == asio::error::operation_aborted ? "aborted" : error.what();
    }
  };
  client.async_start(take, {}, asio::bind_cancellation_slot(signal.slot(), ended));
  io.run();  // ends: nothing is left behind
  EXPECT_EQ(end, "aborted");
  EXPECT_EQ(client.cursor(), Seq{2});
  upstream.wait_for_end(0);
}

TEST(AsyncFirehoseClient, OneOperationAtATime) {
  ScriptedUpstream upstream(holding(1, 1));
  asio::thread_pool pool(1);
  AsyncFirehoseSubscribeReposClient client(pool.get_executor(), kFromOldest, client_of(upstream));
  EXPECT_EQ(seq_of(*client.async_next(asio::use_future).get()), 1);
  std::future<std::optional<MessageFrame>> waits = client.async_next(asio::use_future);
  EXPECT_THROW(client.async_next(asio::use_future).get(), std::logic_error);
  EXPECT_THROW(client.async_start([](const MessageFrame&) {}, {}, asio::use_future).get(),
               std::logic_error);
  client.stop();
  EXPECT_FALSE(waits.get().has_value());
  pool.join();
}

TEST(AsyncFirehoseClient, StopWakesABackOff) {
  ScriptedUpstream upstream;
  upstream.plan_next(ConnectionPlan::refuse(503));
  ClientOptions options = client_of(upstream);
  options.reconnect.delay_min = options.reconnect.delay_max = std::chrono::hours(1);
  Sightings ended;
  options.hooks.on_disconnect = [&](const auto&, auto) { ended.add("ended"); };
  asio::thread_pool pool(1);
  AsyncFirehoseSubscribeReposClient client(pool.get_executor(), {}, options);
  std::future<void> done = client.async_start([](const MessageFrame&) {}, {}, asio::use_future);
  ended.wait_for(1);
  client.stop();
  done.get();
  pool.join();
}

// A CA file that cannot be read ends the dial before anything has to be waited for.
TEST(AsyncFirehoseClient, AHookMayStopItBeforeTheFirstWait) {
  ClientOptions options;
  options.base_uri = "wss://127.0.0.1:1";
  options.tls_ca_file = "/nonexistent/ca.pem";
  options.reconnect.delay_min = options.reconnect.delay_max = std::chrono::hours(1);
  std::vector<std::string> ends;
  AsyncFirehoseSubscribeReposClient* stopped = nullptr;
  options.hooks.on_disconnect = [&](const firehose::WsEnd& end, auto) {
    ends.push_back(end_of(end));
    stopped->stop();
  };
  asio::io_context io;
  AsyncFirehoseSubscribeReposClient client(io.get_executor(), {}, options);
  stopped = &client;
  bool has_ended = false;
  client.async_start([](const MessageFrame&) {}, {},
                     [&](const std::exception_ptr& thrown) { has_ended = !thrown; });
  io.run();
  EXPECT_TRUE(has_ended);
  EXPECT_THAT(ends, ElementsAre("tls"));
}

TEST(AsyncFirehoseClient, ItMayGoWhileItIsConnected) {
  ScriptedUpstream upstream(holding(1, 3));
  asio::thread_pool pool(2);
  std::optional<AsyncFirehoseSubscribeReposClient> client(std::in_place, pool.get_executor(),
                                                          kFromOldest, client_of(upstream));
  Sightings came;
  std::future<void> done = client->async_start(
      [&](const MessageFrame& frame) { came.add(seq_of(frame)); }, {}, asio::use_future);
  came.wait_for(3);
  client.reset();
  done.get();
  pool.join();
}

TEST(AsyncFirehoseClient, ItMayGoWithNothingAskedOfItAndItsContextToo) {
  ScriptedUpstream upstream(holding(1, 3));
  asio::io_context io;
  std::optional<AsyncFirehoseSubscribeReposClient> client(std::in_place, io.get_executor(),
                                                          kFromOldest, client_of(upstream));
  bool has_come = false;
  client->async_next([&](const auto&, const auto&) { has_come = true; });
  while (!has_come) io.run_one();
  client.reset();
}  // what was going on is dropped with the context

TEST(AsyncFirehoseClient, WhoIsSlowHoldsNoMoreThanTheQueue) {
  constexpr std::int64_t kLast = 2'000;
  ScriptedUpstream upstream(holding(1, kLast));
  ClientOptions options = client_of(upstream);
  options.queue_bytes_max = 2'000;  // four frames
  asio::thread_pool pool(2);
  AsyncFirehoseSubscribeReposClient client(pool.get_executor(), kFromOldest, options);
  for (std::int64_t seq = 1; seq <= kLast; ++seq) {
    ASSERT_EQ(seq_of(*client.async_next(asio::use_future).get()), seq);
    ASSERT_LE(client.stats().frames, static_cast<std::uint64_t>(seq) + 4);
  }
  client.stop();
  EXPECT_FALSE(client.async_next(asio::use_future).get().has_value());
  pool.join();
}

TEST(AsyncFirehoseClient, WhatWasReadAheadDoesNotComeAgainAfterACut) {
  ScriptedUpstream upstream(holding(1, 9));
  upstream.plan_next(ConnectionPlan().cut_after(5));
  asio::thread_pool pool(1);
  AsyncFirehoseSubscribeReposClient client(pool.get_executor(), kFromOldest, client_of(upstream));
  std::vector<std::string> came;
  came.push_back(std::to_string(seq_of(*client.async_next(asio::use_future).get())));
  upstream.wait_for_connections(2);  // with one frame in hand and four that wait
  EXPECT_FALSE(client.cursor() > Seq{0});
  while (came.size() < 9) {
    came.push_back(std::to_string(seq_of(*client.async_next(asio::use_future).get())));
  }
  EXPECT_THAT(came, ElementsAreArray(numbers(1, 9)));
  EXPECT_THAT(cursors_of(upstream), ElementsAre("0", "5"));
  client.stop();
  EXPECT_FALSE(client.async_next(asio::use_future).get().has_value());
  pool.join();
}

// update_params() comes with frame 1 in somebody's hands and 2 to 5 read ahead: they are still
// handed out, and move nothing.
std::vector<std::string> read_with_cursors(Seq next, std::size_t count) {
  ScriptedUpstream upstream(holding(1, 9));
  upstream.plan_next(ConnectionPlan().cut_after(5));
  ClientOptions options = client_of(upstream);
  firehose::AsyncFirehoseClient* updated = nullptr;
  int ends = 0;
  options.hooks.on_disconnect = [&](const auto&, auto) {
    if (++ends == 1) updated->update_params({next});
  };
  asio::thread_pool pool(1);
  AsyncFirehoseSubscribeReposClient client(pool.get_executor(), kFromOldest, options);
  updated = &client;
  std::vector<std::string> came;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t seq = seq_of(*client.async_next(asio::use_future).get());
    if (i == 0) upstream.wait_for_connections(2);
    came.push_back(std::to_string(seq) + " at " + std::to_string(to_int(*client.cursor())));
  }
  client.stop();
  EXPECT_FALSE(client.async_next(asio::use_future).get().has_value());
  pool.join();
  for (const std::string& cursor : cursors_of(upstream)) came.push_back("asked for " + cursor);
  return came;
}

TEST(AsyncFirehoseClient, WhatWasReadAheadDoesNotUndoAJumpForwards) {
  EXPECT_THAT(read_with_cursors(Seq{7}, 7),
              ElementsAre("1 at 7", "2 at 7", "3 at 7", "4 at 7", "5 at 7", "8 at 7", "9 at 8",
                          "asked for 0", "asked for 7"));
}

TEST(AsyncFirehoseClient, WhatWasReadAheadDoesNotUndoAJumpBackwards) {
  EXPECT_THAT(read_with_cursors(Seq{2}, 9),
              ElementsAre("1 at 2", "2 at 2", "3 at 2", "4 at 2", "5 at 2", "3 at 2", "4 at 3",
                          "5 at 4", "6 at 5", "asked for 0", "asked for 2"));
}

TEST(AsyncFirehoseClient, AThousandStartsAndStops) {
  const int rounds = static_cast<int>(scaled(1'000));
  UpstreamOptions held = holding(1, 4);
  held.connections_max = 4'096;
  ScriptedUpstream upstream(held);
  asio::thread_pool pool(2);
  AsyncFirehoseSubscribeReposClient client(pool.get_executor(), {}, client_of(upstream));
  for (int round = 0; round < rounds; ++round) {
    client.update_params(kFromOldest);
    Sightings came;
    std::future<void> done = client.async_start(
        [&](const MessageFrame& frame) {
          came.add(seq_of(frame));
          if (round % 3 == 0) client.stop();
        },
        {}, asio::use_future);
    if (round % 3 == 1) came.wait_for(1);
    if (round % 3 != 0) client.stop();
    done.get();
  }
  pool.join();
}

}  // namespace
}  // namespace standpipe::test
