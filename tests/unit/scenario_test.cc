// The scenario language: what it says, and how it says what is wrong.
#include "tools/play/scenario.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/temp_dir.h"

namespace standpipe::tools::play {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Result<Scenario> toml(std::string_view text) {
  return parse_scenario(text, ScenarioSyntax::toml, "s.toml");
}
Result<Scenario> json(std::string_view text) {
  return parse_scenario(text, ScenarioSyntax::json, "s.json");
}
// What is said of one fault with these lines; empty: nothing.
std::string said_of(const std::string& lines) {
  const auto scenario = toml("[[fault]]\n" + lines);
  return scenario ? "" : scenario.error().detail;
}
Fault fault_of(const std::string& lines) {
  const auto scenario = toml("[[fault]]\n" + lines);
  EXPECT_TRUE(scenario.has_value()) << scenario.error().detail;
  return scenario ? scenario->faults.at(0) : Fault();
}

TEST(Scenario, SaysTheSameInTomlAndInJson) {
  const auto first = toml(R"(
# A comment.
[[fault]]
kind = "close"
name = "the restart"
connection = [3, 1, 3]
after_seq = 31527015321
code = 1012
reason = "RelayRestart"
[[fault]]
kind = "stall"
connection = "every"
after = 0
pongs = true
)");
  const auto second = json(R"({"fault": [
    {"kind": "close", "name": "the restart", "connection": [3, 1, 3], "after_seq": 31527015321,
     "code": 1012, "reason": "RelayRestart"},
    {"kind": "stall", "connection": "every", "after": 0, "pongs": true}]})");
  for (const auto* scenario : {&first, &second}) {
    ASSERT_TRUE(scenario->has_value()) << scenario->error().detail;
    ASSERT_EQ((*scenario)->faults.size(), 2U);
    const Fault& close = (*scenario)->faults[0];
    EXPECT_EQ(close.kind, FaultKind::close);
    EXPECT_EQ(describe(close, 1), "fault 1 (close, 'the restart')");
    EXPECT_EQ(close.connections.which, FaultConnections::Which::listed);
    EXPECT_THAT(close.connections.numbers, ElementsAre(1, 3));
    EXPECT_EQ(close.place.by, FaultPlace::By::after_seq);
    EXPECT_EQ(close.place.at, 31'527'015'321);
    EXPECT_EQ(close.code, 1012);
    EXPECT_EQ(close.reason, "RelayRestart");
    const Fault& stall = (*scenario)->faults[1];
    EXPECT_EQ(describe(stall, 2), "fault 2 (stall)");
    EXPECT_EQ(stall.connections.which, FaultConnections::Which::every);
    EXPECT_EQ(stall.place.by, FaultPlace::By::after);
    EXPECT_EQ(stall.place.at, 0);
    EXPECT_TRUE(stall.pongs);
  }
}

TEST(Scenario, WhatIsLeftOutIsAsTheReferenceSays) {
  EXPECT_EQ(fault_of("kind = 'cut'\nafter = 1").connections.which, FaultConnections::Which::first);
  EXPECT_EQ(fault_of("kind = 'cut'\nafter = 1").how, "fin");
  EXPECT_EQ(fault_of("kind = 'close'\nafter = 1").code, -1);
  EXPECT_FALSE(fault_of("kind = 'stall'\nafter = 1").pongs);
  EXPECT_EQ(fault_of("kind = 'text'\nafter = 1").text, "not a frame");
  EXPECT_EQ(fault_of("kind = 'error'\nafter = 1").error, "ConsumerTooSlow");
  EXPECT_EQ(fault_of("kind = 'error'\nafter = 1").ends, "close");
  EXPECT_EQ(fault_of("kind = 'info'\nafter = 1").info, "OutdatedCursor");
  EXPECT_EQ(fault_of("kind = 'duplicate'\nseq = 1").times, 1);
  EXPECT_EQ(fault_of("kind = 'corrupt'\nseq = 1\nbyte = 0").mask, 255);
  EXPECT_EQ(fault_of("kind = 'oversize'\nseq = 1").bytes, 5'242'881);
  EXPECT_EQ(fault_of("kind = 'unknown_type'\nseq = 1").type, "#fixture");
  EXPECT_EQ(fault_of("kind = 'unknown_op'\nseq = 1").op, 2);
  EXPECT_EQ(fault_of("kind = 'seq_reset'\nframe = 1").to_seq, 1);
  EXPECT_EQ(fault_of("kind = 'redirect'").status, 307);
  EXPECT_EQ(fault_of("kind = 'no_pong'").place.by, FaultPlace::By::connection);
}

TEST(Scenario, WhatIsWrongIsSaidInOneLineWithTheKeyAndWhatIsAllowed) {
  struct Case {
    std::string lines;
    std::string said;
  };
  const Case cases[] = {
      {"after = 1", "s.toml: fault 1: kind is missing: one of cut, close, stall, "},
      {"kind = 'cutt'", "s.toml: fault 1: kind: \"cutt\" is not one of cut, close, stall, delay, "},
      {"kind = 5", "s.toml: fault 1: kind: 5 is not one of cut"},
      {"kind = 'cut'",
       "s.toml: fault 1 (cut): does not say where it happens: exactly one of after "
       "or after_seq; or frame or seq, with byte"},
      {"kind = 'cut'\nafter = 1\nafter_seq = 2", "fault 1 (cut): says twice where it happens"},
      {"kind = 'cut'\nafter = -1",
       "fault 1 (cut): after: -1 is not a whole number from 0 to 1000000000000"},
      {"kind = 'cut'\nafter = 1.5", "after: 1.5 is not a whole number from 0"},
      {"kind = 'cut'\nafter = '1'", "after: \"1\" is not a whole number from 0"},
      {"kind = 'cut'\nafter_seq = 0",
       "after_seq: 0 is not a whole number from 1 to 9007199254740991"},
      {"kind = 'cut'\nseq = 9007199254740992",
       "seq: 9007199254740992 is not a whole number from 1"},
      {"kind = 'cut'\nseq = 3", "byte is missing: with frame or seq it says where in the frame"},
      {"kind = 'cut'\nafter = 3\nbyte = 1", "byte: goes with frame or seq, not with after"},
      {"kind = 'cut'\nafter = 3\nhow = 'hard'", "how: \"hard\" is not one of fin, reset"},
      {"kind = 'cut'\nafter = 3\ncode = 1000",
       "\"code\": no such key of a cut, which may have kind, name, connection, after, after_seq, "
       "frame, seq, byte, how"},
      {"kind = 'skip'\nafter = 3",
       "\"after\": no such key of a skip, which may have kind, name, "
       "connection, frame, seq"},
      {"kind = 'window'\noldest = 3\nafter = 3", "\"after\": no such key of a window"},
      {"kind = 'cut'\nafter = 1\nconnection = 0",
       "connection: 0 is not a whole number from 1 to "
       "100000"},
      {"kind = 'cut'\nafter = 1\nconnection = 'all'",
       "connection: \"all\" is not a number from 1, a list of up to 1000 such numbers, or "
       "\"every\""},
      {"kind = 'cut'\nafter = 1\nconnection = []", "connection: [] is not a number"},
      {"kind = 'cut'\nafter = 1\nconnection = [1, 'x']", "connection: \"x\" is not a whole number"},
      {"kind = 'close'\nafter = 1\ncode = 999",
       "code: 999 is not a whole number from 1000 to 4999"},
      {"kind = 'close'\nafter = 1\nreason = 'x'", "reason: needs a code, from 1000 to 4999"},
      {"kind = 'close'\nafter = 1\ncode = 1000\nreason = '" + std::string(124, 'x') + "'",
       "is not a string of up to 123 bytes"},
      {"kind = 'stall'\nafter = 1\npongs = 1", "pongs: 1 is not true or false"},
      {"kind = 'delay'\nafter = 1", "ms is missing: a whole number from 1 to 3600000"},
      {"kind = 'delay'\nafter = 1\nms = 0", "ms: 0 is not a whole number from 1 to 3600000"},
      {"kind = 'repeat'\nafter_seq = 5\nfrom_seq = 6",
       "from_seq: 6 is not an earlier seq: up to 5"},
      {"kind = 'text'\nafter = 1\ntext = 7", "text: 7 is not a string of up to 65536 bytes"},
      {"kind = 'error'\nafter = 1\nends = 'x'", "ends: \"x\" is not one of close, cut, open"},
      {"kind = 'duplicate'\nseq = 1\ntimes = 1001",
       "times: 1001 is not a whole number from 1 to 1000"},
      {"kind = 'corrupt'\nseq = 1", "byte is missing: a whole number from 0 to 67108864"},
      {"kind = 'corrupt'\nseq = 1\nbyte = 0\nmask = 256",
       "mask: 256 is not a whole number from 1 to 255"},
      {"kind = 'truncate'\nseq = 1", "bytes is missing: a whole number from 0"},
      {"kind = 'oversize'\nseq = 1\nbytes = 5242880",
       "bytes: 5242880 is not a whole number from 5242881 to 67108864"},
      {"kind = 'unknown_op'\nseq = 1\nop = -1", "op: -1 is a known one: any but 1 and -1"},
      {"kind = 'window'", "oldest is missing: a whole number from 1"},
      {"kind = 'status'\nstatus = 101", "status: 101 is not a whole number from 200 to 599"},
      {"kind = 'redirect'\nstatus = 200", "status: 200 is not a whole number from 300 to 399"},
      {"kind = 'redirect'\nto = \"a\\r\\nb\"", "to: is not a URL in printable ASCII"},
      {"kind = 'no_pong'\nname = 7", "name: 7 is not a string of up to 200 bytes"},
      {"kind = 'no_pong'\nname = 2026-07-04", "is not a string of up to 200 bytes"},
  };
  for (const Case& one : cases) {
    const std::string said = said_of(one.lines);
    EXPECT_THAT(said, StartsWith("s.toml: fault 1")) << one.lines;
    EXPECT_THAT(said, HasSubstr(one.said)) << one.lines;
    EXPECT_EQ(said.find('\n'), std::string::npos) << one.lines;
  }
}

TEST(Scenario, WhatIsNoScenarioIsSaidWithThePlace) {
  EXPECT_THAT(toml("[[fault]]\nkind = ").error().detail, StartsWith("s.toml:2: not TOML: "));
  EXPECT_THAT(toml("a = 1\na = 2").error().detail, StartsWith("s.toml:2: not TOML: "));
  EXPECT_THAT(json("{\"fault\": [").error().detail, StartsWith("s.json: not JSON: "));
  EXPECT_EQ(json("[]").error().detail, "s.json: is not an object with a list 'fault'");
  EXPECT_EQ(json(R"({"fault": [{"kind": "no_pong", "kind": "cut"}]})").error().detail,
            "s.json: the key 'kind' stands twice");
  EXPECT_EQ(toml("").error().detail, "s.toml: holds no list 'fault' with a table for each");
  EXPECT_EQ(toml("fault = []").error().detail,
            "s.toml: holds no list 'fault' with a table for each");
  EXPECT_EQ(toml("fault = [1]").error().detail, "s.toml: fault 1: must be a table");
  EXPECT_EQ(toml("[[faults]]\nkind = 'cut'").error().detail,
            "s.toml: \"faults\": no such key; there is only 'fault', a list");
  EXPECT_EQ(toml("\"a\\nb\" = 1").error().detail,
            "s.toml: \"a\\nb\": no such key; there is only 'fault', a list");
  EXPECT_EQ(json(R"({"\r\n": 1})").error().detail,
            "s.json: \"\\r\\n\": no such key; there is only 'fault', a list");
  const std::string nested = "{\"fault\": [" + std::string(100, '[') + std::string(100, ']') + "]}";
  EXPECT_EQ(json(nested).error().detail, "s.json: nests deeper than 8");
  EXPECT_EQ(toml("fault = " + std::string(50, '[') + std::string(50, ']')).error().detail,
            "s.toml: nests deeper than 8");
}

TEST(Scenario, HasALimit) {
  const std::string large = "#" + std::string(1'048'576, ' ');
  EXPECT_EQ(toml(large).error().detail, "s.toml: larger than a scenario may be: 1048576 bytes");
  std::string many;
  for (int i = 0; i < 10'001; ++i) many += "[[fault]]\nkind='no_pong'\n";
  EXPECT_EQ(toml(many).error().detail, "s.toml: more faults than 10000");
}

TEST(Scenario, IsReadByItsName) {
  const test::TempDir dir;
  const auto file = read_scenario((dir / "absent.toml").string());
  EXPECT_THAT(file.error().detail, HasSubstr("absent.toml: No such file or directory"));
  EXPECT_EQ(file.error().code, Errc::io);
  EXPECT_THAT(read_scenario(dir.path().string()).error().detail, HasSubstr("Is a directory"));
}

}  // namespace
}  // namespace standpipe::tools::play
