// What a server may send over a WebSocket, and what it may not, however the bytes are cut.
#include "archiver/firehose/server_frames.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "archiver/firehose/ws_handshake.h"
#include "tests/support/hex.h"

namespace standpipe::firehose {
namespace {

using standpipe::test::hex;
using Lines = std::vector<std::string>;

constexpr std::size_t kMessageMax = 1'000;
constexpr std::size_t kHead = 10;

// "message 5 of 5", "text 2 of 2", "ping abc", "close 1008 why", "violation ...", in order.
Lines read_in_pieces(ByteView bytes, std::size_t size) {
  ServerFrameReader reader(kMessageMax, kHead);
  Lines seen;
  for (;;) {
    const ServerEvent event = reader.next();
    switch (event) {
      case ServerEvent::none: {
        if (bytes.empty()) return seen;
        const std::span<std::byte> room = reader.room();
        const std::size_t piece = std::min({size, bytes.size(), room.size()});
        std::copy_n(bytes.begin(), piece, room.begin());
        reader.add(piece);
        bytes = bytes.subspan(piece);
        break;
      }
      case ServerEvent::message:
        seen.push_back((reader.is_text() ? "text " : "message ") +
                       std::to_string(reader.message().size()) + " of " +
                       std::to_string(reader.message_bytes()));
        break;
      case ServerEvent::ping:
        seen.push_back("ping " + std::string(as_text(reader.payload())));
        break;
      case ServerEvent::pong:
        seen.push_back("pong " + std::string(as_text(reader.payload())));
        break;
      case ServerEvent::close:
        seen.push_back("close " + std::to_string(reader.close_code()) + " " +
                       std::string(as_text(reader.payload())));
        break;
      case ServerEvent::violation:
        seen.push_back("violation " + std::string(reader.why()));
        break;
    }
  }
}

Lines read(ByteView bytes) {
  Lines whole = read_in_pieces(bytes, SIZE_MAX);
  EXPECT_EQ(read_in_pieces(bytes, 1), whole);
  EXPECT_EQ(read_in_pieces(bytes, 7), whole);
  return whole;
}
Lines read(std::string_view text) { return read(hex(text)); }

Bytes frame(std::string_view head, std::size_t payload) {
  Bytes bytes = hex(head);
  bytes.resize(bytes.size() + payload, std::byte{0x41});
  return bytes;
}

// RFC 6455, 5.7: "Hello", whole and in two fragments with a ping between them.
TEST(ServerFrames, TheExamplesOfTheRfc) {
  EXPECT_EQ(read("810548656c6c6f"), (Lines{"text 5 of 5"}));
  EXPECT_EQ(read("010348656c890548656c6c6f80026c6f"), (Lines{"ping Hello", "text 5 of 5"}));
}

TEST(ServerFrames, LengthsOfEachForm) {
  EXPECT_EQ(read("8200"), (Lines{"message 0 of 0"}));
  EXPECT_EQ(read(frame("827d", 125)), (Lines{"message 125 of 125"}));
  EXPECT_EQ(read(frame("827e007e", 126)), (Lines{"message 126 of 126"}));
  EXPECT_EQ(read(frame("827e03e8", 1'000)), (Lines{"message 1000 of 1000"}));
}

TEST(ServerFrames, OfALargerMessageTheHeadIsKept) {
  EXPECT_EQ(read(frame("827e03e9", 1'001)), (Lines{"message 10 of 1001"}));
  EXPECT_EQ(read(frame("827f0000000000010000", 65'536)), (Lines{"message 10 of 65536"}));
  Bytes fragments = frame("027e01f4", 500);
  const Bytes more = frame("807e01f5", 501);
  fragments.insert(fragments.end(), more.begin(), more.end());
  EXPECT_EQ(read(fragments), (Lines{"message 10 of 1001"}));
}

TEST(ServerFrames, FragmentsMayBeEmpty) {
  EXPECT_EQ(read("02000000"
                 "000141"
                 "8000"
                 "820142"),
            (Lines{"message 1 of 1", "message 1 of 1"}));
}

TEST(ServerFrames, ACloseFrameIsTheLast) {
  EXPECT_EQ(read("8800"
                 "820141"),
            (Lines{"close 1005 "}));
  EXPECT_EQ(read("880203f0"), (Lines{"close 1008 "}));
  EXPECT_EQ(read("880503f0776879"), (Lines{"close 1008 why"}));
}

TEST(ServerFrames, WhatBreaksTheRulesSaysWhich) {
  EXPECT_EQ(read("c20141"), (Lines{"violation a reserved bit is set"}));
  EXPECT_EQ(read("8281010203045b"), (Lines{"violation a frame of a server that is masked"}));
  EXPECT_EQ(read("83 00"), (Lines{"violation an opcode that is reserved"}));
  EXPECT_EQ(read("8b00"), (Lines{"violation an opcode that is reserved"}));
  EXPECT_EQ(read("800141"), (Lines{"violation a continuation of nothing"}));
  EXPECT_EQ(read("020141820142"), (Lines{"violation a message within a message"}));
  EXPECT_EQ(read("0900"), (Lines{"violation a control frame in fragments"}));
  EXPECT_EQ(read("897e007e"), (Lines{"violation a control frame of more than 125 bytes"}));
  EXPECT_EQ(read("827e007d"), (Lines{"violation a length that is not in the fewest bytes"}));
  EXPECT_EQ(read("827f000000000000ffff"),
            (Lines{"violation a length that is not in the fewest bytes"}));
  EXPECT_EQ(read("827f8000000000000000"), (Lines{"violation a length of 2^63 and above"}));
  EXPECT_EQ(read("880103"), (Lines{"violation a close frame of one byte"}));
  EXPECT_EQ(read("880203ee"), (Lines{"violation a close code that may not be sent"}));
  EXPECT_EQ(read("880303f0ff"), (Lines{"violation a close reason that is not UTF-8"}));
}

TEST(ServerFrames, WhatItHoldsIsBounded) {
  ServerFrameReader reader(kMessageMax, kHead);
  std::size_t most = 0;
  // A message of 2^62 bytes, of which a few million come.
  Bytes head = hex("827f4000000000000000");
  std::copy(head.begin(), head.end(), reader.room().begin());
  reader.add(head.size());
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(reader.next(), ServerEvent::none);
    const std::span<std::byte> room = reader.room();
    most = std::max(most, room.size());
    reader.add(room.size());
  }
  EXPECT_EQ(most, 128U << 10);
}

TEST(ServerFrames, WhatAClientSaysIsMasked) {
  const Bytes ping = client_control_frame(kOpcodePing, as_bytes("abc"));
  ASSERT_EQ(ping.size(), 9U);
  EXPECT_EQ(ping[0], std::byte{0x89});
  EXPECT_EQ(ping[1], std::byte{0x83});
  EXPECT_EQ(ping[6] ^ ping[2], std::byte{'a'});
  EXPECT_EQ(ping[8] ^ ping[4], std::byte{'c'});
  EXPECT_EQ(client_close_frame(1005).size(), 6U);
  EXPECT_EQ(client_close_frame(1002).size(), 8U);
}

// RFC 6455, 1.3.
TEST(ServerFrames, TheAnswerToAKey) {
  EXPECT_EQ(websocket_accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  const std::string key = fresh_websocket_key();
  EXPECT_EQ(key.size(), 24U);
  EXPECT_NE(key, fresh_websocket_key());
}

TEST(ServerFrames, AnUpgradeThatIsNoneSaysWhy) {
  constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
  UpgradeAnswer good;
  good.upgrade = "WebSocket";
  good.connection = "keep-alive, upgrade";
  good.accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
  EXPECT_EQ(fault_of(good, kKey), "");
  UpgradeAnswer bad = good;
  bad.version = 10;
  EXPECT_EQ(fault_of(bad, kKey), "the answer is of HTTP/1.0");
  bad = good;
  bad.upgrade = "h2c";
  EXPECT_EQ(fault_of(bad, kKey), "the answer has no Upgrade: websocket");
  bad = good;
  bad.connection = "";
  EXPECT_EQ(fault_of(bad, kKey), "the answer has no Connection: Upgrade");
  bad = good;
  bad.accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOO=";
  EXPECT_EQ(fault_of(bad, kKey), "the answer has not the Sec-WebSocket-Accept of our key");
  bad = good;
  bad.has_extension = true;
  EXPECT_EQ(fault_of(bad, kKey), "the answer has an extension that nobody asked for");
  bad = good;
  bad.has_subprotocol = true;
  EXPECT_EQ(fault_of(bad, kKey), "the answer has a subprotocol that nobody asked for");
}

}  // namespace
}  // namespace standpipe::firehose
