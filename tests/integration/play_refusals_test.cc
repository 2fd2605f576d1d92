// What `standpipe play` refuses, in one line each, before anything is served.

#include <gmock/gmock.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/hex.h"
#include "tests/support/play_fixture.h"

namespace standpipe::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class PlayRefusals : public PlayFixture {};

TEST_F(PlayRefusals, WhatCannotBeMeantIsRefusedInOneLine) {
  const std::string file = new_file();
  expect_refusal({}, 2, "say what to play: one of FILE, --data DIR and --simulate");
  expect_refusal({file, "--simulate", "--frames", "5"}, 2, "say what to play");
  expect_refusal({file, file}, 2, "wanted one FILE");
  expect_refusal({"--simulate"}, 2, "--simulate needs --frames N");
  expect_refusal({file, "--seed", "0"}, 2, "--seed and --accounts are of --simulate");
  expect_refusal({file, "--accounts", "5"}, 2, "--seed and --accounts are of --simulate");
  expect_refusal({file, "--until", "36501d"}, 2, "--until 36501d: longer than a hundred years");
  expect_refusal({file, "--from", "3"}, 2, "--stream, --epoch, --from and --to are of --data");
  expect_refusal({"--data", "x", "--from", "3", "--to", "2"}, 2, "--from is above --to");
  expect_refusal({file, "--speed", "0"}, 2, "--speed 0: give a number from 0.000001 to 1000000000");
  expect_refusal({file, "--rate", "fast"}, 2, "--rate fast: give a number");
  expect_refusal({file, "--rate", "1", "--stepped"}, 2, "--speed, --rate and --stepped: give one");
  expect_refusal({file, "--until", "never"}, 2,
                 "--until never: give end, end=N, connections=N, faults, or a duration");
  expect_refusal({file, "--until", "end=0"}, 2, "--until end=0: give end");
  expect_refusal({file, "--until", "faults"}, 2, "--until faults needs a --scenario");
  expect_refusal({file, "--port", "65536"}, 2, "--port");
  expect_refusal({file, "--memory-max", "1KiB"}, 1,
                 "the fixture does not fit into --memory-max 1.0 KiB: 1 frames do");
  expect_refusal({(dir / "absent").string()}, 1, "absent");
  expect_refusal({given_frames({})}, 2, "the fixture holds no frame");
  expect_refusal({given_frames({hex("a0 a1 63'seq' 01")}), "--speed", "1"}, 2,
                 "--speed: no frame of the fixture carries a time");
  given_play(frames_between(1, 5));
  expect_refusal({file, "--port", std::to_string(play_port())}, 1, "cannot listen on 127.0.0.1:");
}

TEST_F(PlayRefusals, MoreConnectionsThanDescriptorsAreRefused) {
  ProcessOptions shell;
  shell.program = "/bin/sh";
  const auto run = [&](const std::string& connections) {
    return run_standpipe({"-c", "ulimit -n 100; exec \"$0\" \"$@\"", standpipe_binary(), "play",
                          new_file(), "--until", "1ms", "--connections", connections},
                         shell);
  };
  const Outcome refused = run("19");
  EXPECT_EQ(refused.status, 2);
  EXPECT_EQ(refused.out, "");
  EXPECT_EQ(refused.err,
            "standpipe play: 19 connections at once are too many for 100 descriptors (ulimit -n): "
            "up to 18 are possible; see 'standpipe play --help'\n");
  EXPECT_EQ(run("18").status, 0);
}

TEST_F(PlayRefusals, ABadScenarioIsRefusedBeforeAnythingIsServed) {
  const std::string file = new_file();
  const auto refused = [&](std::string_view faults, const std::string& text,
                           const std::string& name = "s.toml") {
    expect_refusal({file, "--scenario", given_scenario(faults, name)}, 2, name + text);
  };
  refused("[[fault]]\nkind = \"cut\"\nafer = 1\n", ": fault 1 (cut): \"afer\": no such key");
  refused("[[fault]]\nkind = \"cut\"\nafter = \"x\"\n", ": fault 1 (cut): after: \"x\" is not a");
  refused("[[fault]\n", ":1: not TOML: ");
  refused(R"({"fault": [{"kind": "cat"}]})", ": fault 1: kind: \"cat\" is not one of cut, ",
          "s.json");
  refused("{", ": not JSON: ", "s.json");
  refused("[[fault]]\nkind = \"skip\"\nseq = 6\n",
          ": fault 1 (skip): seq: the fixture holds no seq 6: it has 1 to 5");
  refused("[[fault]]\nkind = \"cut\"\nafter_seq = 9\n", ": fault 1 (cut): after_seq: the fixture");
  refused("[[fault]]\nkind = \"repeat\"\nafter = 3\nfrom_seq = 9\n",
          ": fault 1 (repeat): from_seq:");
  refused("[[fault]]\nkind = \"window\"\noldest = 9\n", ": fault 1 (window): oldest: the fixture");
  expect_refusal({file, "--scenario", (dir / "absent.toml").string()}, 1, "absent.toml");
}

TEST_F(PlayRefusals, NothingIsHalfWritten) {
  const std::string file = new_file();
  const std::string ready = (dir / "no folder" / "ready").string();
  expect_refusal({file, "--ready-file", ready}, 1, "cannot write " + ready);
  const std::string report = (dir / "no folder" / "report").string();
  given_play(frames_between(1, 5), "", {"--report", report, "--until", "1ms"});
  const Outcome outcome = play().wait();
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("cannot write " + report));
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    EXPECT_THAT(entry.path().filename().string(), ::testing::Not(StartsWith("report")));
  }
}

}  // namespace
}  // namespace standpipe::test
