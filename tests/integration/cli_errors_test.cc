// What the program does with input that is wrong: frames, files, options.
#include <algorithm>
#include <fstream>

#include "schema/cbor.h"
#include "tests/support/cli_fixture.h"
#include "tests/support/frame_file.h"
#include "tests/support/frames.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class CliErrors : public CliFixture {
 protected:
  std::vector<std::string> names_in_dir() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  std::string given_text(const std::string& name, const std::string& text) const {
    std::ofstream(dir / name, std::ios::binary) << text;
    return dir / name;
  }
};

Bytes from_hex(std::string_view hex) { return *parse_hex(hex); }

std::vector<Bytes> variants_of(std::initializer_list<std::int64_t> seqs) {
  std::vector<Bytes> frames;
  for (const std::int64_t seq : seqs) {
    FrameSpec spec;
    spec.seq = seq;
    spec.variant = 1;
    frames.push_back(make_frame(spec));
  }
  return frames;
}

TEST_F(CliErrors, JunkAmongFramesIsKeptAsideWithItsReason) {
  std::vector<Bytes> frames = make_frames({1});
  frames.push_back({});                                      // empty
  frames.push_back(from_hex("ff"));                          // a break outside of anything
  frames.push_back(from_hex("80a0"));                        // the header is a list
  frames.push_back(from_hex("a1617463237878a0"));            // no op
  frames.push_back(from_hex("a26174632378786f7002a0"));      // the op key is not there: broken
  frames.push_back(from_hex("a2617463237878626f7002a0"));    // op 2
  frames.push_back(from_hex("a2617463237878626f7001"));      // no payload
  frames.push_back(from_hex("a2617463237878626f7001a000"));  // something behind it
  frames.push_back(from_hex("a2617463237878626f7001a0"));    // no seq
  frames.push_back(from_hex("a2617463237878626f7001a16373657100"));  // seq 0
  frames.push_back(Bytes(6 << 20, std::byte{0}));                    // too large
  frames.push_back(from_hex("a1626f7020a1656572726f7263466f6f"));    // op -1: an error, noted
  frames.push_back(from_hex("a261746523696e666f626f7001a1646e616d656178"));  // #info: noted
  frames.push_back(make_frame(2));
  const json summary = import({given_file("mixed", frames)});
  EXPECT_EQ(summary["frames"], 15);
  EXPECT_EQ(summary["accepted"], 2);
  EXPECT_EQ(summary["noted"], 2);
  EXPECT_EQ(summary["quarantined"], 11);
  const json reasons = {{"empty", 1},          {"header_malformed", 2}, {"header_not_map", 1},
                        {"op_missing", 1},     {"op_unknown", 1},       {"payload_missing", 1},
                        {"trailing_bytes", 1}, {"seq_missing", 1},      {"seq_out_of_range", 1},
                        {"too_large", 1}};
  EXPECT_EQ(summary["kept_aside_by_reason"], reasons);
  EXPECT_TRUE(exported() == make_frames({1, 2}));

  const json shown = run_json({"inspect"});
  EXPECT_EQ(shown["quarantine"]["by_reason"], reasons);
  EXPECT_EQ(shown["quarantine"]["entries"], 11);
  EXPECT_EQ(shown["quarantine"]["newest"][0]["reason"], "too_large");
  EXPECT_EQ(shown["quarantine"]["newest"][0]["bytes"], 6 << 20);
  EXPECT_EQ(shown["quarantine"]["newest"][0]["stream"], "repos");
  std::vector<std::string> kinds;
  for (const json& note : shown["notes"]) kinds.push_back(note["kind"]);
  EXPECT_THAT(kinds, ::testing::IsSupersetOf({"info", "error"}));
  EXPECT_THAT(run({"inspect"}).out, HasSubstr("  too_large  1\n"));
}

TEST_F(CliErrors, OneConflictIsKeptAsideAndTheFirstFrameStays) {
  import({given_file("first", make_frame_range(1, 5))});
  const json summary = import({given_file("other", variants_of({3}))});
  EXPECT_EQ(summary["conflicts"], 1);
  EXPECT_EQ(summary["upstream_reset"], false);
  EXPECT_EQ(summary["kept_aside_by_reason"], (json{{"conflict", 1}}));
  EXPECT_TRUE(exported() == make_frame_range(1, 5));
}

TEST_F(CliErrors, ASeqThatIsNotStoredAndBelowTheNewestIsLate) {
  import({given_file("first", make_frames({1, 2, 5}))});
  const json summary = import({given_file("late", make_frames({3}))});
  EXPECT_EQ(summary["late"], 1);
  EXPECT_TRUE(exported() == make_frames({1, 2, 5}));
}

TEST_F(CliErrors, ThreeConflictsAreAResetAndANewEpochGoesOn) {
  import({given_file("first", make_frame_range(1, 5))});
  const std::string other = given_file("other", variants_of({2, 3, 4}));
  const Outcome reset = run({"import", other, "--json"});
  expect_refusal(reset, 1, "upstream_reset");
  EXPECT_THAT(reset.err, HasSubstr("standpipe epoch new --data " + archive.string()));
  const json summary = json::parse(reset.out);
  EXPECT_EQ(summary["upstream_reset"], true);
  EXPECT_EQ(summary["conflicts"], 3);
  EXPECT_EQ(summary["error"]["code"], "closed");
  expect_refusal({"import", other}, 1, "upstream_reset");
  EXPECT_TRUE(exported() == make_frame_range(1, 5));

  EXPECT_EQ(run_json({"epoch", "new", "--stream", "repos", "--reason", "relay rebuilt"}),
            (json{{"stream", "repos"}, {"epoch", 2}}));
  EXPECT_EQ(import({other})["accepted"], 3);
  EXPECT_TRUE(exported() == variants_of({2, 3, 4}));
  EXPECT_TRUE(exported({"--epoch", "1"}) == make_frame_range(1, 5));
  const json epochs = run_json({"inspect"})["streams"][0]["epochs"];
  ASSERT_EQ(epochs.size(), 2U);
  EXPECT_EQ(epochs[1]["reason"], "relay rebuilt");
  EXPECT_EQ(run_json({"inspect", "frame", "4"})["epoch"], 2);
  EXPECT_EQ(run_json({"inspect", "frame", "4", "--epoch", "1"})["epoch"], 1);
  expect_refusal({"tail", "--epoch", "3"}, 1, "stream 'repos' has no epoch 3: it has 1 to 2");
}

TEST_F(CliErrors, TheReportHasALinePerDurableCommit) {
  const std::string report = dir / "report";
  import({given_file("a", make_frame_range(1, 7)), "--commit-frames", "3", "--report", report});
  import({given_file("b", make_frames({8})), "--report", report});
  std::ifstream file(report);
  const std::string lines{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(lines,
            "{\"seq\":3,\"frames\":3}\n{\"seq\":6,\"frames\":3}\n{\"seq\":7,\"frames\":1}\n"
            "{\"seq\":8,\"frames\":1}\n");
}

TEST_F(CliErrors, FilesThatCannotBeReadAreFoundBeforeAnythingIsWritten) {
  const std::string good = given_file("good", make_frames({1}));
  const std::string absent = dir / "absent";
  expect_refusal({"import", good, absent}, 1,
                 "cannot read " + absent + ": No such file or directory; nothing was imported");
  expect_refusal({"import", good, dir.path()}, 1, "Is a directory");
  EXPECT_FALSE(std::filesystem::exists(archive));
}

TEST_F(CliErrors, AFileThatBreaksOffKeepsWhatCameBefore) {
  const std::string whole = frame_file_bytes(make_frame_range(1, 400));
  const std::string cut = given_text("cut", whole.substr(0, whole.size() - 10));
  const Outcome outcome = run({"import", cut, "--json", "--quiet"});
  expect_refusal(outcome, 1, cut);
  const json summary = json::parse(outcome.out);
  const std::int64_t read = summary["frames"];
  EXPECT_GT(read, 0);
  EXPECT_EQ(summary["accepted"], read);
  EXPECT_EQ(summary["files"], 0);
  EXPECT_TRUE(exported() == make_frame_range(1, read));
}

TEST_F(CliErrors, WhatIsNoFrameFileIsSaidToBeNone) {
  expect_refusal({"import", given_text("text", "{\"seq\": 1}\n")}, 1, "frame 0");
  expect_refusal({"import", given_text("nothing", "")}, 1, "empty");
}

TEST_F(CliErrors, AStreamKeepsItsKindAndItsUrl) {
  const std::string file = given_file("a", make_frames({1}));
  import({file, "--url", "wss://one.example"});
  expect_refusal({"import", file, "--kind", "labels", "--stream", "repos"}, 1, "repos");
  expect_refusal({"import", file, "--url", "wss://two.example"}, 1, "wss://one.example");
  import({file, "--url", "wss://two.example", "--change-upstream"});
  EXPECT_EQ(run_json({"inspect"})["streams"][0]["url"], "wss://two.example");
  import({file, "--kind", "labels", "--url", "wss://mod.example/xrpc"});
  EXPECT_EQ(run_json({"inspect", "--stream", "mod.example"})["streams"][0]["kind"], "labels");
}

TEST_F(CliErrors, WhatMakesNoSenseIsUsage) {
  const std::string file = given_file("a", make_frames({1}));
  expect_refusal(std::vector<std::string>{}, 2,
                 "which verb? one of mirror, archive, serve, import, export, verify, inspect, "
                 "tail, epoch new, backup, restore, repair, simulate");
  expect_refusal({"mirrors"}, 2, "unknown verb or option 'mirrors'");
  expect_refusal({"import"}, 2, "FILE is required");
  expect_refusal({"import", file, "--streem", "x"}, 2, "unknown option --streem; allowed: --data");
  expect_refusal({"import", file, "--partition-bytes", "many"}, 2,
                 "--partition-bytes: 'many' is not a size");
  expect_refusal({"import", file, "--partition-span", "24"}, 2,
                 "--partition-span: '24' is not a duration");
  expect_refusal({"import", file, "--kind", "posts"}, 2, "'posts' is not one of repos, labels");
  expect_refusal({"import", file, "--kind", "labels"}, 2, "--kind labels needs --stream NAME");
  expect_refusal({"import", "-", "-"}, 2, "standard input (-) can be read once");
  expect_refusal({"import", file, "--report", "-"}, 2, "--report - needs --json");
  expect_refusal({"import", file, "--commit-frames", "0"}, 2, "from 1 to 1000000");
  expect_refusal({"export"}, 2, "--output FILE is required (or STANDPIPE_OUTPUT");
  expect_refusal({"export", "--output", "x", "--after", "1", "--from-time", "2026-01-01T00:00:00Z"},
                 2, "--after and --from-time both say where to begin");
  expect_refusal({"export", "--output", "x", "--after", "5", "--until", "4"}, 2, "--until lies");
  expect_refusal({"export", "--output", "x", "--zstd-level", "20"}, 2, "from 1 to 19");
  expect_refusal({"tail", "--json", "--raw"}, 2, "give one of --json and --raw");
  expect_refusal({"tail", "--cursor", "-1"}, 2, "-1");
  expect_refusal({"tail", "--cursor", "9007199254740992"}, 2, "from 0 to 9007199254740991");
  expect_refusal({"tail", "--time", "noon"}, 2, "'noon' is not a time");
  expect_refusal({"tail", "--did", "alice.example"}, 2, "is not a DID");
  expect_refusal({"tail", "--collection", "*"}, 2, "is not a collection");
  expect_refusal({"inspect", "group", "5"}, 2, "frame SEQ");
  expect_refusal({"inspect", "frame"}, 2, "frame SEQ");
  expect_refusal({"inspect", "frame", "x"}, 2, "'x' is not a seq");
  expect_refusal({"inspect", "--hex"}, 2, "--hex");
  expect_refusal({"epoch", "new", "--stream", "repos"}, 2, "--reason TEXT is required");
  const std::string config = given_text("config.toml", "[import]\nminfree = 1\n");
  expect_refusal({"import", file, "--config", config}, 2,
                 config + ":2: unknown key 'minfree' in [import]; allowed: change-upstream, ");
  EXPECT_FALSE(std::filesystem::exists(archive));
  EXPECT_EQ(names_in_dir(), (std::vector<std::string>{"a", "config.toml"}));
}

TEST_F(CliErrors, EveryVerbHasHelpWithExamples) {
  for (const std::vector<std::string>& verb : std::vector<std::vector<std::string>>{
           {"import"}, {"export"}, {"inspect"}, {"tail"}, {"epoch", "new"}}) {
    std::vector<std::string> arguments = verb;
    arguments.emplace_back("--help");
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_THAT(outcome.out, HasSubstr("Examples:\n  standpipe " + verb.front()));
  }
  EXPECT_THAT(run({"--version"}).out, ::testing::MatchesRegex("standpipe [0-9]+\\.[0-9.]+\n"));
}

TEST_F(CliErrors, AnArchiveThatIsNotThereIsNotMade) {
  for (const std::vector<std::string>& verb : std::vector<std::vector<std::string>>{
           {"export", "--output", dir / "out"},
           {"inspect"},
           {"tail"},
           {"epoch", "new", "--stream", "repos", "--reason", "x"}}) {
    expect_refusal(verb, 1, archive.string());
  }
  EXPECT_EQ(names_in_dir(), (std::vector<std::string>{}));
}

TEST_F(CliErrors, StreamsAndFramesThatAreNotThereAreNamedWithWhatIs) {
  import({given_file("a", make_frames({1, 2, 9})), "--stream", "one", "--density", "dense"});
  expect_refusal({"tail", "--stream", "two"}, 1, "no stream 'two'; there is: one");
  expect_refusal({"epoch", "new", "--stream", "two", "--reason", "x"}, 1,
                 "no stream 'two'; there is: one");
  expect_refusal({"inspect", "frame", "5"}, 1,
                 "no frame 5 in one epoch 1: it is in the gap after 2 before 9 (upstream");
  expect_refusal({"inspect", "frame", "10"}, 1, "the newest is 9");
  import({given_file("b", make_frames({1})), "--stream", "two"});
  expect_refusal({"tail"}, 1, "choose one by --stream: one, two");
}

TEST_F(CliErrors, AnExportIsWholeOrNotThere) {
  import({given_file("a", make_frames({1, 2}))});
  const std::string there = given_text("there", "precious");
  expect_refusal({"export", "--output", there}, 1, there + " exists");
  std::ifstream kept(there);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(kept), {}), "precious");
  expect_refusal({"export", "--output", dir / "no" / "such"}, 1, "No such file or directory");
  expect_refusal({"export", "--output", dir / "out", "--stream", "two"}, 1, "no stream 'two'");
  EXPECT_EQ(names_in_dir(), (std::vector<std::string>{"a", "archive", "there"}));
  EXPECT_EQ(run({"export", "--output", there, "--overwrite"}).status, 0);
  EXPECT_EQ(names_in_dir(), (std::vector<std::string>{"a", "archive", "there"}));
}

TEST_F(CliErrors, AFullStandardOutputIsAFailure) {
  import({given_file("a", make_frames({1, 2}))});
  ProcessOptions full = options();
  full.output_path = "/dev/full";
  for (const std::vector<std::string>& verb :
       std::vector<std::vector<std::string>>{{"tail"},
                                             {"inspect", "--json"},
                                             {"inspect", "frame", "1"},
                                             {"export", "--output", "-"}}) {
    const Outcome outcome = run_standpipe(verb, full);
    EXPECT_EQ(outcome.status, 1) << verb.front();
    EXPECT_THAT(outcome.err, HasSubstr("No space left on device")) << verb.front();
  }
}

TEST_F(CliErrors, TheEnvironmentAndAFileGiveOptionsLikeTheCommandLine) {
  const std::string config =
      given_text("config.toml", "data = \"" + archive.string() +
                                    "\"\nmin-free = 0\n[import]\nstream = \"named\"\n");
  ProcessOptions options;
  options.environment = {{"STANDPIPE_CONFIG", config}, {"STANDPIPE_JSON", "true"}};
  const Outcome outcome = run_standpipe({"import", given_file("a", make_frames({1}))}, options);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out)["stream"], "named");
}

}  // namespace
}  // namespace standpipe::test
