// How many may come, and how much they may get.
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/serve_fixture.h"

namespace standpipe::test {
namespace {

using std::chrono::steady_clock;

class ServeLimits : public ServeFixture {
 protected:
  static SubscriberOptions from(const std::string& address) {
    SubscriberOptions options;
    options.source_address = address;
    return options;
  }
  static void expect_refused(const Subscriber& subscriber, int status, std::string_view error) {
    expect_json_error(subscriber.handshake(), status, error);
    EXPECT_EQ(subscriber.handshake().header("Retry-After"), "5");
  }
  // Until the server has seen that somebody left.
  Subscriber subscribe_once_there_is_room(const SubscriberOptions& options = {}) const {
    const Deadline deadline = deadline_from_now();
    for (;;) {
      Subscriber subscriber = subscribe("", options);
      if (subscriber.is_upgraded()) return subscriber;
      if (steady_clock::now() >= deadline) throw std::runtime_error("waited in vain for room");
    }
  }
};

TEST_F(ServeLimits, TooManyFromOneAddressAre429) {
  given_served(1, 10, {"--connections-per-address", "2"});
  Subscriber first = subscribe();
  Subscriber second = subscribe("?cursor=0");
  ASSERT_TRUE(first.is_upgraded());
  ASSERT_TRUE(second.is_upgraded());
  expect_refused(subscribe(), 429, "RateLimitExceeded");
  EXPECT_EQ(http_get(port(), "/xrpc/_health").status, 200);  // it is subscribers that are counted
  Subscriber other = subscribe("", from("127.0.0.2"));
  EXPECT_TRUE(other.is_upgraded());
  expect_refused(subscribe(), 429, "RateLimitExceeded");
  // However one leaves, there is room again.
  first.reset();
  Subscriber third = subscribe_once_there_is_room();
  third.send_close(1000);
  EXPECT_EQ(third.next(), Received(Closed{1000, ""}));
  third.close();
  Subscriber fourth = subscribe_once_there_is_room();
  expect_nothing_more(fourth);
  expect_made(second.read_frames(10), 1, 10);
}

TEST_F(ServeLimits, TooManyInTotalAre503) {
  given_served(1, 10, {"--connections", "3"});
  std::vector<Subscriber> subscribers;
  for (const char* address : {"127.0.0.1", "127.0.0.2", "127.0.0.3"}) {
    subscribers.push_back(subscribe("", from(address)));
    ASSERT_TRUE(subscribers.back().is_upgraded());
  }
  expect_refused(subscribe("", from("127.0.0.4")), 503, "ServiceUnavailable");
  expect_refused(subscribe("", from("127.0.0.1")), 503, "ServiceUnavailable");
  subscribers[1].close();
  Subscriber next = subscribe_once_there_is_room(from("127.0.0.4"));
  expect_nothing_more(next);
  expect_nothing_more(subscribers[0]);
  expect_nothing_more(subscribers[2]);
}

TEST_F(ServeLimits, WhoIsRefusedOtherwiseTakesNoPlace) {
  given_served(1, 10, {"--connections", "1"});
  for (int i = 0; i < 5; ++i) {
    expect_refusal(repos("?cursor=x"), 400, "InvalidRequest");
    expect_refusal("/stream/other" + repos(), 404, "NotFound");
    Subscriber future = subscribe_once_there_is_room();
    future.close();
  }
  // One that ended by itself has left, too.
  for (int i = 0; i < 3; ++i) {
    Subscriber ended = subscribe_once_there_is_room();
    ended.send_close();
    ended.wait_for_tcp_end();
  }
}

// Whoever got a 101 has a place, however many ask at the same time.
TEST_F(ServeLimits, WhoIsLetInAmidACrowdStays) {
  given_served(1, 10, {"--connections-per-address", "3", "--network-threads", "2"});
  std::size_t upgraded = 0;
  for (int round = 0; round < 40; ++round) {
    std::vector<std::optional<Subscriber>> crowd(8);
    std::vector<std::thread> threads;
    for (auto& one : crowd) threads.emplace_back([&one, this] { one = subscribe("?cursor=0"); });
    for (std::thread& thread : threads) thread.join();
    for (auto& one : crowd) {
      if (!one->is_upgraded()) continue;
      ++upgraded;
      expect_made(one->read_frames(10), 1, 10);
      one->send_close();
      one->wait_for_tcp_end();
    }
  }
  EXPECT_GE(upgraded, 1U);
}

TEST_F(ServeLimits, ManyFromOneAddressAreServedAlike) {
  given_served(1, 10);
  std::vector<Subscriber> subscribers;
  for (int i = 0; i < 200; ++i) subscribers.push_back(subscribe("?cursor=5"));
  for (Subscriber& one : subscribers) expect_made(one.read_frames(5), 6, 10);
}

// -- Egress ---------------------------------------------------------------------------------------

// What came since `begin` is no more than the rate allows for that time, and the burst of a tenth
// of a second. A slow machine gets less.
void expect_within(std::size_t bytes, std::size_t rate, steady_clock::time_point begin) {
  const double seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
  EXPECT_LE(static_cast<double>(bytes), static_cast<double>(rate) * (seconds + 0.1) + 1)
      << "in " << seconds << " s";
}

TEST_F(ServeLimits, EgressOfASubscriberIsCapped) {
  given_served(1, 2'000, {"--max-egress-per-subscriber", "400KB"});
  for (const char* query : {"?cursor=0", "?cursor=0&wantedCollections=app.bsky.feed.post"}) {
    SCOPED_TRACE(query);
    const auto begin = steady_clock::now();
    Subscriber subscriber = subscribe(query);
    std::size_t bytes = 0;
    std::int64_t seq = 0;
    while (bytes < 300'000) {
      const Bytes frame = subscriber.next_frame();
      ASSERT_EQ(frame, make_frame(++seq));
      bytes += frame.size();
    }
    expect_within(bytes, 400'000, begin);
    // What is not frames is not held back by them.
    const std::size_t before = subscriber.read_until_pong().size();
    EXPECT_LT(before, 2'000U - static_cast<std::size_t>(seq));
  }
}

TEST_F(ServeLimits, EgressOfAllTogetherIsCapped) {
  given_served(1, 2'000, {"--max-egress", "500KB", "--network-threads", "2"});
  const auto begin = steady_clock::now();
  std::vector<Subscriber> subscribers;
  for (int i = 0; i < 4; ++i) subscribers.push_back(subscribe("?cursor=0"));
  std::size_t bytes = 0;
  for (std::int64_t seq = 1; seq <= 150; ++seq) {
    for (Subscriber& one : subscribers) {
      const Bytes frame = one.next_frame();
      ASSERT_EQ(frame, make_frame(seq));
      bytes += frame.size();
    }
  }
  expect_within(bytes, 500'000, begin);
}

TEST_F(ServeLimits, OneWhoHasNoBytesLeftLeavesTheOthersTheirs) {
  given_upstream(holding(1, 2'000));
  given_mirror({"--max-egress-per-subscriber", "50KB", "--network-threads", "1"});
  wait_until_durable(2'000);
  Subscriber replay = subscribe("?cursor=0");
  Subscriber live = subscribe();
  expect_nothing_more(live);
  upstream().append(upstream_frames(2'001, 2'003));
  expect_made(live.read_frames(3), 2'001, 2'003);
  EXPECT_EQ(replay.next_frame(), make_frame(1));
}

}  // namespace
}  // namespace standpipe::test
