// SIGINT and SIGTERM as a question that long work can ask, and a descriptor that it can wait on.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace standpipe::tools {

// Make it before the first other thread: those inherit the signal mask by which the two signals
// come here alone. The first signal asks to stop; the second ends the process at once.
class StopSignal {
 public:
  // `on_stop` is called once, on a thread of this object's own.
  explicit StopSignal(std::function<void()> on_stop);
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool was_raised() const { return was_raised_.load(); }
  // Also makes fd() readable where no signal came: work has ended by itself.
  void end_waits();
  // Readable from the moment on when work is to stop, once `on_stop` has returned: who is woken by
  // it finds everything stopped. Not ours to close.
  int fd() const { return stop_fd_; }

 private:
  void wait_for_signals();

  std::function<void()> on_stop_;
  std::atomic<bool> was_raised_ = false;
  int signal_fd_ = -1;
  int stop_fd_ = -1;  // an eventfd, never read: readable for good
  int quit_fd_ = -1;  // ends the thread
  std::thread thread_;
};

}  // namespace standpipe::tools
