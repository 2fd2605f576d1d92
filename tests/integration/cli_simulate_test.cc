// The simulated network as a verb: to a frame file, to an archive, and what it refuses.
#include <csignal>
#include <fstream>
#include <thread>

#include "tests/support/cli_fixture.h"

namespace standpipe::test {
namespace {

using nlohmann::json;

class CliSimulate : public CliFixture {
 protected:
  std::string path(const std::string& name) const { return dir / name; }

  // Without the archive of the fixture.
  Outcome simulate(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "simulate");
    return run_standpipe(arguments, {});
  }
  json simulated(std::vector<std::string> arguments) const {
    arguments.emplace_back("--json");
    arguments.emplace_back("--quiet");
    const Outcome outcome = simulate(std::move(arguments));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    return json::parse(outcome.out, nullptr, false);
  }
};

TEST_F(CliSimulate, FileAndArchiveHoldTheSameFrames) {
  const json to_file = simulated({"--seed", "7", "--frames", "300", "--output", path("sim.zst")});
  EXPECT_EQ(to_file["frames"], 300);
  EXPECT_FALSE(std::filesystem::exists(path("sim.zst.partial")));
  const json to_archive = simulated(
      {"--seed", "7", "--frames", "300", "--threads", "3", "--data", archive, "--min-free", "0"});
  EXPECT_EQ(to_archive["bytes"], to_file["bytes"]);
  const json totals = import({path("sim.zst")});
  EXPECT_EQ(totals["duplicates"], 300) << totals.dump();
}

TEST_F(CliSimulate, DidDocumentsAreOfTheAccountsThatAppear) {
  const json summary =
      simulated({"--frames", "60", "--output", path("sim.zst"), "--did-docs", path("docs.json")});
  std::ifstream file(path("docs.json"));
  const json docs = json::parse(file, nullptr, false);
  ASSERT_TRUE(docs.is_object());
  EXPECT_EQ(docs.size(), summary["accounts"]);
  for (const auto& [did, document] : docs.items()) EXPECT_EQ(document["id"], did);
}

TEST_F(CliSimulate, SpanIsFramesAtTheRate) {
  EXPECT_EQ(simulated({"--span", "2s", "--rate", "100", "--output", path("sim.zst")})["frames"],
            200);
}

TEST_F(CliSimulate, BadOptionsAreToldInOneLine) {
  const std::string out = path("sim.zst");
  const auto expect = [&](const std::vector<std::string>& arguments, int status,
                          const std::string& text) {
    expect_refusal(simulate(arguments), status, text);
  };
  expect({"--frames", "5"}, 2, "--output FILE, --data DIR or --listen ADDRESS");
  expect({"--output", out}, 2, "either --frames or --span");
  expect({"--frames", "5", "--output", out, "--bursts", "100"}, 2, "bursts: from the rate up to");
  expect({"--frames", "5", "--output", out, "--after", "3"}, 2, "go with --listen");
  expect({"--frames", "5", "--output", "-", "--labels", "-"}, 2, "can be written once");
  expect({"--listen", "here"}, 2, "--listen: 'here' is not an address");
  expect({"--listen", "127.0.0.1:0", "--output", out}, 2, "no files of them");
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{
           {"--stream", "west"}, {"--overwrite"}, {"--json"}, {"--quiet"}, {"--min-free", "0"}}) {
    std::vector<std::string> arguments = {"--listen", "127.0.0.1:0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    expect(arguments, 2, "go with --output or --data");
  }
  expect({"--listen", "127.0.0.1:0", "--speed", "fast"}, 2, "--speed: 'fast' is neither max nor");
  expect({"--frames", "5", "--span", "1s", "--output", out}, 2, "either --frames or --span");
  expect({"--span", "1ms", "--output", out}, 2, "less than one frame");
  expect({"--frames", "5", "--output", out, "--odd", "strange"}, 2, "'strange' is not one of");
  expect({"--frames", "5", "--output", out, "--odd", "legacy=1001"}, 2, "--odd legacy=1001");
  expect({"--frames", "5", "--output", out, "--mix", "posts=3"}, 2, "--mix posts=3");
  expect({"--frames", "5", "--output", out, "--mix", "sync=999"}, 2, "more than 1000 per mille");
  expect({"--frames", "5", "--output", out, "--start", "1999-01-01T00:00:00Z"}, 2, "2020");
  EXPECT_FALSE(std::filesystem::exists(out));
  std::ofstream(out) << "precious";
  expect({"--frames", "5", "--output", out}, 1, "exists");
  EXPECT_EQ(std::filesystem::file_size(out), 8U);
}

TEST_F(CliSimulate, ArchiveOfAnotherNetworkIsLeftAlone) {
  simulated({"--frames", "5", "--data", archive, "--min-free", "0"});
  expect_refusal(simulate({"--frames", "5", "--seed", "2", "--data", archive, "--min-free", "0"}),
                 1, "choose another --stream");
  EXPECT_EQ(exported().size(), 5U);
}

// Ended by a signal, which leaves whole commits, and once more after it is whole.
TEST_F(CliSimulate, ArchiveIsGoneOnWithByTheSameOptions) {
  const std::vector<std::string> options = {"--frames", "3000",    "--accounts", "50",
                                            "--rate",   "1000",    "--data",     archive,
                                            "--json",   "--quiet", "--min-free", "0"};
  std::vector<std::string> arguments = options;
  arguments.insert(arguments.begin(), "simulate");
  {
    Process interrupted(arguments);
    const auto has_some = [&] {
      std::error_code ec;
      for (const auto& entry : std::filesystem::directory_iterator(archive / "db", ec)) {
        if (entry.path().extension() == ".log" && entry.file_size() > (1U << 20)) return true;
      }
      return false;
    };
    while (!has_some()) std::this_thread::yield();
    interrupted.signal(SIGTERM);
    const Outcome outcome = interrupted.wait();
    ASSERT_EQ(outcome.status, 1) << outcome.out << outcome.err;
    EXPECT_THAT(outcome.err, ::testing::HasSubstr("stopped by a signal after"));
  }
  const std::size_t before = exported().size();
  ASSERT_GT(before, 0U);
  ASSERT_LT(before, 3000U);
  const Outcome rest = run_standpipe(arguments);
  ASSERT_EQ(rest.status, 0) << rest.err;
  EXPECT_EQ(json::parse(rest.out)["after"], before);
  EXPECT_EQ(json::parse(rest.out)["frames"], 3000 - before);
  const Outcome again = run_standpipe(arguments);
  EXPECT_EQ(json::parse(again.out)["frames"], 0);
  simulated({"--frames", "3000", "--accounts", "50", "--rate", "1000", "--output", path("whole")});
  EXPECT_EQ(import({path("whole")})["duplicates"], 3000);
}

// By the clock of the simulation, whatever the time is now: 3 h of it are three partitions.
TEST_F(CliSimulate, ArchiveIsDividedByTheTimeThatWasSimulated) {
  simulated({"--span", "3h", "--rate", "1", "--start", "2027-03-01T00:00:00Z", "--data", archive,
             "--partition-span", "1h", "--partition-bytes-min", "0", "--min-free", "0"});
  const json archived = run_json({"inspect"});
  const json& partitions = archived["streams"][0]["epochs"][0]["partitions"];
  ASSERT_GE(partitions.size(), 3U) << archived.dump(1);
  EXPECT_THAT(partitions[0].dump(), ::testing::HasSubstr("2027-03-01T00:"));
  EXPECT_THAT(partitions[1].dump(), ::testing::HasSubstr("2027-03-01T01:"));
  EXPECT_GT(exported({"--from-time", "2027-03-01T02:00:00Z"}).size(), 3000U);
}

TEST_F(CliSimulate, LabelsAreOfTheSameNetworkAndTheirKeyIsAmongTheDocuments) {
  const json summary =
      simulated({"--frames", "2000", "--accounts", "90", "--mix", "labels=50", "--output",
                 path("sim.zst"), "--labels", path("labels.zst"), "--did-docs", path("docs.json")});
  EXPECT_GT(summary["label_frames"], 60);
  EXPECT_EQ(summary["did_docs"], summary["accounts"].get<int>() + 1);
  const json totals = import({path("labels.zst"), "--stream", "labels", "--kind", "labels"});
  EXPECT_EQ(totals["accepted"], summary["label_frames"]) << totals.dump();
}

}  // namespace
}  // namespace standpipe::test
