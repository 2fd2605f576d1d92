// GET requests to a host that has a name: what becomes of them where the name is not found out.
#include "archiver/http_getter.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/http_directory.h"

namespace standpipe::test {
namespace {

using archiver::HttpAnswer;
using archiver::HttpGetOptions;
using archiver::HttpGetter;
using Addresses = Result<std::vector<std::string>>;

firehose::UpstreamUrl named(std::uint16_t port) {
  return firehose::parse_http_url("http://directory.example:" + std::to_string(port)).value();
}

// A system that does not find a name for as long as this is there. A lookup outlives those who
// wanted it, so it shares what it waits for.
class HangingSystem {
 public:
  HangingSystem() : ended_(end_.get_future()) {}
  ~HangingSystem() { end_.set_value(); }

  firehose::ResolveHost resolve() {
    return [asked = asked_, ended = ended_](const std::string&) -> Addresses {
      asked->set_value();
      ended.wait();
      return Error{Errc::not_found, "the end of the test"};
    };
  }
  void wait_until_asked() { asked_->get_future().wait(); }

 private:
  std::promise<void> end_;
  std::shared_ptr<std::promise<void>> asked_ = std::make_shared<std::promise<void>>();
  std::shared_future<void> ended_;
};

TEST(HttpGetter, ANameIsAskedForAndItsAddressesAreTriedInTurn) {
  HttpDirectory directory([](const std::string&) { return DirectoryReply{200, "found", {}}; });
  HttpGetOptions options;
  std::string asked;
  options.resolve = [&](const std::string& host) -> Addresses {
    asked = host;
    return std::vector<std::string>{"no address", "127.0.0.1"};
  };
  HttpGetter getter(named(directory.port()), options);
  const Result<HttpAnswer> answer = getter.get("/did:plc:a");
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->body, "found");
  EXPECT_EQ(asked, "directory.example");
}

TEST(HttpGetter, ANameThatIsNotFoundIsSaid) {
  HttpGetOptions options;
  options.resolve = [](const std::string&) -> Addresses {
    return Error{Errc::not_found, "no such name"};
  };
  HttpGetter getter(named(1), options);
  const Result<HttpAnswer> answer = getter.get("/");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::io);
  EXPECT_EQ(answer.error().detail, "no such name");
}

TEST(HttpGetter, StopEndsTheWaitForAName) {
  HangingSystem system;
  HttpGetOptions options;
  options.deadline = std::chrono::hours(1);
  options.resolve = system.resolve();
  HttpGetter getter(named(1), options);
  std::thread stopper([&] {
    system.wait_until_asked();
    getter.stop();
  });
  const Result<HttpAnswer> answer = getter.get("/");
  stopper.join();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::closed);
  EXPECT_EQ(getter.get("/").error().code, Errc::closed);  // and all later ones
}

TEST(HttpGetter, TheDeadlineIsOfTheNameToo) {
  HangingSystem system;
  HttpGetOptions options;
  options.deadline = std::chrono::milliseconds(30);
  options.resolve = system.resolve();
  HttpGetter getter(named(1), options);
  const Result<HttpAnswer> answer = getter.get("/");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::io);
  EXPECT_EQ(answer.error().detail, "no answer within 30 ms");
  system.wait_until_asked();
}

}  // namespace
}  // namespace standpipe::test
