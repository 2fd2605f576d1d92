// What a service manager gives and hears: sockets that outlive the process, and its state.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/serve_fixture.h"

namespace standpipe::test {
namespace {

using ::testing::HasSubstr;

// Stands in for systemd's end of NOTIFY_SOCKET; what it hears is what systemd would.
class NotifySocket {
 public:
  explicit NotifySocket(const std::filesystem::path& path)
      : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("cannot bind " + path.string());
    }
  }

  // Skips what is other than `wanted`, a prefix; returns the whole of what it was.
  std::string wait_for(std::string_view wanted) const {
    const Deadline deadline = deadline_from_now();
    for (;;) {
      pollfd entry{fd_.get(), POLLIN, 0};
      if (::poll(&entry, 1, poll_timeout(deadline)) <= 0) {
        throw std::runtime_error("waited in vain for " + std::string(wanted));
      }
      char text[4096];
      const ssize_t size = ::recv(fd_.get(), text, sizeof text, 0);
      const std::string_view told(text, size > 0 ? static_cast<std::size_t>(size) : 0);
      if (told.starts_with(wanted)) return std::string(told);
    }
  }

 private:
  const FileDescriptor fd_;
};

// A listening socket of the test's own, which is passed on.
class PassedSocket {
 public:
  PassedSocket() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        ::listen(fd_.get(), 64) != 0 ||
        ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("cannot listen");
    }
    port_ = ntohs(address.sin_port);
  }
  int fd() const { return fd_.get(); }
  std::uint16_t port() const { return port_; }

 private:
  FileDescriptor fd_;
  std::uint16_t port_ = 0;
};

class ServiceManager : public ServeFixture {
 protected:
  // As systemd starts us: the socket as descriptor 3, the pid that is meant known only then.
  NetworkProcessOptions options_passing(int fd) const {
    NetworkProcessOptions options;
    options.program = "/bin/bash";
    options.adds_listen = false;
    options.environment["PASSED"] = std::to_string(fd);
    options.environment["STANDPIPE"] = standpipe_binary();
    return options;
  }
  std::vector<std::string> passing(const std::vector<std::string>& arguments) const {
    std::vector<std::string> all{
        "-c", "exec 3<&\"$PASSED\"; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$STANDPIPE\" \"$@\"", "bash"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
  }
};

TEST_F(ServiceManager, IsToldWhenWeServeAndWhenWeStopAndThatWeLive) {
  given_imported(made_frames(1, 3));
  const NotifySocket manager(dir / "notify");
  NetworkProcessOptions options;
  options.environment["NOTIFY_SOCKET"] = (dir / "notify").string();
  options.environment["WATCHDOG_USEC"] = "300000";
  NetworkProcess served(arguments_of("serve", {}), options);
  manager.wait_for("READY=1");
  manager.wait_for("WATCHDOG=1");
  manager.wait_for("WATCHDOG=1");
  EXPECT_THAT(manager.wait_for("STATUS="), HasSubstr("0 subscribers"));
  EXPECT_EQ(served.stop().status, 0);
  manager.wait_for("STOPPING=1");
}

TEST_F(ServiceManager, WhoConnectsWhileWeRestartWaitsAndIsServed) {
  given_imported(made_frames(1, 9));
  const PassedSocket socket;
  Subscriber before = [&] {
    NetworkProcess first(passing(arguments_of("serve", {})), options_passing(socket.fd()));
    EXPECT_EQ(first.port(), socket.port());
    Subscriber subscriber = Subscriber::connect(socket.port(), repos("?cursor=0&until=9"));
    expect_made(subscriber.read_frames(9), 1, 9);
    EXPECT_EQ(first.stop().status, 0);
    return subscriber;
  }();
  expect_close(before, 1000);

  // Nobody serves now. The connection is made all the same, and its request waits.
  NetStream waiting = connect_stream(socket.port(), {});
  const std::string request = "GET /xrpc/_health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  ASSERT_TRUE(write_all(waiting, as_bytes(request), deadline_from_now()));
  NetworkProcess second(passing(arguments_of("serve", {})), options_passing(socket.fd()));
  std::string answer;
  std::vector<std::byte> room(4096);
  for (;;) {
    ASSERT_TRUE(wait_for(waiting, /*has_output=*/false, deadline_from_now()));
    const auto got = waiting.read(room);
    if (got.status == IoStatus::fin) break;
    answer += as_text(ByteView(room).first(got.bytes));
  }
  EXPECT_THAT(answer, HasSubstr("HTTP/1.1 200"));
  EXPECT_EQ(second.stop().status, 0);
}

TEST_F(ServiceManager, WhatIsNoListeningSocketIsNamed) {
  given_imported(made_frames(1, 3));
  const FileDescriptor plain(::socket(AF_INET, SOCK_STREAM, 0));
  const NetworkProcessOptions options = options_passing(plain.get());
  ProcessOptions starting;
  starting.program = options.program;
  starting.environment = options.environment;
  const Outcome outcome = run_standpipe(passing(arguments_of("serve", {})), starting);
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("descriptor 3 is not a TCP socket that listens"));
}

TEST_F(ServiceManager, SocketsThatAreMeantForAnotherAreLeftAlone) {
  given_imported(made_frames(1, 3));
  NetworkProcessOptions options;
  options.environment["LISTEN_PID"] = "1";
  options.environment["LISTEN_FDS"] = "7";
  NetworkProcess served(arguments_of("serve", {}), options);
  EXPECT_EQ(http_get(served.port(), "/xrpc/_health").status, 200);
}

}  // namespace
}  // namespace standpipe::test
