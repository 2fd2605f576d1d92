#include "tests/support/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "schema/base/assert.h"

extern char** environ;

namespace standpipe::test {
namespace {

std::vector<std::string> environment_of(const ProcessOptions& options) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (text.starts_with("STANDPIPE_") && !text.starts_with("STANDPIPE_SHARED=")) continue;
    environment.emplace_back(text);
  }
  // Programs of tests run side by side: one that wants metrics says where.
  if (!options.environment.contains("STANDPIPE_ADMIN")) {
    environment.emplace_back("STANDPIPE_ADMIN=none");
  }
  for (const auto& [name, value] : options.environment) environment.push_back(name + "=" + value);
  return environment;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// {read end, write end}, neither inherited by children.
std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  STANDPIPE_ASSERT(::pipe2(ends.data(), O_CLOEXEC) == 0, "no pipe");
  return ends;
}

}  // namespace

std::string standpipe_binary() {
  const char* named = std::getenv("STANDPIPE_BINARY");
  return named != nullptr && *named != '\0' ? named : STANDPIPE_BINARY_PATH;
}

Process::Process(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  // Everything is made before the fork: the child of a process with threads may not allocate.
  std::vector<std::string> words = {options.program.empty() ? standpipe_binary() : options.program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> environment = environment_of(options);
  const std::vector<char*> argv = pointers_to(words);
  const std::vector<char*> envp = pointers_to(environment);
  const std::string error_path = dir_ / "stderr";
  const char* output_path = options.output_path.empty() ? nullptr : options.output_path.c_str();
  const auto input = make_pipe();
  const auto output = make_pipe();
  id_ = ::fork();
  STANDPIPE_ASSERT(id_ >= 0, "no fork");
  if (id_ == 0) {
    const int error = ::open(error_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int out = output_path == nullptr ? output[1] : ::open(output_path, O_WRONLY);
    ::dup2(input[0], STDIN_FILENO);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(error, STDERR_FILENO);
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  ::close(input[0]);
  ::close(output[1]);
  input_ = input[1];
  output_ = output[0];
  ::signal(SIGPIPE, SIG_IGN);  // it may end before it has read what it is fed
}

Process::~Process() {
  if (!has_ended_) {
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
  close_input();
  if (output_ >= 0) ::close(output_);
}

void Process::feed(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t written = ::write(input_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    STANDPIPE_ASSERT(written > 0, "the program does not read its input");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void Process::close_input() {
  if (input_ >= 0) ::close(std::exchange(input_, -1));
}

std::string Process::read_line() {
  std::array<char, 4096> buffer{};
  std::size_t end = read_.find('\n');
  while (end == std::string::npos) {
    const ssize_t size = ::read(output_, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return std::exchange(read_, "");
    read_.append(buffer.data(), static_cast<std::size_t>(size));
    end = read_.find('\n');
  }
  std::string line = read_.substr(0, end + 1);
  read_.erase(0, end + 1);
  return line;
}

void Process::signal(int number) const {
  STANDPIPE_ASSERT(!has_ended_, "it has ended");
  ::kill(id_, number);
}

std::string Process::error_text() const {
  std::ifstream error(dir_ / "stderr", std::ios::binary);
  return {std::istreambuf_iterator<char>(error), std::istreambuf_iterator<char>()};
}

Outcome Process::wait() {
  close_input();
  return wait_with_open_input();
}

Outcome Process::wait_with_open_input() {
  Outcome outcome;
  for (std::string line = read_line(); !line.empty(); line = read_line()) outcome.out += line;
  int status = 0;
  while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) {
  }
  has_ended_ = true;
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  outcome.err = error_text();
  return outcome;
}

Outcome run_standpipe(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  return Process(arguments, options).wait();
}

}  // namespace standpipe::test
