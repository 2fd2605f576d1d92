// The simulated network as a verb: to a frame file, to an archive, and what it refuses.
#include <fstream>

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
  expect({"--frames", "5"}, 2, "either --output FILE or --data DIR");
  expect({"--output", out}, 2, "either --frames or --span");
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

TEST_F(CliSimulate, ArchiveThatHasFramesIsLeftAlone) {
  simulated({"--frames", "5", "--data", archive, "--min-free", "0"});
  expect_refusal(simulate({"--frames", "5", "--data", archive, "--min-free", "0"}), 1,
                 "choose another --stream");
  EXPECT_EQ(exported().size(), 5U);
}

}  // namespace
}  // namespace standpipe::test
