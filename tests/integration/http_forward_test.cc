// A request in somebody's name to a host that has a name: what is given up, and what is held
// meanwhile.
#include "archiver/http_forward.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/hanging_system.h"
#include "tests/support/http_directory.h"

namespace standpipe::test {
namespace {

namespace asio = boost::asio;
using archiver::HttpForward;
using archiver::HttpForwarder;
using archiver::HttpForwardHead;
using archiver::HttpForwardOptions;
using archiver::HttpForwardRequest;

class HttpForwardTo : public ::testing::Test {
 protected:
  void given_forward(HttpForwardOptions options, std::uint16_t port = 1) {
    auto forwarder = HttpForwarder::make(std::move(options));
    ASSERT_TRUE(forwarder) << forwarder.error().detail;
    const std::string url = "ws://relay.example:" + std::to_string(port);
    HttpForwardRequest request;
    request.nsid = "com.atproto.sync.listRepos";
    auto place = std::make_shared<int>();
    held = place;
    forward = HttpForwarder::forward(
        *forwarder, io.get_executor(),
        firehose::parse_upstream_url(url, firehose::UpstreamKind::repos).value(),
        std::move(request), std::move(place));
  }
  Result<HttpForwardHead> begin() {
    asio::co_spawn(io, keep_head(), [](const std::exception_ptr& thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
    io.run();
    return head_.value();
  }

  asio::io_context io{1};
  std::unique_ptr<HttpForward> forward;
  std::weak_ptr<int> held;  // the place of the forward

 private:
  asio::awaitable<void> keep_head() {
    Result<HttpForwardHead> head = co_await forward->begin();
    head_ = std::move(head);
  }

  std::optional<Result<HttpForwardHead>> head_;
};

TEST_F(HttpForwardTo, ANameIsAskedForAndItsAddressesAreTriedInTurn) {
  HttpDirectory host([](const std::string&) { return DirectoryReply{204, "", {}}; });
  HttpForwardOptions options;
  std::string asked;
  options.resolve = [&](const std::string& name) -> Addresses {
    asked = name;
    return std::vector<std::string>{"no address", "127.0.0.1"};
  };
  given_forward(options, host.port());
  const Result<HttpForwardHead> head = begin();
  ASSERT_TRUE(head) << head.error().detail;
  EXPECT_EQ(head->status, 204);
  EXPECT_EQ(asked, "relay.example");
  EXPECT_EQ(host.requests(), std::vector<std::string>{"/xrpc/com.atproto.sync.listRepos"});
  EXPECT_EQ(host.user_agent(), "standpipe");
  forward.reset();
  // Its place goes with the lookup's thread, which has come back and is about to end.
  while (!held.expired()) std::this_thread::yield();
}

TEST_F(HttpForwardTo, ANameThatIsNotFoundIsSaid) {
  HttpForwardOptions options;
  options.resolve = [](const std::string&) -> Addresses {
    return Error{Errc::not_found, "no such name"};
  };
  given_forward(options);
  const Result<HttpForwardHead> head = begin();
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code, Errc::io);
  EXPECT_EQ(head.error().detail, "the upstream does not answer: no such name");
}

TEST_F(HttpForwardTo, TheTimeToBeginIsOfTheNameTooAndALookupThatIsLeftBehindHoldsThePlace) {
  auto system = std::make_unique<HangingSystem>();
  HttpForwardOptions options;
  options.step_timeout = std::chrono::milliseconds(30);
  options.resolve = system->resolve();
  given_forward(options);
  const Result<HttpForwardHead> head = begin();
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code, Errc::io);
  EXPECT_EQ(head.error().detail, "the upstream did not answer within 30 ms");
  system->wait_until_asked();
  forward.reset();
  EXPECT_FALSE(held.expired());
  system.reset();
  while (!held.expired()) std::this_thread::yield();
}

TEST_F(HttpForwardTo, CancelEndsTheWaitForAName) {
  HangingSystem system;
  HttpForwardOptions options;
  options.step_timeout = std::chrono::hours(1);
  options.resolve = system.resolve();
  given_forward(options);
  std::thread canceller([&] {
    system.wait_until_asked();
    asio::post(io, [this] { forward->cancel(); });
  });
  const Result<HttpForwardHead> head = begin();
  canceller.join();
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code, Errc::closed);
}

}  // namespace
}  // namespace standpipe::test
