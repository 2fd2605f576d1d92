// Whatever an upstream puts among its frames, the stream goes on: the program itself, over sockets.

#include <gmock/gmock.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/mirror_status_fixture.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::size_t kFiveMiB = 5'242'880;

Bytes from_hex(std::string_view hex) { return parse_hex(hex).value(); }

// {"t": "#xx", "op": 1} and then the payload.
Bytes frame_with(std::string_view payload_hex) {
  return from_hex("a2617463237878626f7001" + std::string(payload_hex));
}

Bytes frame_of_size(std::int64_t seq, std::size_t bytes) {
  FrameSpec spec;
  spec.seq = seq;
  spec.blocks_bytes = bytes - 1'000;
  const std::size_t rest = make_frame(spec).size() - spec.blocks_bytes;
  spec.blocks_bytes = bytes - rest;
  return make_frame(spec);
}

Bytes front_of(const Bytes& frame, std::size_t bytes) {
  return {frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(bytes)};
}

Bytes with_tail(Bytes frame) {
  frame.push_back(std::byte{0});
  return frame;
}

using MirrorUpstream = MirrorStatusFixture;

TEST_F(MirrorUpstream, WhatIsNoFrameIsKeptAsideWithItsReasonAndTheFramesAroundItAreServed) {
  given_upstream(holding(1, 20));
  ConnectionPlan plan;
  plan.binary_after(1, {})
      .binary_after(1, from_hex("ff"))                               // a break outside of anything
      .binary_after(2, front_of(make_frame(1), 5))                   // ends within its header
      .binary_after(2, from_hex("80a0"))                             // the header is a list
      .binary_after(3, from_hex("a1617463237878a0"))                 // no op
      .binary_after(3, from_hex("a2617463237878626f7002a0"))         // op 2
      .binary_after(4, from_hex("a1626f7001a0"))                     // op 1 and no type
      .binary_after(5, frame_with(""))                               // no payload
      .binary_after(6, front_of(make_frame(1), 300))                 // ends within its payload
      .binary_after(6, frame_with("a163736571"))                     // a key without its value
      .binary_after(7, frame_with("80"))                             // the payload is a list
      .binary_after(8, with_tail(make_frame(1)))                     // one byte too many
      .binary_after(9, frame_with("a0"))                             // no seq
      .binary_after(10, frame_with("a263736571186463736571186f"))    // two
      .binary_after(11, frame_with("a1637365716135"))                // a text
      .binary_after(12, frame_with("a16373657100"))                  // 0
      .binary_after(13, frame_with("a16373657120"))                  // -1
      .binary_after(14, frame_with("a1637365711b0020000000000000"))  // 2^53
      .binary_after(15, frame_with("a1637365711bffffffffffffffff"))
      .text_after(16, "{\"seq\": 17}");
  upstream().plan_next(std::move(plan));
  given_watched_mirror();
  const json status = wait_for_newest(20);
  const json reasons{{"empty", 1},           {"header_malformed", 2},  {"header_not_map", 1},
                     {"op_missing", 1},      {"op_unknown", 1},        {"type_missing", 1},
                     {"payload_missing", 1}, {"payload_malformed", 2}, {"payload_not_map", 1},
                     {"trailing_bytes", 1},  {"seq_missing", 1},       {"seq_repeated", 1},
                     {"seq_not_integer", 1}, {"seq_out_of_range", 4},  {"text_message", 1}};
  EXPECT_EQ(status["kept_aside"], reasons);
  EXPECT_EQ(status["accepted"], 20);
  EXPECT_EQ(status["quarantined"], 20);
  EXPECT_EQ(status["text"], 1);
  EXPECT_EQ(status["frames"], 39);  // binary messages
  EXPECT_EQ(status["connections"], 1);
  EXPECT_THAT(gaps(), IsEmpty());
  expect_served(frames_between(1, 20));
  const json shown = inspected();
  EXPECT_EQ(shown["quarantine"]["by_reason"], reasons);
  EXPECT_EQ(shown["quarantine"]["newest"][0]["reason"], "text_message");
  EXPECT_THAT(process().error_text(),
              HasSubstr("stream repos: a message of 0 bytes was kept aside"));
}

// Where garbage stands in place of a frame, its seq is missing: the ledger says why.
TEST_F(MirrorUpstream, ASeqWhoseFrameIsBrokenIsInTheLedger) {
  given_upstream(holding(1, 30));
  ConnectionPlan plan;
  plan.replace(5, front_of(make_frame(5), make_frame(5).size() - 1))
      .replace(10, with_tail(make_frame(10)))
      .replace(11, with_tail(make_frame(11)))
      .replace(15, from_hex("ff"))  // nobody knows whose place this was
      .replace(30, with_tail(make_frame(30)));
  upstream().plan_next(std::move(plan));
  given_watched_mirror();
  wait_for_count("quarantined", 5);
  EXPECT_THAT(gaps(), ElementsAre("4..6 quarantined", "9..12 quarantined", "14..16 upstream",
                                  "29..31 quarantined"));
  upstream().append(31, make_frame(31));
  const json status = wait_for_newest(31);
  EXPECT_EQ(status["accepted"], 26);
  EXPECT_EQ(status["kept_aside"],
            (json{{"payload_malformed", 1}, {"trailing_bytes", 3}, {"header_malformed", 1}}));
  std::vector<Bytes> served = frames_between(1, 31);
  for (const std::ptrdiff_t seq : {30, 15, 11, 10, 5}) served.erase(served.begin() + seq - 1);
  expect_served(served);
}

TEST_F(MirrorUpstream, TypesAndEncodingsThatNobodyKnowsAreArchivedAsTheyCame) {
  // A type of its own; a header and a payload of indefinite length, an eight-byte seq, a tag, a
  // key that is no text.
  const Bytes unknown = frame_with("a16373657104");
  const Bytes odd = from_hex(
      "bf626f700161746323796fffbf637365711b000000000000000561781bffffffffffffffffc001f6ff");
  const Bytes extra = from_hex("a3626f700161746123617a80a2637365710661618101");
  UpstreamOptions options = holding(1, 3);
  options.frames.push_back({4, unknown});
  options.frames.push_back({5, odd});
  options.frames.push_back({6, extra});
  options.frames.push_back({7, make_frame(7)});
  given_upstream(std::move(options));
  given_watched_mirror();
  const json status = wait_for_newest(7);
  EXPECT_EQ(status["accepted"], 7);
  EXPECT_EQ(status["kept_aside"], json::object());
  expect_served({make_frame(1), make_frame(2), make_frame(3), unknown, odd, extra, make_frame(7)});
}

TEST_F(MirrorUpstream, TheSameFrameAgainIsCountedAndServedOnce) {
  given_upstream(holding(1, 20));
  upstream().plan_next(ConnectionPlan().repeat(3, 2).repeat(9).binary_after(15, make_frame(1)));
  given_watched_mirror();
  const json status = wait_for_newest(20);
  EXPECT_EQ(status["duplicates"], 4);
  EXPECT_EQ(status["accepted"], 20);
  EXPECT_EQ(status["conflicts"], 0);
  EXPECT_EQ(status["kept_aside"], json::object());
  expect_served(frames_between(1, 20));
}

TEST_F(MirrorUpstream, TwoConflictsInARowAreKeptAsideAndTheFirstFrameStays) {
  given_upstream(holding(1, 20));
  ConnectionPlan plan;
  for (const std::size_t after : {5U, 10U, 15U}) {
    plan.binary_after(after, other_frame(2)).binary_after(after, other_frame(3));
  }
  // A duplicate in between ends the row as a frame does.
  plan.binary_after(15, make_frame(1)).binary_after(15, other_frame(4));
  upstream().plan_next(std::move(plan));
  given_watched_mirror();
  const json status = wait_for_newest(20);
  EXPECT_EQ(status["conflicts"], 7);
  EXPECT_EQ(status["kept_aside"], (json{{"conflict", 7}}));
  EXPECT_NE(status["state"], "upstream_reset");
  EXPECT_EQ(status["connections"], 1);
  expect_served(frames_between(1, 20));
  EXPECT_EQ(inspected()["quarantine"]["newest"][0]["seq"], 4);
}

TEST_F(MirrorUpstream, ThreeConflictsInARowAreAResetAndServingGoesOn) {
  given_upstream(holding(1, 20));
  ConnectionPlan plan;
  for (const std::int64_t seq : {2, 3, 4}) plan.binary_after(10, other_frame(seq));
  upstream().plan_next(std::move(plan));
  given_watched_mirror();
  const json status = wait_for_state("upstream_reset");
  EXPECT_EQ(status["conflicts"], 3);
  EXPECT_EQ(status["newest"], 10);
  EXPECT_EQ(health()["status"], "upstream_reset");
  EXPECT_EQ(health()["streams"][0]["upstream"], "reset");
  wait_for_log("upstream was reset; newest here is 10: waiting for a new epoch");
  expect_served(frames_between(1, 10));
}

TEST_F(MirrorUpstream, AFrameThatComesLateIsKeptAsideAndNotPutIntoTheMiddle) {
  given_upstream(holding(1, 20));
  upstream().plan_next(ConnectionPlan().swap(5).skip(10).binary_after(12, make_frame(10)));
  given_watched_mirror();
  const json status = wait_for_newest(20);
  EXPECT_EQ(status["late"], 2);
  EXPECT_EQ(status["kept_aside"], (json{{"late", 2}}));
  EXPECT_EQ(status["accepted"], 18);
  EXPECT_THAT(gaps(), ElementsAre("4..6 upstream", "9..11 upstream"));
  std::vector<Bytes> served = frames_between(1, 20);
  served.erase(served.begin() + 9);
  served.erase(served.begin() + 4);
  expect_served(served);
}

TEST_F(MirrorUpstream, AFrameOfFiveMiBIsServedAndALargerOneIsKeptAsideByItsHead) {
  const Bytes largest = frame_of_size(4, kFiveMiB);
  const Bytes larger = frame_of_size(6, kFiveMiB + 1);
  ASSERT_EQ(largest.size(), kFiveMiB);
  ASSERT_EQ(larger.size(), kFiveMiB + 1);
  UpstreamOptions options = holding(1, 3);
  options.frames.push_back({4, largest});
  options.frames.push_back({5, make_frame(5)});
  options.frames.push_back({6, larger});
  options.frames.push_back({7, make_frame(7)});
  given_upstream(std::move(options));
  upstream().plan_next(ConnectionPlan().oversize_after(5, 50'000'000, make_frame(9), 1'000'000));
  given_watched_mirror();
  const json status = wait_for_newest(7);
  EXPECT_EQ(status["oversize"], 2);
  EXPECT_EQ(status["kept_aside"], (json{{"too_large", 2}}));
  EXPECT_EQ(status["connections"], 1);
  EXPECT_THAT(gaps(), ElementsAre("5..7 quarantined"));
  expect_served(
      {make_frame(1), make_frame(2), make_frame(3), largest, make_frame(5), make_frame(7)});
  const json kept = inspected()["quarantine"];
  EXPECT_EQ(kept["newest"][0]["bytes"], kFiveMiB + 1);
  EXPECT_EQ(kept["newest"][0]["seq"], 6);
  EXPECT_EQ(kept["newest"][1]["bytes"], 50'000'000);
  EXPECT_GE(kept["bytes"], 2 * 65'536);  // their rows have some bytes beside the heads
  EXPECT_LE(kept["bytes"], 2 * 65'636);
}

// It is the last that upstream has sent when the connection ends: asked for again, it would come
// for ever, also from an upstream that repeats the frame of the cursor.
TEST_F(MirrorUpstream, AFrameThatIsTooLargeDoesNotComeBackForEver) {
  UpstreamOptions options = holding(1, 3);
  options.frames.push_back({4, frame_of_size(4, kFiveMiB + 1)});
  options.frames.push_back({5, make_frame(5)});
  given_upstream(std::move(options));
  upstream().plan_next(ConnectionPlan().cut_after(4));
  upstream().plan_next(ConnectionPlan().reset_after(0));
  given_watched_mirror();
  const json status = wait_for_newest(5);
  EXPECT_EQ(status["oversize"], 1);
  EXPECT_THAT(cursors(), ElementsAre(0, 4, 4));
  EXPECT_THAT(gaps(), ElementsAre("3..5 quarantined"));
  stop();
  given_watched_mirror();
  upstream().append(6, make_frame(6));
  EXPECT_EQ(wait_for_newest(6)["oversize"], 0);
  expect_served(frames_of({1, 2, 3, 5, 6}));
}

TEST_F(MirrorUpstream, OneFrameOfAnotherCenturyPoisonsNothing) {
  UpstreamOptions options = holding(1, 100);
  FrameSpec absurd;
  absurd.seq = 50;
  absurd.time_ms = 4'070'908'800'000;  // 2099-01-01
  options.frames[49].bytes = make_frame(absurd);
  given_upstream(std::move(options));
  given_watched_mirror({"--partition-span", "1h", "--partition-bytes-min", "0"});
  const json status = wait_for_newest(100);
  EXPECT_EQ(status["accepted"], 100);
  std::vector<Bytes> served = frames_between(1, 100);
  served[49] = make_frame(absurd);
  expect_served(served);
  const json epoch = inspected()["streams"][0]["epochs"][0];
  EXPECT_EQ(epoch["clock"].get<std::string>().substr(0, 16), "2026-01-01T00:00");
  std::size_t used = 0;
  for (const json& partition : epoch["partitions"]) used += partition["frames"] > 0 ? 1 : 0;
  EXPECT_EQ(used, 1U);  // nothing has rolled
  // Looked up by time, the frames before it are found as if it were not there.
  Subscriber subscriber = subscribe("?time=2026-01-01T00:00:00Z");
  EXPECT_EQ(subscriber.read_frames(100).size(), 100U);
}

TEST_F(MirrorUpstream, InfoIsNotedAndAnErrorFrameEndsTheConnectionAlone) {
  // {"op":1,"t":"#info"}{"name":"OutdatedCursor"} and {"op":-1}{"error":"ConsumerTooSlow"}
  const Bytes info =
      from_hex("a2626f700161746523696e666fa1646e616d656e4f75746461746564437572736f72");
  const Bytes slow = from_hex("a1626f7020a1656572726f726f436f6e73756d6572546f6f536c6f77");
  given_upstream(holding(1, 20));
  upstream().plan_next(
      ConnectionPlan().binary_after(3, info).binary_after(10, slow).pause_after(10));
  given_watched_mirror();
  const json status = wait_for_newest(20);
  EXPECT_EQ(status["noted"], 2);
  EXPECT_EQ(status["quarantined"], 0);
  EXPECT_THAT(cursors(), ElementsAre(0, 10));
  expect_served(frames_between(1, 20));
  const json notes = inspected()["notes"];
  EXPECT_EQ(notes[0]["kind"], "error");
  EXPECT_EQ(notes[0]["text"], "ConsumerTooSlow");
  EXPECT_EQ(notes[1]["kind"], "info");
}

TEST_F(MirrorUpstream, FragmentsAndControlFramesBetweenThemMakeOneFrame) {
  given_upstream(holding(1, 10));
  upstream().plan_next(ConnectionPlan()
                           .fragment(2, 3)
                           .fragment(4, 50, /*has_pings=*/true)
                           .ping_after(6, "are you there"));
  given_watched_mirror();
  const json status = wait_for_newest(10);
  EXPECT_EQ(status["connections"], 1);
  expect_served(frames_between(1, 10));
}

}  // namespace
}  // namespace standpipe::test
