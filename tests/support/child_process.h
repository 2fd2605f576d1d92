// A program that a test starts, listens to, and may kill.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace standpipe::test {

// One thread at a time. Killed, if it still runs, when it goes out of scope.
class ChildProcess {
 public:
  // Starts `arguments[0]`, a path. Its standard input and output are pipes to here; its standard
  // error is ours.
  explicit ChildProcess(std::vector<std::string> arguments);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t id() const { return id_; }

  // The next line of its output, without the newline; nullopt at the end. What it wrote before it
  // was killed is still there to be read; an incomplete last line is not a line.
  std::optional<std::string> read_line();
  void close_input();
  void kill_now();  // SIGKILL

  // How it ended: its exit status, or minus the signal that killed it. Blocks.
  int wait();

 private:
  pid_t id_ = -1;
  int input_ = -1;   // ours: what it reads
  int output_ = -1;  // ours: what it writes
  std::string buffer_;
  std::optional<int> ended_;
};

}  // namespace standpipe::test
