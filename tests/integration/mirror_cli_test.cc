// What mirror, archive and serve say where they cannot begin: one clear line, and the exit status.

#include <gmock/gmock.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/cli_fixture.h"
#include "tests/support/frames.h"
#include "tests/support/mirror_status_fixture.h"

namespace standpipe::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Nobody listens there, and nobody is asked: each of these ends before the first dial.
constexpr const char* kUpstream = "ws://127.0.0.1:1";

using MirrorUsage = CliFixture;

TEST_F(MirrorUsage, WhatMakesNoSenseIsUsageAndNothingIsMade) {
  for (const std::string verb : {"mirror", "archive", "serve"}) {
    SCOPED_TRACE(verb);
    expect_refusal({verb, "--streem", "x"}, 2, "unknown option --streem; allowed: --data, ");
    expect_refusal({verb, "more"}, 2, "'more' is one argument too many");
    expect_refusal({verb, "--log-level", "loud"}, 2, "--log-level");
    expect_refusal({verb, "--status-interval", "5"}, 2, "--status-interval: '5' is not a duration");
    expect_refusal(run_standpipe({verb}), 2, "--data DIR is required (or STANDPIPE_DATA");
  }
  for (const std::string verb : {"mirror", "archive"}) {
    SCOPED_TRACE(verb);
    expect_refusal({verb, "--upstream", "ftp://host.example"}, 2,
                   "--upstream: upstream 'ftp://host.example': its scheme is none of wss, ws");
    expect_refusal({verb, "--upstream", ""}, 2, "--upstream: ");
    expect_refusal({verb, "--labeler", "ws://host.example/xrpc/com.atproto.sync.subscribeRepos"}, 2,
                   "--labeler: ");
    expect_refusal({verb, "--upstream", "=ws://host.example"}, 2, "the name is empty");
    expect_refusal({verb, "--upstream", "My Relay=ws://host.example"}, 2,
                   "--upstream: stream name 'My Relay': 1 to 64 of a-z");
    expect_refusal({verb, "--labeler", "[::1]:80"}, 2, "--labeler: stream name '::1'");
    expect_refusal({verb, "--upstream", kUpstream, "--upstream", "ws://127.0.0.1:2"}, 2,
                   "there are two streams of the name 'repos': give one another name, as in "
                   "other=ws://127.0.0.1:2");
    expect_refusal({verb, "--upstream", "a=ws://127.0.0.1:1", "--labeler", "a=ws://127.0.0.1:2"}, 2,
                   "there are two streams of the name 'a'");
    for (const char* wrong : {"0", "-1", "first", "9007199254740992", "1x"}) {
      expect_refusal({verb, "--upstream", kUpstream, "--from", wrong}, 2,
                     "none of oldest, newest, or a seq from 1 on");
    }
    expect_refusal({verb, "--upstream", kUpstream, "--density", "thick"}, 2,
                   "'thick' is not one of auto, dense, sparse");
    expect_refusal({verb, "--upstream", kUpstream, "--on-upstream-reset", "panic"}, 2,
                   "'panic' is not one of wait, new-epoch");
    expect_refusal(
        {verb, "--upstream", kUpstream, "--reconnect-min", "2s", "--reconnect-max", "1s"}, 2,
        "--reconnect-max is less than --reconnect-min");
    expect_refusal({verb, "--upstream", kUpstream, "--tls-ca", "/nowhere/ca.pem"}, 2,
                   "--tls-ca: cannot read /nowhere/ca.pem: No such file or directory");
  }
  for (const std::string verb : {"mirror", "serve"}) {
    SCOPED_TRACE(verb);
    for (const char* wrong : {"here", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
                              "::1:80", "localhost:80"}) {
      expect_refusal({verb, "--listen", wrong}, 2,
                     "--listen: '" + std::string(wrong) + "' is not an address to listen at");
    }
    expect_refusal({verb, "--listen", ""}, 2, "--listen: must not be empty");
    expect_refusal({verb, "--cursor-mode", "both"}, 2, "'both' is not one of exclusive, inclusive");
  }
  expect_refusal({"archive", "--listen", "127.0.0.1:0"}, 2, "unknown option --listen");
  expect_refusal({"serve", "--upstream", kUpstream}, 2, "unknown option --upstream");
  EXPECT_FALSE(std::filesystem::exists(archive));
}

TEST_F(MirrorUsage, WhatIsNotThereIsSaidWithWhatToDo) {
  expect_refusal({"serve"}, 1, "no archive in " + archive.string());
  for (const std::string verb : {"mirror", "archive"}) {
    expect_refusal({verb}, 1,
                   "no archive in " + archive.string() +
                       ", and no upstream to begin one with: give --upstream URL or --labeler URL");
  }
  EXPECT_FALSE(std::filesystem::exists(archive));
  import({given_file("a", make_frames({1, 2}))});
  for (const std::string verb : {"mirror", "archive"}) {
    expect_refusal(
        {verb}, 1,
        archive.string() + " follows no upstream yet: give --upstream URL or --labeler URL");
  }
}

TEST_F(MirrorUsage, AnAddressThatIsTakenIsNamedWithTheReason) {
  import({given_file("a", make_frames({1, 2}))});
  ScriptedUpstream other;
  const std::string taken = "127.0.0.1:" + std::to_string(other.port());
  for (const std::vector<std::string>& verb :
       std::vector<std::vector<std::string>>{{"serve"}, {"mirror", "--upstream", other.url()}}) {
    std::vector<std::string> arguments = verb;
    arguments.insert(arguments.end(), {"--listen", taken});
    expect_refusal(arguments, 1, "cannot listen at " + taken + ": Address already in use");
  }
  EXPECT_THAT(other.connections(), IsEmpty());
}

TEST_F(MirrorUsage, AReadyFileThatCannotBeWrittenEndsIt) {
  import({given_file("a", make_frames({1, 2}))});
  const std::string file = dir / "no" / "ready.json";
  const Outcome outcome =
      run({"serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--ready-file", file});
  expect_refusal(outcome, 1, "cannot write " + file + ": No such file or directory");
}

// -- Two processes on one directory ---------------------------------------------------------------

class MirrorHeld : public MirrorStatusFixture {
 protected:
  void expect_refused(const std::string& verb, const std::string& text) const {
    std::vector<std::string> arguments = arguments_of(verb, {});
    if (verb != "archive") arguments.insert(arguments.end(), {"--listen", "127.0.0.1:0"});
    const Outcome outcome = run_standpipe(arguments);
    CliFixture::expect_refusal(outcome, 1, text);
    EXPECT_THAT(outcome.err, HasSubstr(archive().string()));
  }

  class CliFixture : public test::CliFixture {
   public:
    using test::CliFixture::expect_refusal;
    void TestBody() override {}
  };
};

TEST_F(MirrorHeld, ASecondProcessIsRefusedByWhoHoldsItAndTheFirstGoesOn) {
  given_upstream(holding(1, 10));
  given_watched_mirror();
  wait_for_newest(10);
  const std::string holder = std::to_string(process().id());
  expect_refused("mirror", holder);
  expect_refused("archive", holder);
  expect_refused("serve", "to archive and to serve at once is what 'standpipe mirror' does");
  upstream().append(11, make_frame(11));
  wait_for_newest(11);
  expect_served(frames_between(1, 11));
  EXPECT_EQ(upstream().connections().size(), 1U);
}

TEST_F(MirrorHeld, ServersShareAnArchiveAndWhoWouldWriteIsRefused) {
  given_upstream(holding(1, 10));
  given_mirror();
  wait_until_durable(10);
  stop();
  given_server();
  expect_served(frames_between(1, 10));
  {
    NetworkProcess second(arguments_of("serve", {}));
    Subscriber subscriber = Subscriber::connect(second.port(), target_after(0));
    EXPECT_TRUE(subscriber.read_frames(10) == frames_between(1, 10));
    EXPECT_EQ(second.stop().status, 0);
  }
  expect_refused("archive", "to archive and to serve at once is what 'standpipe mirror' does");
  expect_refused("mirror", "");
  expect_served(frames_between(1, 10));
  stop();
  given_watched_mirror();
  wait_for_newest(10);
  upstream().wait_for_connections(2);
  EXPECT_EQ(cursors(), (std::vector<std::int64_t>{0, 10}));
}

// `archive` alone writes what `mirror` would, and `serve` shows it afterwards.
TEST_F(MirrorHeld, EitherHalfAloneDoesItsPart) {
  given_upstream(holding(1, 10));
  NetworkProcessOptions deaf;
  deaf.adds_listen = false;
  NetworkProcess archiver(arguments_of("archive", {}), deaf);
  EXPECT_THAT(archiver.listen(), IsEmpty());
  const auto deadline = std::chrono::steady_clock::now() + kTestDeadline;
  while (inspected()["streams"][0]["epochs"][0]["newest"] != 10) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << archiver.error_text();
  }
  EXPECT_EQ(archiver.stop().status, 0);
  given_server();
  expect_served(frames_between(1, 10));
}

}  // namespace
}  // namespace standpipe::test
