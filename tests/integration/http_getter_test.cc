// GET requests to a host that has a name: what becomes of them where the name is not found out.
#include "archiver/http_getter.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/support/hanging_system.h"
#include "tests/support/http_directory.h"

namespace standpipe::test {
namespace {

using archiver::HttpAnswer;
using archiver::HttpGetOptions;
using archiver::HttpGetter;

firehose::UpstreamUrl named(std::uint16_t port) {
  return firehose::parse_http_url("http://directory.example:" + std::to_string(port)).value();
}

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
