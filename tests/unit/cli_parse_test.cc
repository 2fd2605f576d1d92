#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tools/cli.h"
#include "tools/config_file.h"
#include "tools/values.h"

namespace standpipe::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

template <typename T>
std::string refusal(const Result<T>& result) {
  return result ? "" : result.error().detail;
}

TEST(Values, SizesAreBytesWithBinaryOrDecimalUnits) {
  EXPECT_EQ(*parse_size("0"), 0U);
  EXPECT_EQ(*parse_size("4096"), 4'096U);
  EXPECT_EQ(*parse_size("12B"), 12U);
  EXPECT_EQ(*parse_size("64MiB"), 67'108'864U);
  EXPECT_EQ(*parse_size("256GiB"), 274'877'906'944U);
  EXPECT_EQ(*parse_size("10MB"), 10'000'000U);
  EXPECT_EQ(*parse_size("9223372036854775807"), 9'223'372'036'854'775'807U);
}

TEST(Values, RefusesSizesThatAreNone) {
  for (const char* wrong : {"", "GiB", "-1", "+1", "1.5GiB", "64 MiB", "64mib", "12parsecs", "0x10",
                            "9223372036854775808", "99999999999999999999", "8388608TiB"}) {
    EXPECT_THAT(refusal(parse_size(wrong)), HasSubstr("is not a size")) << wrong;
  }
}

TEST(Values, DurationsNeedAUnit) {
  EXPECT_EQ(*parse_duration_ms("0"), 0);
  EXPECT_EQ(*parse_duration_ms("500ms"), 500);
  EXPECT_EQ(*parse_duration_ms("90s"), 90'000);
  EXPECT_EQ(*parse_duration_ms("15m"), 900'000);
  EXPECT_EQ(*parse_duration_ms("24h"), 86'400'000);
  EXPECT_EQ(*parse_duration_ms("30d"), 2'592'000'000);
  for (const char* wrong : {"", "24", "h", "1h30m", "-1h", "1w", "9223372036854775807s"}) {
    EXPECT_THAT(refusal(parse_duration_ms(wrong)), HasSubstr("is not a duration")) << wrong;
  }
}

TEST(Values, TimesNeedAZone) {
  EXPECT_EQ(*parse_time_ms("1970-01-01T00:00:01Z"), 1'000);
  EXPECT_EQ(*parse_time_ms("2026-07-04T14:38:07.517Z"), 1'783'175'887'517);
  for (const char* wrong : {"", "yesterday", "2026-07-04", "2026-07-04T14:38:07", "1783175887"}) {
    EXPECT_THAT(refusal(parse_time_ms(wrong)), HasSubstr("is not a time: RFC 3339")) << wrong;
  }
}

TEST(Values, SeqsReachFromZeroToTwoToTheFiftyThird) {
  EXPECT_EQ(*parse_seq("0"), Seq{0});
  EXPECT_EQ(*parse_seq("9007199254740991"), Seq{9'007'199'254'740'991});
  for (const char* wrong : {"", "-1", "x", "1e3", " 1", "9007199254740992"}) {
    EXPECT_THAT(refusal(parse_seq(wrong)),
                HasSubstr("is not a seq: a whole number from 0 to 9007199254740991"))
        << wrong;
  }
}

TEST(Values, AreWrittenAsPeopleReadThem) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(1'023), "1023 B");
  EXPECT_EQ(format_size(1'536), "1.5 KiB");
  EXPECT_EQ(format_size(274'877'906'944), "256.0 GiB");
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1'000), "1,000");
  EXPECT_EQ(format_count(31'527'015'471), "31,527,015,471");
  EXPECT_EQ(format_duration_ms(86'400'000), "1d");
  EXPECT_EQ(format_duration_ms(90'000), "90s");
  EXPECT_EQ(one_line("a\nb\tc\r\n"), "a b c");
}

// A program of two verbs that records what reached it.
struct Recorded {
  std::string data = "default";
  std::uint64_t size = 1;
  std::vector<std::string> dids;
  std::vector<std::string> files;
  std::size_t density = 0;
  bool is_json = false;
  std::string run;  // the verb that ran
};

Verb given_verb(std::string name, Recorded& recorded) {
  Verb verb;
  verb.name = name;
  verb.summary = "A verb";
  verb.examples = "  standpipe " + name + " --example\n";
  verb.options.text("data", "DIR", &recorded.data, "Where");
  verb.options.size("min-free", &recorded.size, "How much");
  verb.options.list("did", "DID", &recorded.dids, "Who");
  verb.options.choice("density", {"auto", "dense"}, &recorded.density, "How dense");
  verb.options.flag("json", &recorded.is_json, "How");
  if (name == "take") verb.options.positional("FILE", 1, &recorded.files, "What");
  verb.run = [&recorded, name] {
    recorded.run = name;
    return 0;
  };
  return verb;
}

class Cli : public ::testing::Test {
 protected:
  ~Cli() override {
    for (const std::string& name : set_) ::unsetenv(name.c_str());
  }

  // The exit status; what was printed is in `out` and `err`.
  int run(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "standpipe");
    recorded = Recorded();
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int status = run_cli(static_cast<int>(arguments.size()), arguments.data(), "9.8.7",
                               {given_verb("take", recorded), given_verb("epoch new", recorded)});
    out = testing::internal::GetCapturedStdout();
    err = testing::internal::GetCapturedStderr();
    return status;
  }

  void given_environment(const std::string& name, const std::string& value) {
    ::setenv(name.c_str(), value.c_str(), 1);
    set_.push_back(name);
  }

  std::string given_config(const std::string& text) {
    const std::filesystem::path path = dir / "config.toml";
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }

  test::TempDir dir;
  Recorded recorded;
  std::string out;
  std::string err;

 private:
  std::vector<std::string> set_;
};

TEST_F(Cli, OptionsAndFilesReachTheVerb) {
  EXPECT_EQ(run({"take", "a", "--data", "/x", "-", "--min-free", "4KiB", "--did", "did:a:b",
                 "--did=did:c:d", "--density", "dense", "--json"}),
            0);
  EXPECT_EQ(err, "");
  EXPECT_EQ(recorded.run, "take");
  EXPECT_EQ(recorded.data, "/x");
  EXPECT_EQ(recorded.size, 4'096U);
  EXPECT_EQ(recorded.dids, (std::vector<std::string>{"did:a:b", "did:c:d"}));
  EXPECT_EQ(recorded.files, (std::vector<std::string>{"a", "-"}));
  EXPECT_EQ(recorded.density, 1U);
  EXPECT_TRUE(recorded.is_json);
}

TEST_F(Cli, ARepeatableOptionTakesOneValueEachTime) {
  EXPECT_EQ(run({"take", "--did", "did:a:b", "file"}), 0);
  EXPECT_EQ(recorded.dids, (std::vector<std::string>{"did:a:b"}));
  EXPECT_EQ(recorded.files, (std::vector<std::string>{"file"}));
}

TEST_F(Cli, VerbsOfTwoWordsAreFound) {
  EXPECT_EQ(run({"epoch", "new", "--data", "/x"}), 0);
  EXPECT_EQ(recorded.run, "epoch new");
}

TEST_F(Cli, VersionAndHelpGoToStdoutWithExamples) {
  EXPECT_EQ(run({"--version"}), 0);
  EXPECT_EQ(out, "standpipe 9.8.7\n");
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_THAT(out, HasSubstr("take"));
  EXPECT_EQ(run({"take", "--help"}), 0);
  EXPECT_THAT(out, HasSubstr("Examples:\n  standpipe take --example"));
  EXPECT_THAT(out, HasSubstr("STANDPIPE_DATA"));
  EXPECT_THAT(out, HasSubstr("--min-free"));
  EXPECT_EQ(run({"epoch", "new", "--help"}), 0);
  EXPECT_THAT(out, HasSubstr("standpipe epoch new --example"));
  EXPECT_EQ(err, "");
  EXPECT_EQ(recorded.run, "");
}

TEST_F(Cli, WhatMakesNoSenseIsOneLineAndStatusTwo) {
  const std::vector<std::pair<std::vector<const char*>, std::string>> cases = {
      {{}, "standpipe: which verb? one of take, epoch new; see 'standpipe --help'\n"},
      {{"frobnicate"},
       "standpipe: unknown verb or option 'frobnicate'; verbs: take, epoch new; see 'standpipe "
       "--help'\n"},
      {{"epoch"}, "standpipe: which verb? one of take, epoch new; see 'standpipe --help'\n"},
      {{"epoch", "old"},
       "standpipe: unknown verb or option 'old'; verbs: take, epoch new; see 'standpipe --help'\n"},
      {{"take", "a", "--bogus"},
       "standpipe take: unknown option --bogus; allowed: --data, --min-free, --did, --density, "
       "--json, --config; see 'standpipe take --help'\n"},
      {{"epoch", "new", "extra"},
       "standpipe epoch new: 'extra' is one argument too many; see 'standpipe epoch new --help'\n"},
      {{"take"}, "standpipe take: FILE is required; see 'standpipe take --help'\n"},
      {{"take", "a", "--data", "x", "--data", "y"},
       "standpipe take: --data: given 2 times, allowed once; see 'standpipe take --help'\n"},
      {{"take", "a", "--min-free", "lots"},
       "standpipe take: --min-free: 'lots' is not a size: a whole number of bytes, or with one of "
       "KiB, MiB, GiB, TiB, KB, MB, GB, TB, as in 64MiB; see 'standpipe take --help'\n"},
      {{"take", "a", "--density", "thick"},
       "standpipe take: --density: 'thick' is not one of auto, dense; see 'standpipe take "
       "--help'\n"},
      {{"take", "a", "--data", ""},
       "standpipe take: --data: must not be empty; see 'standpipe take --help'\n"},
  };
  for (const auto& [arguments, expected] : cases) {
    EXPECT_EQ(run(arguments), 2) << expected;
    EXPECT_EQ(err, expected);
    EXPECT_EQ(out, "");
    EXPECT_EQ(recorded.run, "");
  }
  EXPECT_EQ(run({"take", "a", "--data"}), 2);
  EXPECT_THAT(err, StartsWith("standpipe take: --data"));
}

TEST_F(Cli, RequiredOptionsNameEverySourceTheyMayComeFrom) {
  Verb verb;
  verb.name = "go";
  std::string where;
  verb.options.text("data-dir", "DIR", &where, "Where");
  verb.options.required();
  verb.run = [] { return 0; };
  testing::internal::CaptureStderr();
  const std::vector<const char*> arguments = {"standpipe", "go"};
  EXPECT_EQ(run_cli(2, arguments.data(), "1", {verb}), 2);
  EXPECT_EQ(
      testing::internal::GetCapturedStderr(),
      "standpipe go: --data-dir DIR is required (or STANDPIPE_DATA_DIR in the environment, or "
      "data-dir in the file of --config); see 'standpipe go --help'\n");
}

TEST_F(Cli, TheNearerSourceCounts) {
  const std::string config = given_config(
      "data = \"/above\"\nmin-free = 3\n[take]\ndata = \"/table\"\njson = true\n"
      "did = [\"did:a:b\", \"did:c:d\"]\n");
  EXPECT_EQ(run({"take", "f", "--config", config.c_str()}), 0);
  EXPECT_EQ(err, "");
  EXPECT_EQ(recorded.data, "/table");
  EXPECT_EQ(recorded.size, 3U);
  EXPECT_TRUE(recorded.is_json);
  EXPECT_EQ(recorded.dids, (std::vector<std::string>{"did:a:b", "did:c:d"}));

  EXPECT_EQ(run({"epoch", "new", "--config", config.c_str()}), 0);
  EXPECT_EQ(recorded.data, "/above");
  EXPECT_FALSE(recorded.is_json);

  given_environment("STANDPIPE_DATA", "/environment");
  given_environment("STANDPIPE_MIN_FREE", "5");
  EXPECT_EQ(run({"take", "f", "--config", config.c_str(), "--min-free", "7"}), 0);
  EXPECT_EQ(recorded.data, "/environment");
  EXPECT_EQ(recorded.size, 7U);

  given_environment("STANDPIPE_CONFIG", config);
  given_environment("STANDPIPE_JSON", "false");
  EXPECT_EQ(run({"take", "f"}), 0);
  EXPECT_FALSE(recorded.is_json);
  EXPECT_EQ(recorded.dids.size(), 2U);
}

TEST_F(Cli, AWrongValueNamesItsSource) {
  given_environment("STANDPIPE_MIN_FREE", "lots");
  EXPECT_EQ(run({"take", "f"}), 2);
  EXPECT_THAT(err, StartsWith("standpipe take: STANDPIPE_MIN_FREE: 'lots' is not a size"));
  EXPECT_EQ(run({"take", "f", "--min-free", "1"}), 0);  // nobody looks at what does not count

  const std::string config = given_config("\n[take]\njson = \"perhaps\"\n");
  EXPECT_EQ(run({"take", "f", "--min-free", "1", "--config", config.c_str()}), 2);
  EXPECT_THAT(err, StartsWith("standpipe take: " + config +
                              ":3: json: 'perhaps' is neither true nor false"));
}

TEST_F(Cli, UnknownKeysInTheConfigurationAreErrorsForEveryVerb) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"min_free = 1\n", ":1: unknown key 'min_free'; allowed: data, density, did, json, min-free"},
      {"[epoch.new]\nfile = \"x\"\n", ":2: unknown key 'file' in [epoch new]; allowed: data, "},
      {"[took]\ndata = \"x\"\n", ":2: unknown table [took]; allowed: take, epoch new"},
      {"data = 1.5\n", ":1: 'data' must be a string, a whole number, true or false, a time, or a"},
      {"data = \n", ":1: not TOML: "},
  };
  for (const auto& [text, expected] : cases) {
    const std::string config = given_config(text);
    EXPECT_EQ(run({"take", "f", "--config", config.c_str()}), 2) << text;
    EXPECT_THAT(err, StartsWith("standpipe take: " + config + expected));
    EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
    EXPECT_EQ(recorded.run, "");
  }
}

TEST_F(Cli, AConfigurationThatCannotBeReadIsAFailure) {
  EXPECT_EQ(run({"take", "f", "--config", (dir / "absent").c_str()}), 1);
  EXPECT_EQ(err, "standpipe take: i/o error: cannot read --config " + (dir / "absent").string() +
                     ": No such file or directory\n");
  EXPECT_EQ(run({"take", "f", "--config", dir.path().c_str()}), 1);
  EXPECT_THAT(err, HasSubstr("Is a directory"));
}

TEST_F(Cli, AnEmptyConfigurationAsksNothing) {
  const std::string config = given_config("");
  EXPECT_EQ(run({"take", "f", "--config", config.c_str()}), 0);
  EXPECT_EQ(recorded.data, "default");
}

}  // namespace
}  // namespace standpipe::tools
