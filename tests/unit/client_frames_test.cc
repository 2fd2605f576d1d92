// Frames are written as they stand in RFC 6455: 81 85 37fa213d ... is its masked "Hello".
#include "replay/client_frames.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/hex.h"

namespace standpipe::replay {
namespace {

using test::hex;
using test::operator+;

Bytes zeros(std::size_t size) { return test::repeat(std::byte{0}, size); }

// "ping Hello", "close 1000 bye", "violation 1002": what the reader says, in order.
void read_into(std::vector<std::string>& events, ClientFrameReader& reader, ByteView bytes) {
  while (const auto event = reader.next(bytes)) {
    std::string text;
    switch (event->kind) {
      case ClientEventKind::ping:
        text = "ping";
        break;
      case ClientEventKind::pong:
        text = "pong";
        break;
      case ClientEventKind::close:
        text = "close " + std::to_string(event->code);
        break;
      case ClientEventKind::violation:
        text = "violation " + std::to_string(event->code);
        EXPECT_FALSE(event->why.empty());
        break;
    }
    if (!event->payload.empty()) text += " " + std::string(as_text(event->payload));
    events.push_back(text);
  }
  EXPECT_TRUE(bytes.empty());
}

// The events of `bytes`, which must be the same for the whole and for every byte on its own.
std::vector<std::string> events_of(const Bytes& bytes) {
  std::vector<std::string> whole, single;
  ClientFrameReader reader_of_whole, reader_of_single;
  read_into(whole, reader_of_whole, bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    read_into(single, reader_of_single, ByteView(bytes).subspan(i, 1));
  }
  EXPECT_EQ(whole, single);
  return whole;
}

using Events = std::vector<std::string>;

TEST(ClientFrames, ReadsAPingAndUnmasksIt) {
  EXPECT_EQ(events_of(hex("898537fa213d7f9f4d5158")), (Events{"ping Hello"}));
  EXPECT_EQ(events_of(hex("898000000000")), (Events{"ping"}));
}

TEST(ClientFrames, ReadsAPong) {
  EXPECT_EQ(events_of(hex("8a8537fa213d7f9f4d5158")), (Events{"pong Hello"}));
}

TEST(ClientFrames, ReadsAPingOf125Bytes) {
  EXPECT_EQ(events_of(hex("89fd20202020") + zeros(125)), (Events{"ping " + std::string(125, ' ')}));
}

TEST(ClientFrames, DiscardsDataOfEveryLength) {
  EXPECT_EQ(events_of(hex("818537fa213d7f9f4d5158")), (Events{}));
  EXPECT_EQ(events_of(hex("828037fa213d")), (Events{}));
  EXPECT_EQ(events_of(hex("82fe007e00000000") + zeros(126) + hex("898000000000")),
            (Events{"ping"}));
  EXPECT_EQ(events_of(hex("82feffff00000000") + zeros(65535) + hex("898000000000")),
            (Events{"ping"}));
}

TEST(ClientFrames, AMessageMayHave64KiBAndNoMore) {
  EXPECT_EQ(events_of(hex("82ff000000000001000000000000") + zeros(65536) + hex("898000000000")),
            (Events{"ping"}));
  // By its head alone: not a byte of it has come.
  EXPECT_EQ(events_of(hex("82ff0000000000010001")), (Events{"violation 1009"}));
  EXPECT_EQ(events_of(hex("81ff7fffffffffffffff")), (Events{"violation 1009"}));
}

TEST(ClientFrames, TheLimitIsOfAllFragmentsTogether) {
  const Bytes first = hex("02feffff00000000") + zeros(65535);  // binary, FIN is to come
  EXPECT_EQ(events_of(first + hex("80810000000000") + hex("898000000000")), (Events{"ping"}));
  EXPECT_EQ(events_of(first + hex("8082")), (Events{"violation 1009"}));
  EXPECT_EQ(events_of(first + hex("00810000000000") + hex("0081")), (Events{"violation 1009"}));
  // The next message counts from nothing.
  EXPECT_EQ(events_of(first + hex("80810000000000") + first + hex("898000000000")),
            (Events{"ping"}));
}

TEST(ClientFrames, ControlFramesMayComeBetweenFragments) {
  EXPECT_EQ(events_of(hex("01810000000041") + hex("898100000000") + hex("31") +
                      hex("00810000000041") + hex("898100000000") + hex("32") +
                      hex("80810000000041") + hex("898100000000") + hex("33")),
            (Events{"ping 1", "ping 2", "ping 3"}));
}

TEST(ClientFrames, ReadsACloseAndNothingAfterIt) {
  const Bytes ping = hex("898000000000");
  EXPECT_EQ(events_of(hex("888000000000") + ping), (Events{"close 1005"}));
  EXPECT_EQ(events_of(hex("88820000000003e8") + ping), (Events{"close 1000"}));
  EXPECT_EQ(events_of(hex("88850000000003e9627965") + ping), (Events{"close 1001 bye"}));
}

TEST(ClientFrames, ACloseMayCarryAnyCodeThatMayBeSent) {
  const std::vector<std::pair<std::string, std::string>> sendable{
      {"03e8", "1000"}, {"03eb", "1003"}, {"03ef", "1007"},
      {"03f6", "1014"}, {"0bb8", "3000"}, {"1387", "4999"}};
  for (const auto& [code, name] : sendable) {
    EXPECT_EQ(events_of(hex("888200000000" + code)), (Events{"close " + name}));
  }
  // 0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535
  for (const std::string code :
       {"0000", "03e7", "03ec", "03ed", "03ee", "03f7", "0bb7", "1388", "ffff"}) {
    EXPECT_EQ(events_of(hex("888200000000" + code)), (Events{"violation 1002"})) << code;
  }
}

TEST(ClientFrames, ACloseIsRefusedForHalfACodeOrAReasonThatIsNotUtf8) {
  EXPECT_EQ(events_of(hex("88810000000003")), (Events{"violation 1002"}));
  EXPECT_EQ(events_of(hex("88830000000003e8ff")), (Events{"violation 1002"}));
}

TEST(ClientFrames, RefusesWhatBreaksTheRules) {
  EXPECT_EQ(events_of(hex("8900")), (Events{"violation 1002"}));      // no mask
  EXPECT_EQ(events_of(hex("8200")), (Events{"violation 1002"}));      // no mask
  EXPECT_EQ(events_of(hex("c2")), (Events{"violation 1002"}));        // RSV1: compressed
  EXPECT_EQ(events_of(hex("a2")), (Events{"violation 1002"}));        // RSV2
  EXPECT_EQ(events_of(hex("9a")), (Events{"violation 1002"}));        // RSV3
  EXPECT_EQ(events_of(hex("83")), (Events{"violation 1002"}));        // opcode 3
  EXPECT_EQ(events_of(hex("87")), (Events{"violation 1002"}));        // opcode 7
  EXPECT_EQ(events_of(hex("8b")), (Events{"violation 1002"}));        // opcode 11
  EXPECT_EQ(events_of(hex("8f")), (Events{"violation 1002"}));        // opcode 15
  EXPECT_EQ(events_of(hex("09")), (Events{"violation 1002"}));        // ping in fragments
  EXPECT_EQ(events_of(hex("08")), (Events{"violation 1002"}));        // close in fragments
  EXPECT_EQ(events_of(hex("89fe")), (Events{"violation 1002"}));      // ping above 125 bytes
  EXPECT_EQ(events_of(hex("88ff")), (Events{"violation 1002"}));      // close above 125 bytes
  EXPECT_EQ(events_of(hex("80")), (Events{"violation 1002"}));        // continues nothing
  EXPECT_EQ(events_of(hex("82fe007d")), (Events{"violation 1002"}));  // 125 in 16 bits
  EXPECT_EQ(events_of(hex("82ff000000000000ffff")), (Events{"violation 1002"}));  // in 64 bits
  EXPECT_EQ(events_of(hex("82ff8000000000000000")), (Events{"violation 1002"}));  // the top bit
}

TEST(ClientFrames, RefusesAMessageInsideAnother) {
  EXPECT_EQ(events_of(hex("01810000000041") + hex("81")), (Events{"violation 1002"}));
  EXPECT_EQ(events_of(hex("02810000000041") + hex("02")), (Events{"violation 1002"}));
}

TEST(ClientFrames, RefusesAContinuationOfAMessageThatHasEnded) {
  EXPECT_EQ(events_of(hex("01810000000041") + hex("80810000000041") + hex("00")),
            (Events{"violation 1002"}));
}

TEST(ClientFrames, GivesOneEventAtATime) {
  const Bytes both = hex("8981000000003189810000000032");
  ByteView rest = both;
  ClientFrameReader reader;
  const auto first = reader.next(rest);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(as_text(first->payload), "1");
  EXPECT_EQ(rest.size(), 7u);
  const auto second = reader.next(rest);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(as_text(second->payload), "2");
  EXPECT_FALSE(reader.next(rest).has_value());
  EXPECT_FALSE(reader.is_done());
}

TEST(ClientFrames, IsDoneAfterACloseAndAfterAViolation) {
  for (const auto* text : {"888000000000", "83"}) {
    ClientFrameReader reader;
    const Bytes bytes = hex(text);
    ByteView rest = bytes;
    EXPECT_TRUE(reader.next(rest).has_value());
    EXPECT_TRUE(reader.is_done());
  }
}

}  // namespace
}  // namespace standpipe::replay
