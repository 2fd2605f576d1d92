#include "tests/support/network_process.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "schema/base/assert.h"

namespace standpipe::test {
namespace {

using nlohmann::json;

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Whether `fd` is readable before `deadline`; with a second one, whether either is.
bool wait_readable(int fd, int other, Deadline deadline) {
  std::array<pollfd, 2> entries = {pollfd{fd, POLLIN, 0}, pollfd{other, POLLIN, 0}};
  for (;;) {
    const int ready = ::poll(entries.data(), entries.size(), poll_timeout(deadline));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

std::uint16_t port_of(const std::string& address) {
  const char* const end = address.data() + address.size();
  std::uint16_t port = 0;
  const auto [at, error] = std::from_chars(&address[address.rfind(':') + 1], end, port);
  if (error != std::errc() || at != end || port == 0) {
    throw std::runtime_error("it listens on \"" + address + "\"");
  }
  return port;
}

bool is_readable(int fd) { return wait_readable(fd, -1, std::chrono::steady_clock::now()); }

}  // namespace

NetworkProcess::NetworkProcess(std::vector<std::string> arguments,
                               const NetworkProcessOptions& options) {
  const std::filesystem::path ready_file = dir_ / "ready";
  if (options.adds_listen) {
    arguments.insert(arguments.end(), {"--listen", "127.0.0.1:0"});
  }
  arguments.insert(arguments.end(), {"--ready-file", ready_file.string()});
  ProcessOptions process_options;
  process_options.environment = options.environment;
  process_options.program = options.program;
  // To a file: a pipe that nobody reads would hold it up when it is full.
  process_options.output_path = dir_ / "stdout";
  std::ofstream(process_options.output_path).flush();
  process_ = std::make_unique<Process>(arguments, process_options);
  // glibc 2.36 declares pidfd_open() for C alone.
  exit_ = FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, id(), 0)));
  STANDPIPE_ASSERT(exit_.get() >= 0, "no pidfd");
  wait_until_ready(ready_file, deadline_from_now(options.ready_within));
}

NetworkProcess::~NetworkProcess() = default;

void NetworkProcess::wait_until_ready(const std::filesystem::path& ready_file, Deadline deadline) {
  const FileDescriptor watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  STANDPIPE_ASSERT(::inotify_add_watch(watch.get(), dir_.path().c_str(), IN_MOVED_TO) >= 0,
                   "no inotify");
  // It may have been there before the watch was.
  while (!std::filesystem::exists(ready_file)) {
    if (!wait_readable(watch.get(), exit_.get(), deadline)) give_up("it does not listen");
    // It may have been ready and have ended between two looks.
    if (is_readable(exit_.get()) && !std::filesystem::exists(ready_file)) {
      const Outcome outcome = finish();
      throw std::runtime_error(fmt::format(
          "it ended with status {} before it listened; it said: {}", outcome.status, outcome.err));
    }
    std::array<char, 4096> events{};
    [[maybe_unused]] const ssize_t size = ::read(watch.get(), events.data(), events.size());
  }
  const std::string text = text_of(ready_file);
  const json ready = json::parse(text, nullptr, false);
  const bool is_right = ready.is_object() && ready.contains("listen") &&
                        ready["listen"].is_array() && ready.contains("pid") &&
                        ready["pid"] == id() && text.find('\n') == text.size() - 1;
  if (!is_right) give_up("its ready file is \"" + text + "\"");
  for (const json& address : ready["listen"]) {
    if (!address.is_string()) give_up("its ready file is \"" + text + "\"");
    listen_.push_back(address.get<std::string>());
  }
  if (ready.contains("admin")) admin_ = ready["admin"].get<std::string>();
}

std::uint16_t NetworkProcess::port(std::size_t number) const {
  if (number >= listen_.size()) {
    throw std::runtime_error(
        fmt::format("it has {} listeners, not {}", listen_.size(), number + 1));
  }
  return port_of(listen_[number]);
}

std::uint16_t NetworkProcess::admin_port() const { return port_of(admin_); }

std::string NetworkProcess::error_text() const { return process_->error_text(); }
std::string NetworkProcess::output_text() const { return text_of(dir_ / "stdout"); }

Outcome NetworkProcess::stop(std::chrono::milliseconds within) {
  signal(SIGTERM);
  return wait(within);
}

Outcome NetworkProcess::kill() {
  signal(SIGKILL);
  return wait();
}

Outcome NetworkProcess::wait(std::chrono::milliseconds within) {
  if (!wait_readable(exit_.get(), -1, deadline_from_now(within))) give_up("it does not end");
  return finish();
}

Outcome NetworkProcess::finish() {
  Outcome outcome = process_->wait_with_open_input();
  outcome.out = text_of(dir_ / "stdout");
  return outcome;
}

void NetworkProcess::give_up(const std::string& what) {
  signal(SIGKILL);
  const Outcome outcome = finish();
  throw std::runtime_error(fmt::format("{}; it said: {}", what, outcome.err));
}

}  // namespace standpipe::test
