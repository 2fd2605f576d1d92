// Faults of the order of frames and of their seqs, as a consumer of ours meets them; and which
// fault of a frame happens where there are several.

#include <gmock/gmock.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "schema/frame.h"
#include "tests/support/play_fixture.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

// The most that a process ever had, in bytes.
std::uint64_t memory_of(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) << 10;
  }
  return UINT64_MAX;
}

class PlayOrder : public PlayFixture {};

TEST_F(PlayOrder, ADuplicate) {
  const json status = given_met("[[fault]]\nkind = \"duplicate\"\nseq = 5\ntimes = 2\n");
  EXPECT_EQ(status["duplicates"], 2);
  expect_served(frames_between(1, 20));
  wait_until_caught_up(1);
  EXPECT_EQ(report()["connections"][0]["frames"], 22);
  expect_happened(1, 5, 5);
}

TEST_F(PlayOrder, CopiesAreNotHeldAllAtOnce) {
  FrameSpec spec;
  spec.blocks_bytes = 1'000'000;
  given_play({make_frame(spec), make_frame(2)},
             "[[fault]]\nkind = \"duplicate\"\nframe = 1\ntimes = 1000\n");
  Subscriber subscriber = subscribe_to_play("?cursor=0");
  EXPECT_EQ(subscriber.next_frame(), make_frame(spec));  // all of them would be there by now
  EXPECT_LT(memory_of(play().id()), 600U << 20);
  // And yet each of them goes out.
  given_play(frames_between(1, 3), "[[fault]]\nkind = \"duplicate\"\nframe = 2\ntimes = 1000\n");
  std::vector<Bytes> expected(1003, make_frame(2));
  expected.front() = make_frame(1);
  expected.back() = make_frame(3);
  expect_sent(subscribe_to_play("?cursor=0"), expected);
  expect_happened(1, 2, 2);
}

TEST_F(PlayOrder, ARepeatFromAnEarlierSeq) {
  const json status = given_met("[[fault]]\nkind = \"repeat\"\nafter_seq = 7\nfrom_seq = 4\n");
  EXPECT_EQ(status["duplicates"], 4);
  expect_served(frames_between(1, 20));
  wait_until_caught_up(1);
  EXPECT_EQ(report()["connections"][0]["frames"], 24);
  expect_happened(1, 7, 7);
}

TEST_F(PlayOrder, ASkip) {
  given_met("[[fault]]\nkind = \"skip\"\nseq = 7\n");
  EXPECT_THAT(gaps(), ElementsAre("6..8 upstream"));
  expect_served(frames_without(7));
  wait_until_caught_up(1);
  EXPECT_EQ(report()["connections"][0]["frames"], 19);
  expect_happened(1, 7, 7);
}

TEST_F(PlayOrder, ASwapOfTwo) {
  const json status = given_met("[[fault]]\nkind = \"swap\"\nseq = 7\n");
  EXPECT_EQ(status["kept_aside"], (json{{"late", 1}}));
  EXPECT_THAT(gaps(), ElementsAre("6..8 upstream"));
  expect_served(frames_without(7));
  expect_happened(1, 7, 7);
}

// A frame has the first of its faults that happens, be it a swap or another one.
TEST_F(PlayOrder, ASwapBehindAFaultThatDoesNotHappen) {
  given_play(frames_between(1, 4), R"(
[[fault]]
kind = "truncate"
frame = 2
bytes = 1000000
[[fault]]
kind = "swap"
frame = 2
)");
  expect_sent(subscribe_to_play("?cursor=0"), frames_of({1, 3, 2, 4}));
  EXPECT_EQ(wait_for_fault(2)["on"][0], (json{{"connection", 1}, {"frame", 2}, {"seq", 2}}));
  end_play(1);
  EXPECT_EQ(play_errors(), "standpipe play: did not happen: fault 1 (truncate)\n");
}

TEST_F(PlayOrder, ASwapThatDoesNotHappenLeavesBothFramesTheirFaults) {
  given_play(frames_between(1, 4), R"(
[[fault]]
kind = "swap"
frame = 2
[[fault]]
kind = "duplicate"
connection = 2
frame = 2
[[fault]]
kind = "skip"
connection = 2
frame = 3
[[fault]]
kind = "swap"
connection = 2
frame = 4
[[fault]]
kind = "duplicate"
connection = 2
frame = 4
)");
  expect_sent(subscribe_to_play("?cursor=0"), frames_of({1, 3, 2, 4}));
  expect_sent(subscribe_to_play("?cursor=0"), frames_of({1, 2, 2, 4, 4}));
  end_play(1);
  EXPECT_EQ(play_errors(), "standpipe play: did not happen: fault 4 (swap) on connection 2\n");
}

// The order of what is in the file does not hold back what happens: only a swap waits.
TEST_F(PlayOrder, ASwapIsWaitedForOnlyIfItIsItsTurn) {
  constexpr std::string_view kDuplicate = "[[fault]]\nkind = \"duplicate\"\nframe = 2\n";
  constexpr std::string_view kTruncate =
      "[[fault]]\nkind = \"truncate\"\nframe = 2\nbytes = 1000000\n";
  constexpr std::string_view kSwap = "[[fault]]\nkind = \"swap\"\nframe = 2\n";
  given_play(frames_between(1, 4), std::string(kDuplicate) + std::string(kSwap), {"--stepped"});
  Subscriber first = subscribe_to_play("?cursor=0");
  post("/play/advance?frames=2");
  expect_sent(first, frames_of({1, 2, 2}));
  given_play(frames_between(1, 4), std::string(kTruncate) + std::string(kSwap), {"--stepped"});
  Subscriber second = subscribe_to_play("?cursor=0");
  post("/play/advance?frames=2");
  expect_sent(second, frames_of({1}));
  post("/play/advance?frames=2");
  expect_sent(second, frames_of({3, 2, 4}));
  EXPECT_EQ(wait_for_fault(2)["on"][0], (json{{"connection", 1}, {"frame", 2}, {"seq", 2}}));
}

TEST_F(PlayOrder, SeqsThatBeginAnew) {
  given_play(frames_between(1, 20), "[[fault]]\nkind = \"seq_reset\"\nseq = 11\nto_seq = 3\n");
  given_consumer();
  wait_for_state("upstream_reset");
  expect_served(frames_between(1, 10));
  expect_happened(1, 11, 11);
}

TEST_F(PlayOrder, SeqsThatBeginAnewGoOnFromThere) {
  given_play(frames_between(1, 5), "[[fault]]\nkind = \"seq_reset\"\nframe = 2\nto_seq = 70000\n");
  Subscriber subscriber = subscribe_to_play("?cursor=0");
  const std::vector<Bytes> read = subscriber.read_frames(5);
  EXPECT_THAT(seqs_of(read), ElementsAre(1, 70'000, 70'001, 70'002, 70'003));
  EXPECT_EQ(read[1].size(), make_frame(2).size() + 4);  // nothing else is different
  wait_until_caught_up(1);
  EXPECT_EQ(report()["connections"][0]["last_seq"], 70'003);
  expect_happened(1, 2, 2);
}

// What is done to a frame is done to it as it would go out.
TEST_F(PlayOrder, OtherFaultsOfFramesWhoseSeqsBeganAnew) {
  given_play(frames_between(1, 8), R"(
[[fault]]
kind = "seq_reset"
frame = 2
to_seq = 70000
[[fault]]
kind = "truncate"
frame = 3
bytes = 1000000
[[fault]]
kind = "unknown_type"
frame = 4
[[fault]]
kind = "oversize"
frame = 5
[[fault]]
kind = "duplicate"
frame = 6
[[fault]]
kind = "swap"
frame = 7
)");
  Subscriber subscriber = subscribe_to_play("?cursor=0");
  const std::vector<Bytes> read = subscriber.read_frames(9);
  EXPECT_THAT(seqs_of(read),
              ElementsAre(1, 70'000, 70'001, 70'002, 70'003, 70'004, 70'004, 70'005, 70'006));
  EXPECT_EQ(scan_frame(read[3]).envelope.type, "#fixture");
  EXPECT_EQ(read[4].size(), 5'242'881U);
  end_play(1);
  EXPECT_EQ(play_errors(), "standpipe play: did not happen: fault 2 (truncate)\n");
}

TEST_F(PlayOrder, ACutOfAFrameWhoseSeqBeganAnew) {
  // As long as the new seq makes it: all but the last byte of header and frame.
  const std::size_t byte = 4 + make_frame(2).size() + 4 - 1;
  given_play(frames_between(1, 3),
             "[[fault]]\nkind = \"seq_reset\"\nframe = 1\nto_seq = 70000\n"
             "[[fault]]\nkind = \"cut\"\nframe = 2\nbyte = " +
                 std::to_string(byte) + "\n");
  Received end;
  EXPECT_THAT(seqs_of(subscribe_to_play("?cursor=0").read_to_end(&end)), ElementsAre(70'000));
  EXPECT_EQ(end, Received(TcpEnd{false, byte}));
  EXPECT_EQ(end_play()["passed"], true);
}

}  // namespace
}  // namespace standpipe::test
