#include "tools/control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/temp_dir.h"

namespace standpipe::tools {
namespace {

using ::testing::HasSubstr;

ControlReply echo(const ControlRequest& request) {
  return {200, "text/plain", request.method + " " + request.target + " " + request.body};
}

std::unique_ptr<ControlServer> given_server(const std::filesystem::path& dir,
                                            ControlHandler handler, ControlOptions options = {}) {
  auto server = ControlServer::start(dir, std::move(handler), options);
  EXPECT_TRUE(server.has_value()) << server.error().detail;
  return std::move(*server);
}

// A connection that speaks whatever the test says.
class RawConnection {
 public:
  explicit RawConnection(const std::filesystem::path& dir)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = (dir / "control.sock").string();
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~RawConnection() { ::close(fd_); }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  void send(std::string_view text) const {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  std::string read_to_end() const {
    std::string all;
    char buffer[4096];
    for (;;) {
      const ssize_t size = ::read(fd_, buffer, sizeof buffer);
      if (size <= 0) return all;
      all.append(buffer, static_cast<std::size_t>(size));
    }
  }

 private:
  int fd_;
};

TEST(Control, CarriesARequestAndItsReply) {
  const test::TempDir dir;
  const auto server = given_server(dir.path(), echo);
  const auto reply = control_call(dir.path(), {"POST", "/a?b=c", "body"});
  ASSERT_TRUE(reply.has_value()) << reply.error().detail;
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->content_type, "text/plain");
  EXPECT_EQ(reply->body, "POST /a?b=c body");
}

TEST(Control, CarriesRepliesOfMegabytes) {
  const test::TempDir dir;
  const std::string large(5'000'000, 'x');
  const auto server = given_server(dir.path(), [&](const ControlRequest&) {
    return ControlReply{200, "text/plain", large};
  });
  const auto reply = control_call(dir.path(), {"GET", "/", ""});
  ASSERT_TRUE(reply.has_value()) << reply.error().detail;
  EXPECT_EQ(reply->body.size(), large.size());
}

TEST(Control, TheSocketIsItsOwnersAloneAndGoesWithTheServer) {
  const test::TempDir dir;
  {
    const auto server = given_server(dir.path(), echo);
    struct stat status {};
    ASSERT_EQ(::stat((dir / "control.sock").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
  }
  EXPECT_FALSE(std::filesystem::exists(dir / "control.sock"));
  const auto reply = control_call(dir.path(), {"GET", "/", ""});
  ASSERT_FALSE(reply.has_value());
  EXPECT_EQ(reply.error().code, Errc::not_found);
}

TEST(Control, TheSocketOfADeadProcessIsReplaced) {
  const test::TempDir dir;
  {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (dir / "control.sock").string().copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ::close(fd);
  }
  const auto before = control_call(dir.path(), {"GET", "/", ""});
  ASSERT_FALSE(before.has_value());
  EXPECT_EQ(before.error().code, Errc::not_found);
  const auto server = given_server(dir.path(), echo);
  EXPECT_TRUE(control_call(dir.path(), {"GET", "/", ""}).has_value());
}

TEST(Control, APathTooLongForASocketAddressIsReachedAllTheSame) {
  const test::TempDir dir;
  const std::filesystem::path deep = dir / std::string(200, 'd');
  std::filesystem::create_directory(deep);
  {
    const auto server = given_server(deep, echo);
    EXPECT_TRUE(std::filesystem::exists(deep / "control.sock"));
    EXPECT_TRUE(control_call(deep, {"GET", "/", ""}).has_value());
  }
  EXPECT_FALSE(std::filesystem::exists(deep / "control.sock"));
}

TEST(Control, OneSlowRequestDoesNotHoldUpAnother) {
  const test::TempDir dir;
  std::mutex mutex;
  std::condition_variable changed;
  bool is_slow_running = false;
  bool is_slow_allowed_to_end = false;
  const auto server = given_server(dir.path(), [&](const ControlRequest& request) {
    if (request.target == "/slow") {
      std::unique_lock lock(mutex);
      is_slow_running = true;
      changed.notify_all();
      changed.wait(lock, [&] { return is_slow_allowed_to_end; });
    }
    return echo(request);
  });
  std::thread slow([&] {
    EXPECT_TRUE(control_call(dir.path(), {"GET", "/slow", ""}).has_value());
  });
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return is_slow_running; });
  }
  EXPECT_TRUE(control_call(dir.path(), {"GET", "/fast", ""}).has_value());
  {
    const std::lock_guard lock(mutex);
    is_slow_allowed_to_end = true;
    changed.notify_all();
  }
  slow.join();
}

TEST(Control, ConnectionsBeyondTheLimitAreTurnedAway) {
  const test::TempDir dir;
  ControlOptions options;
  options.connections_max = 2;
  const auto server = given_server(dir.path(), echo, options);
  const RawConnection first(dir.path());
  const RawConnection second(dir.path());
  const auto reply = control_call(dir.path(), {"GET", "/", ""});
  ASSERT_TRUE(reply.has_value()) << reply.error().detail;
  EXPECT_EQ(reply->status, 503);
  EXPECT_THAT(reply->body, HasSubstr("too many connections"));
  first.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(first.read_to_end(), HasSubstr("HTTP/1.1 200 OK"));
}

TEST(Control, AHeadOrBodyBeyondTheLimitIsRefused) {
  const test::TempDir dir;
  const auto server = given_server(dir.path(), echo);
  const RawConnection head(dir.path());
  head.send("GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(head.read_to_end(), HasSubstr("413"));
  const RawConnection body(dir.path());
  body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n");
  EXPECT_THAT(body.read_to_end(), HasSubstr("413"));
}

TEST(Control, WhatIsNotHttpIsRefused) {
  const test::TempDir dir;
  const auto server = given_server(dir.path(), echo);
  const RawConnection connection(dir.path());
  connection.send("\x16\x03\x01 this is no request\r\n\r\n");
  EXPECT_THAT(connection.read_to_end(), HasSubstr("HTTP/1.1 400"));
}

TEST(Control, ARequestThatDoesNotComeIsLeftAfterTheTimeout) {
  const test::TempDir dir;
  ControlOptions options;
  options.io_timeout = std::chrono::milliseconds{50};
  const auto server = given_server(dir.path(), echo, options);
  const RawConnection connection(dir.path());
  connection.send("GET / HT");
  EXPECT_EQ(connection.read_to_end(), "");
}

TEST(Control, AnAnswerThatDoesNotComeIsLeftAfterTheTimeout) {
  const test::TempDir dir;
  std::mutex mutex;
  std::unique_lock hold(mutex);
  const auto server = given_server(dir.path(), [&](const ControlRequest& request) {
    const std::lock_guard wait(mutex);
    return echo(request);
  });
  const auto reply = control_call(dir.path(), {"GET", "/", ""}, std::chrono::milliseconds{50});
  hold.unlock();
  ASSERT_FALSE(reply.has_value());
  EXPECT_EQ(reply.error().code, Errc::limit);
}

TEST(Control, WhoHasAskedIsAnsweredWhileTheServerEnds) {
  const test::TempDir dir;
  std::mutex mutex;
  std::condition_variable changed;
  bool is_asked = false;
  bool is_ending = false;
  auto server = given_server(dir.path(), [&](const ControlRequest& request) {
    std::unique_lock lock(mutex);
    is_asked = true;
    changed.notify_all();
    changed.wait(lock, [&] { return is_ending; });
    return echo(request);
  });
  std::thread asking([&] {
    const auto reply = control_call(dir.path(), {"GET", "/", ""});
    ASSERT_TRUE(reply.has_value()) << reply.error().detail;
    EXPECT_EQ(reply->body, "GET / ");
  });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return is_asked; });
  std::thread ending([&] { server.reset(); });
  // Its first step can be seen from here: the socket goes.
  while (std::filesystem::exists(dir / "control.sock")) std::this_thread::yield();
  is_ending = true;
  changed.notify_all();
  lock.unlock();
  ending.join();
  asking.join();
}

TEST(Control, EndsWhileConnectionsStandOpen) {
  const test::TempDir dir;
  auto server = given_server(dir.path(), echo);
  const RawConnection idle(dir.path());
  const RawConnection half(dir.path());
  half.send("GET / HTTP/1.1\r\n");
  server.reset();
  EXPECT_EQ(idle.read_to_end(), "");
  EXPECT_EQ(half.read_to_end(), "");
}

}  // namespace
}  // namespace standpipe::tools
