// The process that tests kill. Each report of what it does is a line on standard output, written
// before anything else happens.
//   crash_child run DIR [background] [kill-at-step N]   the scripted run; with N, SIGKILLs itself
//   at
//                                                       the Nth step of the partition protocols
//   crash_child abandon DIR                             the scripted run, left without a clean stop
//   crash_child hold DIR write|read                     opens, says `held`, holds until input ends
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "storage/archive.h"
#include "tests/support/scripted_run.h"

namespace {

using standpipe::Result;
using standpipe::test::ScriptedRun;

// Past all buffers of ours: a line that was written survives the SIGKILL that follows it.
void say(const std::string& line) {
  const std::string bytes = line + "\n";
  if (::write(STDOUT_FILENO, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    std::_Exit(3);
  }
}

int fail(const standpipe::Error& error) {
  std::fprintf(stderr, "crash_child: %s\n", to_string(error).c_str());
  return 1;
}

int run(const std::vector<std::string>& arguments) {
  standpipe::storage::ArchiveOptions options;
  bool in_background = false;
  unsigned long kill_at = 0;
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    if (arguments[i] == "background") in_background = true;
    if (arguments[i] == "kill-at-step") kill_at = std::stoul(arguments.at(++i));
  }
  std::mutex stepping;  // steps come from the archive's own thread, too
  unsigned long steps = 0;
  options.on_step = [&](std::string_view step) {
    const std::lock_guard lock(stepping);
    say("step " + std::string(step));
    if (++steps == kill_at) ::kill(::getpid(), SIGKILL);
  };
  ScriptedRun script(arguments[1], options, in_background);
  script.on_report = say;
  const Result<void> ran = script.run();
  return ran ? 0 : fail(ran.error());
}

int abandon(const std::string& dir) {
  ScriptedRun script(dir);
  script.on_report = say;
  if (const Result<void> opened = script.open(); !opened) return fail(opened.error());
  if (const Result<void> ran = script.go_on(); !ran) return fail(ran.error());
  std::_Exit(0);  // no destructor runs: the log is as it was
}

int hold(const std::string& dir, bool writes) {
  standpipe::storage::ArchiveOptions options;
  options.access =
      writes ? standpipe::storage::Access::write : standpipe::storage::Access::read_only;
  options.free_bytes_min = 0;
  const auto archive = standpipe::storage::Archive::open(dir, options);
  if (!archive) return fail(archive.error());
  say("held");
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() >= 2 && arguments[0] == "run") return run(arguments);
  if (arguments.size() == 2 && arguments[0] == "abandon") return abandon(arguments[1]);
  if (arguments.size() == 3 && arguments[0] == "hold") {
    return hold(arguments[1], arguments[2] == "write");
  }
  std::fputs("usage: crash_child run|abandon|hold DIR ...\n", stderr);
  return 2;
}
