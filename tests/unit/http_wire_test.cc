#include "tools/play/http_wire.h"

#include <gtest/gtest.h>

namespace standpipe::tools::play {
namespace {

TEST(HttpWire, TheAcceptKeyIsThatOfTheSpec) {
  // RFC 6455, 1.3.
  EXPECT_EQ(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(HttpWire, AHeadIsSplitIntoItsLines) {
  const std::string text =
      "GET / HTTP/1.1\r\nHost: a:80\r\nx-two:\t b \r\nX-Two: c\r\nEmpty:\r\n\r\n";
  EXPECT_EQ(http_head_end(text + "rest"), text.size());
  EXPECT_EQ(http_head_end("GET / HTTP/1.1\r\n"), std::nullopt);
  const auto head = parse_http_head(text);
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->first_line, "GET / HTTP/1.1");
  EXPECT_EQ(head->headers.size(), 4U);
  EXPECT_EQ(find_header(head->headers, "HOST"), "a:80");
  EXPECT_EQ(find_header(head->headers, "X-Two"), "b");
  EXPECT_EQ(find_header(head->headers, "empty"), "");
  EXPECT_EQ(find_header(head->headers, "other"), std::nullopt);
}

TEST(HttpWire, WhatIsNoHeadIsNotTakenForOne) {
  EXPECT_TRUE(parse_http_head("a\r\n\r\n").has_value());
  for (const char* text :
       {"", "\r\n\r\n", "a\r\nno colon\r\n\r\n", "a\r\n: no name\r\n\r\n", "a\r\nb c: d\r\n\r\n",
        "a\nb: c\r\n\r\n", "a\rb\r\n\r\n", "a\r\n\r\nmore", "a\r\nb: c\r\n"}) {
    EXPECT_FALSE(parse_http_head(text).has_value()) << text;
  }
}

TEST(HttpWire, TheStatusIsThreeDigitsInItsPlace) {
  EXPECT_EQ(status_of("HTTP/1.1 404 Not Found"), 404);
  EXPECT_EQ(status_of("HTTP/1.1 101"), 101);
  for (const char* line : {"HTTP/1.0 200 OK", "HTTP/1.1 20", "HTTP/1.1 2x0 OK", "HTTP/1.1 2000"}) {
    EXPECT_EQ(status_of(line), 0) << line;
  }
}

TEST(HttpWire, TokensAreFoundInAListInAnyCase) {
  EXPECT_TRUE(has_token("keep-alive, Upgrade", "upgrade"));
  EXPECT_TRUE(has_token("WebSocket", "websocket"));
  EXPECT_FALSE(has_token("no-upgrade, upgraded", "upgrade"));
  EXPECT_FALSE(has_token("", "upgrade"));
}

TEST(HttpWire, TheFirstParameterOfANameCounts) {
  EXPECT_EQ(query_parameter("/x?a=1&cursor=2&cursor=3", "cursor"), "2");
  EXPECT_EQ(query_parameter("/x?cursor=", "cursor"), "");
  EXPECT_EQ(query_parameter("/x?cursor", "cursor"), "");
  EXPECT_EQ(query_parameter("/x?xcursor=1&b", "cursor"), std::nullopt);
  EXPECT_EQ(query_parameter("/cursor=1", "cursor"), std::nullopt);
}

}  // namespace
}  // namespace standpipe::tools::play
