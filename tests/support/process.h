// The program under test, run as a user runs it: arguments, environment, pipes, signals.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/temp_dir.h"

namespace standpipe::test {

// Where the built program is: STANDPIPE_BINARY, or beside the tests.
std::string standpipe_binary();

struct Outcome {
  int status = -1;  // exit status; minus the signal that ended it
  std::string out;  // what read_line has not taken
  std::string err;
};

struct ProcessOptions {
  // Beside ours, of which all STANDPIPE_ variables are left out but STANDPIPE_SHARED.
  std::map<std::string, std::string> environment;
  std::string output_path;  // standard output goes there, to a file that is; empty: it is caught
  std::string program;      // empty: standpipe_binary()
};

// One thread. Killed, if it still runs, when it goes out of scope.
class Process {
 public:
  // `arguments` without the program's name.
  explicit Process(const std::vector<std::string>& arguments, const ProcessOptions& options = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t id() const { return id_; }
  void feed(std::string_view bytes) const;  // to its standard input, which stays open
  void close_input();
  // The next line of its output with its end; empty at the end of the output. Blocks.
  std::string read_line();
  void signal(int number) const;   // not once it has been waited for
  std::string error_text() const;  // its standard error so far
  // Waits for its end, with its input closed.
  Outcome wait();
  // Waits for its end, with its input as it is: for a program that must end by itself.
  Outcome wait_with_open_input();

 private:
  TempDir dir_;  // of its standard error
  pid_t id_ = -1;
  int input_ = -1;
  int output_ = -1;
  std::string read_;  // of its output, not taken yet
  bool has_ended_ = false;
};

// Runs it to its end, with nothing to read.
Outcome run_standpipe(const std::vector<std::string>& arguments,
                      const ProcessOptions& options = {});

}  // namespace standpipe::test
