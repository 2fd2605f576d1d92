// NetworkProcess on a shell script in place of the program.
#include "tests/support/network_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <stdexcept>

namespace standpipe::test {
namespace {

using ::testing::HasSubstr;

class NetworkProcessOnScript : public ::testing::Test {
 protected:
  // $ready is the ready file, $all the arguments. Reads its input so as to wait.
  void given_script(const std::string& body) const {
    std::ofstream script(dir_ / "script");
    script << "all=$*\n"
              "while [ $# -gt 0 ]; do\n"
              "  if [ \"$1\" = --ready-file ]; then ready=$2; fi\n"
              "  shift\n"
              "done\n"
              "publish() { printf \"$1\\n\" \"$2\" >\"$ready.new\" && mv \"$ready.new\" "
              "\"$ready\"; }\n"
           << body << "\n";
  }
  std::vector<std::string> arguments() const { return {dir_ / "script", "serve"}; }
  static NetworkProcessOptions options() {
    NetworkProcessOptions options;
    options.program = "/bin/sh";
    return options;
  }
  // What NetworkProcess says when it cannot start.
  std::string failure_to_start(const NetworkProcessOptions& with) const {
    try {
      const NetworkProcess process(arguments(), with);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "it has started";
  }

 private:
  TempDir dir_;
};

constexpr const char* kListens =
    "trap 'echo stopping >&2; exit 3' TERM\n"
    "echo \"$all\"\n"
    "echo starting >&2\n"
    "publish '{\"listen\":[\"127.0.0.1:43121\",\"[::1]:8080\"],\"pid\":%d}' $$\n"
    "while read -r line; do :; done\n";

TEST_F(NetworkProcessOnScript, IsReadyWhenTheFileIsThereAndStopsOnSigterm) {
  given_script(kListens);
  NetworkProcess process(arguments(), options());
  EXPECT_EQ(process.port(), 43121);
  EXPECT_EQ(process.port(1), 8080);
  EXPECT_THROW(process.port(2), std::runtime_error);
  EXPECT_EQ(process.error_text(), "starting\n");
  const Outcome outcome = process.stop();
  EXPECT_EQ(outcome.status, 3);
  EXPECT_EQ(outcome.err, "starting\nstopping\n");
  EXPECT_THAT(outcome.out, HasSubstr("serve --listen 127.0.0.1:0 --ready-file /"));
}

TEST_F(NetworkProcessOnScript, IsKilledAtOnce) {
  given_script(kListens);
  NetworkProcess process(arguments(), options());
  const Outcome outcome = process.kill();
  EXPECT_EQ(outcome.status, -SIGKILL);
  EXPECT_EQ(outcome.err, "starting\n");
}

TEST_F(NetworkProcessOnScript, IsWaitedForWhenItEndsByItself) {
  given_script("publish '{\"listen\":[],\"pid\":%d}' $$; echo out; exit 5");
  NetworkProcessOptions without_listener = options();
  without_listener.adds_listen = false;
  NetworkProcess process(arguments(), without_listener);
  EXPECT_TRUE(process.listen().empty());
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.status, 5);
  EXPECT_EQ(outcome.out, "out\n");
}

TEST_F(NetworkProcessOnScript, ItsErrorIsToldWhenItEndsBeforeItListens) {
  given_script("echo 'standpipe: no such archive' >&2; exit 1");
  EXPECT_EQ(failure_to_start(options()),
            "it ended with status 1 before it listened; it said: standpipe: no such archive\n");
}

TEST_F(NetworkProcessOnScript, ItIsKilledWhenItDoesNotListenInTime) {
  given_script("echo waiting >&2; while read -r line; do :; done");
  NetworkProcessOptions impatient = options();
  impatient.ready_within = std::chrono::milliseconds(50);
  EXPECT_THAT(failure_to_start(impatient), HasSubstr("it does not listen; it said: "));
}

TEST_F(NetworkProcessOnScript, ItIsKilledWhenItDoesNotStopInTime) {
  given_script(std::string("trap '' TERM\n") +
               "publish '{\"listen\":[],\"pid\":%d}' $$\n"
               "while read -r line; do :; done\n");
  NetworkProcess process(arguments(), options());
  try {
    process.stop(std::chrono::milliseconds(50));
    FAIL() << "it has stopped";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("it does not end; it said: "));
  }
  EXPECT_EQ(::kill(process.id(), 0), -1);
}

TEST_F(NetworkProcessOnScript, AReadyFileThatIsNotWhatItShouldBeIsTold) {
  for (const char* line :
       {"nonsense", "{\"listen\":[\"127.0.0.1:1\"]}", "{\"pid\":%d}", "{\"listen\":[1],\"pid\":%d}",
        "{\"listen\":[],\"pid\":1}", "{\"listen\":[],\\n\"pid\":%d}"}) {
    given_script(std::string("publish '") + line + "' $$\nwhile read -r line; do :; done\n");
    EXPECT_THAT(failure_to_start(options()), HasSubstr("its ready file is ")) << line;
  }
}

}  // namespace
}  // namespace standpipe::test
