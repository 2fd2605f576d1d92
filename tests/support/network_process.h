// The program as a server: started as a child, awaited until it listens, stopped or killed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/net_stream.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace standpipe::test {

struct NetworkProcessOptions {
  std::map<std::string, std::string> environment;
  std::string program;      // empty: standpipe_binary()
  bool adds_listen = true;  // --listen 127.0.0.1:0
  std::chrono::milliseconds ready_within = kTestDeadline;
};

// One thread. What does not happen in time, or happens otherwise, throws
// std::runtime_error with what the program said on its standard error. Killed, if it still runs,
// when it goes out of scope.
class NetworkProcess {
 public:
  // Runs it with `arguments`, "--ready-file FILE" and, if asked for, "--listen 127.0.0.1:0", and
  // returns when it has renamed to FILE one line: {"listen":["127.0.0.1:43121"],"pid":123}.
  explicit NetworkProcess(std::vector<std::string> arguments,
                          const NetworkProcessOptions& options = {});
  ~NetworkProcess();
  NetworkProcess(const NetworkProcess&) = delete;
  NetworkProcess& operator=(const NetworkProcess&) = delete;

  pid_t id() const { return process_->id(); }
  const std::vector<std::string>& listen() const { return listen_; }  // as it says, in its order
  std::uint16_t port(std::size_t number = 0) const;                   // of the number-th listener
  std::uint16_t admin_port() const;  // of its admin listener, which must have been asked for
  std::string error_text() const;    // its standard error so far
  std::string output_text() const;   // its standard output so far

  void signal(int number) const { process_->signal(number); }
  // Each ends it and returns how it ended, with all that it wrote. One that has not ended by then
  // is killed.
  Outcome stop(std::chrono::milliseconds within = kTestDeadline);  // SIGTERM
  Outcome kill();                                                  // SIGKILL
  // By itself; its input stays open.
  Outcome wait(std::chrono::milliseconds within = kTestDeadline);

 private:
  Outcome finish();
  void wait_until_ready(const std::filesystem::path& ready_file, Deadline deadline);
  [[noreturn]] void give_up(const std::string& what);

  TempDir dir_;  // of the ready file and its standard output
  std::unique_ptr<Process> process_;
  FileDescriptor exit_;  // readable when it has ended
  std::vector<std::string> listen_;
  std::string admin_;  // address; empty: none
};

}  // namespace standpipe::test
