// Each fault of the scenario language (those of the order: play_order_test), as a consumer of ours
// meets it: the archiver, and where that has no eye for it, a subscriber. The report proves that it
// happened, and to whom.

#include <gmock/gmock.h>

#include <string>
#include <string_view>
#include <vector>

#include "schema/frame.h"
#include "tests/support/play_fixture.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PlayFaults : public PlayFixture {};

// -- Ends -----------------------------------------------------------------------------------------

TEST_F(PlayFaults, ACutBetweenFramesByFinOrRst) {
  given_met(R"(
[[fault]]
kind = "cut"
connection = 1
after = 5
[[fault]]
kind = "cut"
after_seq = 12
how = "reset"
)");
  EXPECT_THAT(cursors_asked(), ElementsAre(0, 5, 12));
  expect_served(frames_between(1, 20));
  EXPECT_EQ(report()["connections"][0]["end"], "cut");
  EXPECT_EQ(report()["connections"][1]["end"], "reset");
  EXPECT_EQ(wait_for_fault(2)["on"][0], (json{{"connection", 2}, {"frame", 7}, {"seq", 12}}));
  expect_happened(1, 5, 5);
}

TEST_F(PlayFaults, ACutAtAByteOfAFrame) {
  given_met(R"(
[[fault]]
kind = "cut"
connection = 1
frame = 3
byte = 100
[[fault]]
kind = "cut"
seq = 9
byte = 0
how = "reset"
)");
  EXPECT_THAT(cursors_asked(), ElementsAre(0, 2, 8));
  expect_served(frames_between(1, 20));
  EXPECT_EQ(report()["connections"][0]["frames"], 2);
  expect_happened(1, 3, 3);
}

TEST_F(PlayFaults, ACloseWithAndWithoutACode) {
  given_met(R"(
[[fault]]
kind = "close"
connection = 1
after = 5
code = 1012
reason = "RelayRestart"
[[fault]]
kind = "close"
connection = 2
after = 5
)");
  EXPECT_THAT(cursors_asked(), ElementsAre(0, 5, 10));
  expect_served(frames_between(1, 20));
  EXPECT_THAT(process().error_text(), HasSubstr("1012"));
  EXPECT_EQ(report()["connections"][0]["end"], "closed");
  EXPECT_EQ(report()["connections"][0]["close_code"], 1012);
  EXPECT_EQ(report()["connections"][1]["end"], "closed");
  expect_happened(1, 5, 5);
}

TEST_F(PlayFaults, AStallIsWaitedOutAndDialledAgain) {
  given_met("[[fault]]\nkind = \"stall\"\nconnection = 1\nafter = 5\n",
            {"--idle-timeout", "300ms"});
  const std::vector<std::int64_t> cursors = cursors_asked();
  ASSERT_GE(cursors.size(), 2U);
  EXPECT_EQ(cursors[1], 5);
  EXPECT_GE(report()["connections"][0]["pings"], 1);
  expect_served(frames_between(1, 20));
  expect_happened(1, 5, 5);
}

// Where pings are answered, no consumer can tell it from a quiet stream.
TEST_F(PlayFaults, AStallWithPongs) {
  given_play(frames_between(1, 20), "[[fault]]\nkind = \"stall\"\nafter = 5\npongs = true\n");
  Subscriber subscriber = subscribe_to_play("?cursor=0");
  expect_sent(subscriber, frames_between(1, 5));
  expect_happened(1, 5, 5);
}

TEST_F(PlayFaults, ADelay) {
  given_met("[[fault]]\nkind = \"delay\"\nafter = 5\nms = 30\n");
  EXPECT_THAT(cursors_asked(), ElementsAre(0));
  expect_served(frames_between(1, 20));
  expect_happened(1, 5, 5);
  // What holds it back is the time, not the reader.
  given_play(frames_between(1, 20), "[[fault]]\nkind = \"delay\"\nafter = 5\nms = 3600000\n");
  Subscriber subscriber = subscribe_to_play("?cursor=0");
  expect_sent(subscriber, frames_between(1, 5));
}

TEST_F(PlayFaults, NoPong) {
  given_play(frames_between(1, 20), "[[fault]]\nkind = \"no_pong\"\nconnection = 1\n");
  given_consumer({"--idle-timeout", "300ms"});
  wait_for_newest(20);
  EXPECT_EQ(wait_for_end(1)["frames"], 20);
  EXPECT_GE(report()["connections"][0]["pings"], 1);
  wait_for_count("connections", 2);
  expect_happened(1, 20, 20);
}

// -- What is not a frame --------------------------------------------------------------------------

TEST_F(PlayFaults, ATextMessage) {
  const json status = given_met("[[fault]]\nkind = \"text\"\nafter = 5\ntext = \"hello\"\n");
  EXPECT_EQ(status["text"], 1);
  expect_served(frames_between(1, 20));
  wait_until_caught_up(1);
  EXPECT_EQ(report()["connections"][0]["messages"], 21);
  expect_happened(1, 5, 5);
}

TEST_F(PlayFaults, AnErrorFrameThatEndsTheStream) {
  given_met(R"(
[[fault]]
kind = "error"
connection = 1
after = 5
[[fault]]
kind = "error"
connection = 2
after = 5
error = "Whatever"
message = "of its own"
ends = "cut"
)");
  EXPECT_THAT(cursors_asked(), ElementsAre(0, 5, 10));
  EXPECT_EQ(report()["connections"][0]["end"], "closed");
  EXPECT_EQ(report()["connections"][1]["end"], "cut");
  expect_served(frames_between(1, 20));
  EXPECT_THAT(inspected()["notes"].dump(), HasSubstr("ConsumerTooSlow"));
  EXPECT_THAT(inspected()["notes"].dump(), HasSubstr("of its own"));
  expect_happened(1, 5, 5);
}

TEST_F(PlayFaults, AnErrorFrameThatEndsNothing) {
  given_play(frames_between(1, 20), "[[fault]]\nkind = \"error\"\nafter = 2\nends = \"open\"\n");
  Subscriber subscriber = subscribe_to_play("?cursor=0");
  const std::vector<Bytes> read = subscriber.read_frames(3);
  EXPECT_TRUE(subscriber.read_until_pong().empty());
  // {"op": -1} {"error": "ConsumerTooSlow", "message": ""}
  EXPECT_EQ(to_hex(read[2]),
            "a1626f7020a2656572726f726f436f6e73756d6572546f6f536c6f77676d65737361676560");
  expect_happened(1, 2, 2);
}

TEST_F(PlayFaults, FutureCursorIsTakenForAReset) {
  given_play(frames_between(1, 20),
             "[[fault]]\nkind = \"error\"\nafter = 5\nerror = \"FutureCursor\"\n");
  given_consumer();
  wait_for_state("upstream_reset");
  expect_served(frames_between(1, 5));
  expect_happened(1, 5, 5);
}

TEST_F(PlayFaults, AnInfoThatTheCursorIsOutdated) {
  given_play(frames_between(1, 20), "[[fault]]\nkind = \"info\"\nafter = 5\n");
  const Outcome tailed = tail({"--cursor", "0", "--until", "20"});
  EXPECT_EQ(tailed.status, 0);
  EXPECT_EQ(tailed.err,
            "standpipe tail: the server says OutdatedCursor: Requested cursor exceeded limit. "
            "Possibly missing events\n");
  EXPECT_TRUE(tailed.out == raw_frames(frames_between(1, 20)));
  expect_happened(1, 5, 5);
}

// -- Broken frames --------------------------------------------------------------------------------

TEST_F(PlayFaults, ACorruptByte) {
  const std::size_t byte = make_frame(5).size() - 1;
  given_play(frames_between(1, 20), "[[fault]]\nkind = \"corrupt\"\nseq = 5\nmask = 1\nbyte = " +
                                        std::to_string(byte) + "\n");
  Subscriber subscriber = subscribe_to_play("?cursor=0");
  std::vector<Bytes> expected = frames_between(1, 20);
  expected[4][byte] ^= std::byte{1};
  EXPECT_TRUE(subscriber.read_frames(20) == expected);
  expect_happened(1, 5, 5);
}

TEST_F(PlayFaults, ACorruptHeaderIsKeptAside) {
  const json status = given_met("[[fault]]\nkind = \"corrupt\"\nseq = 5\nbyte = 0\n");
  EXPECT_EQ(status["quarantined"], 1);
  expect_served(frames_without(5));
  expect_happened(1, 5, 5);
}

TEST_F(PlayFaults, ATruncatedFrame) {
  const json status = given_met("[[fault]]\nkind = \"truncate\"\nseq = 5\nbytes = 100\n");
  EXPECT_EQ(status["quarantined"], 1);
  EXPECT_EQ(gaps().size(), 1U);
  expect_served(frames_without(5));
  expect_happened(1, 5, 5);
}

TEST_F(PlayFaults, AnOversizeFrame) {
  const json status = given_met("[[fault]]\nkind = \"oversize\"\nseq = 5\n");
  EXPECT_EQ(status["kept_aside"], (json{{"too_large", 1}}));
  EXPECT_THAT(gaps(), ElementsAre("4..6 quarantined"));
  EXPECT_THAT(cursors_asked(), ElementsAre(0));
  expect_served(frames_without(5));
  expect_happened(1, 5, 5);
}

TEST_F(PlayFaults, AnUnknownTypeIsArchivedAsItCame) {
  given_met("[[fault]]\nkind = \"unknown_type\"\nseq = 5\ntype = \"#novel\"\n");
  Subscriber subscriber = subscribe("?cursor=4");
  const Bytes frame = subscriber.next_frame();
  // {"t": "#novel", "op": 1}
  const std::string header = "a2617466236e6f76656c626f7001";
  EXPECT_EQ(to_hex(frame).substr(0, header.size()), header);
  EXPECT_EQ(scan_frame(frame).envelope.seq, Seq{5});
  EXPECT_EQ(scan_frame(frame).envelope.blocks.size(), 300U);
  EXPECT_THAT(gaps(), IsEmpty());
  expect_happened(1, 5, 5);
}

TEST_F(PlayFaults, AnUnknownOp) {
  const json status = given_met("[[fault]]\nkind = \"unknown_op\"\nseq = 5\nop = 7\n");
  EXPECT_EQ(status["kept_aside"], (json{{"op_unknown", 1}}));
  expect_served(frames_without(5));
  expect_happened(1, 5, 5);
}

// -- Where it begins ------------------------------------------------------------------------------

TEST_F(PlayFaults, ANarrowerWindowIsAnnounced) {
  given_met(R"(
[[fault]]
kind = "window"
oldest = 11
[[fault]]
kind = "cut"
connection = 1
after = 5
)",
            {"--from", "11"});
  EXPECT_THAT(cursors_asked(), ElementsAre(10, 15));
  const json ended = end_play(1);  // cursor 10 asks for what is in the window
  EXPECT_EQ(ended["passed"], false);
  EXPECT_EQ(play_errors(), "standpipe play: did not happen: fault 1 (window)\n");

  given_play(frames_between(1, 20), "[[fault]]\nkind = \"window\"\noldest = 11\n");
  const Outcome tailed = tail({"--cursor", "5", "--until", "20"});
  EXPECT_EQ(tailed.status, 0);
  EXPECT_THAT(tailed.err, HasSubstr("the server says OutdatedCursor"));
  EXPECT_TRUE(tailed.out == raw_frames(frames_between(11, 20)));
  expect_happened(1, 0, nullptr);
}

TEST_F(PlayFaults, ANarrowerWindowIsAnOutageToAnArchive) {
  given_met(R"(
[[fault]]
kind = "window"
connection = 2
oldest = 11
[[fault]]
kind = "cut"
connection = 1
after = 5
)");
  EXPECT_THAT(cursors_asked(), ElementsAre(0, 5));
  EXPECT_THAT(gaps(), ElementsAre("5..11 outage"));
  expect_happened(2, 0, nullptr);
}

TEST_F(PlayFaults, AStatusAtTheHandshake) {
  given_met(R"(
[[fault]]
kind = "status"
connection = [1, 2]
status = 503
retry_after = 0
body = "not now"
[[fault]]
kind = "status"
status = 429
)");
  EXPECT_THAT(cursors_asked(), ElementsAre(0, 0, 0, 0));
  expect_served(frames_between(1, 20));
  EXPECT_THAT(process().error_text(), HasSubstr("503"));
  const json ended = end_play();
  EXPECT_EQ(ended["faults"][0]["times"], 2);
  EXPECT_EQ(ended["faults"][1]["on"][0]["connection"], 3);
  EXPECT_EQ(ended["connections"][0]["end"], "refused");
  EXPECT_EQ(ended["connections"][0]["upgraded"], false);
}

TEST_F(PlayFaults, ARedirect) {
  given_met("[[fault]]\nkind = \"redirect\"\n");
  EXPECT_THAT(cursors_asked(), ElementsAre(0, 0));
  expect_served(frames_between(1, 20));
  expect_happened(1, 0, nullptr);
}

TEST_F(PlayFaults, ARedirectElsewhere) {
  const ScriptedUpstream other(holding(1, 30));
  given_play(frames_between(1, 20), "[[fault]]\nkind = \"redirect\"\nstatus = 302\nto = \"" +
                                        other.url(kSubscribeRepos) + "?cursor=0\"\n");
  given_consumer();
  wait_for_newest(30);
  expect_happened(1, 0, nullptr);
}

}  // namespace
}  // namespace standpipe::test
