// SIGTERM as work sees it.
#include "tools/stop_signal.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "tests/support/net_stream.h"

namespace standpipe::test {
namespace {

using tools::StopSignal;

bool is_readable(int fd, int timeout_ms = 0) {
  pollfd waited{fd, POLLIN, 0};
  return ::poll(&waited, 1, timeout_ms) == 1;
}

// Who is woken by the descriptor says why it stopped by what on_stop has left.
TEST(StopSignal, WakesNobodyBeforeAllIsStopped) {
  std::atomic<const StopSignal*> self = nullptr;
  std::atomic<bool> was_readable = false, is_stopped = false;
  StopSignal signal([&] {
    while (self == nullptr) continue;
    was_readable = is_readable(self.load()->fd());
    is_stopped = true;
  });
  self = &signal;
  EXPECT_FALSE(is_readable(signal.fd()));
  ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
  ASSERT_TRUE(is_readable(signal.fd(), poll_timeout(deadline_from_now())));
  EXPECT_TRUE(is_stopped);
  EXPECT_FALSE(was_readable);
  EXPECT_TRUE(signal.was_raised());
}

TEST(StopSignal, WaitsEndWithoutASignalToo) {
  bool was_called = false;
  StopSignal signal([&] { was_called = true; });
  signal.end_waits();
  EXPECT_TRUE(is_readable(signal.fd()));
  EXPECT_FALSE(signal.was_raised());
  EXPECT_FALSE(was_called);
}

}  // namespace
}  // namespace standpipe::test
