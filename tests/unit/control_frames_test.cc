#include "replay/control_frames.h"

#include <gtest/gtest.h>

#include <string>

#include "replay/client_frames.h"

namespace standpipe::replay {
namespace {

// The frames of the reference server, whole, behind the header of their WebSocket message.
TEST(ControlFrames, FutureCursorIsByteForByteWhatThePdsSends) {
  EXPECT_EQ(to_hex(future_cursor_frame()),
            "8237"
            "a1626f7020"
            "a2656572726f726c467574757265437572736f72"
            "676d65737361676575437572736f7220696e20746865206675747572652e");
}

TEST(ControlFrames, ConsumerTooSlowIsByteForByteWhatThePdsSends) {
  EXPECT_EQ(to_hex(consumer_too_slow_frame()),
            "823e"
            "a1626f7020"
            "a2656572726f726f436f6e73756d6572546f6f536c6f77"
            "676d657373616765781853747265616d20636f6e73756d657220746f6f20736c6f77");
}

TEST(ControlFrames, OutdatedCursorIsByteForByteWhatThePdsSends) {
  EXPECT_EQ(to_hex(outdated_cursor_frame()),
            "8264"
            "a261746523696e666f626f7001"
            "a2646e616d656e4f75746461746564437572736f72"
            "676d6573736167657838"
            "52657175657374656420637572736f72206578636565646564206c696d69742e20"
            "506f737369626c79206d697373696e67206576656e7473");
}

TEST(ControlFrames, ProgressNamesThePosition) {
  EXPECT_EQ(to_hex(progress_frame(Seq{26653242499})),
            "8230"
            "a261746523696e666f626f7001"
            "a2646e616d656850726f6772657373"
            "676d6573736167656b3236363533323432343939");
}

TEST(ControlFrames, AnEmptyMessageIsWritten) {
  EXPECT_EQ(to_hex(error_frame("A", "")), "8217a1626f7020a2656572726f726141676d65737361676560");
}

TEST(ControlFrames, LengthsTakeTheShortestForm) {
  // a1626f7020 a2656572726f726141676d657373616765 are 22 bytes; the head of the text is 2, then 3.
  EXPECT_EQ(to_hex(error_frame("A", std::string(101, 'x'))).substr(0, 4), "827d");      // 125
  EXPECT_EQ(to_hex(error_frame("A", std::string(102, 'x'))).substr(0, 8), "827e007e");  // 126
  EXPECT_EQ(to_hex(error_frame("A", std::string(65'510, 'x'))).substr(0, 8), "827effff");
  EXPECT_EQ(to_hex(error_frame("A", std::string(65'511, 'x'))).substr(0, 20),
            "827f0000000000010000");
}

TEST(ControlFrames, PingAndPong) {
  EXPECT_EQ(to_hex(kPingFrame), "8900");
  EXPECT_EQ(to_hex(pong_frame({})), "8a00");
  EXPECT_EQ(to_hex(pong_frame(as_bytes("Hello"))), "8a0548656c6c6f");
  const std::string longest(125, 'x');
  EXPECT_EQ(to_hex(pong_frame(as_bytes(longest))).substr(0, 6), "8a7d78");
}

TEST(ControlFrames, CloseCarriesCodeAndReason) {
  EXPECT_EQ(to_hex(close_frame(kCloseNormal, "")), "880203e8");
  EXPECT_EQ(to_hex(close_frame(kClosePolicy, "FutureCursor")), "880e03f0467574757265437572736f72");
}

TEST(ControlFrames, ALongReasonIsCutAtACharacter) {
  EXPECT_EQ(close_frame(kCloseNormal, std::string(124, 'x')).size(), 2u + 125u);
  // 122 bytes, then a character of two: only half of it would fit.
  const Bytes cut = close_frame(kCloseNormal, std::string(122, 'x') + "\u00e9");
  EXPECT_EQ(to_hex(cut).substr(0, 8), "887c03e8");
  EXPECT_EQ(cut.size(), 2u + 2u + 122u);
}

TEST(ControlFramesDeathTest, RefusesWhatNoFrameMayHold) {
  EXPECT_DEATH(pong_frame(Bytes(126)), "125");
  EXPECT_DEATH(error_frame("A", "\xff"), "UTF-8");
}

}  // namespace
}  // namespace standpipe::replay
