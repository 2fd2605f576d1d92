#include "tools/stop_signal.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <utility>

#include "schema/base/assert.h"
#include "schema/base/thread_name.h"

namespace standpipe::tools {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

void make_readable(int event_fd) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(event_fd, &one, sizeof one);
}

}  // namespace

StopSignal::StopSignal(std::function<void()> on_stop) : on_stop_(std::move(on_stop)) {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal_fd_ = ::signalfd(-1, &set, SFD_CLOEXEC);
  stop_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  quit_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  STANDPIPE_ASSERT(signal_fd_ >= 0 && stop_fd_ >= 0 && quit_fd_ >= 0,
                   "no descriptors left at the start of the process");
  thread_ = std::thread([this] { wait_for_signals(); });
}

StopSignal::~StopSignal() {
  make_readable(quit_fd_);
  thread_.join();
  ::close(signal_fd_);
  ::close(stop_fd_);
  ::close(quit_fd_);
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void StopSignal::end_waits() { make_readable(stop_fd_); }

void StopSignal::wait_for_signals() {
  name_this_thread("signals");
  std::array<pollfd, 2> waited{{{signal_fd_, POLLIN, 0}, {quit_fd_, POLLIN, 0}}};
  for (;;) {
    if (::poll(waited.data(), waited.size(), -1) < 0) continue;
    if (waited[1].revents != 0) return;
    signalfd_siginfo info{};
    if (::read(signal_fd_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
    if (was_raised_.exchange(true)) ::_exit(1);  // asked twice: as a crash, which loses nothing
    on_stop_();
    make_readable(stop_fd_);
  }
}

}  // namespace standpipe::tools
