#include "tools/frame_page.h"

#include <gtest/gtest.h>

#include <string>

namespace standpipe::tools {
namespace {

using namespace std::string_literals;

// One gap, one frame of two bytes, the end: as the comment in the header lays them out.
const std::string kPage =
    "\x02"
    "\x05\0\0\0\0\0\0\0"
    "\x09\0\0\0\0\0\0\0"
    "\x04"
    "\x01"
    "\x0a\0\0\0\0\0\0\0"
    "\x03\0\0\0\0\0\0\0"
    "\xe8\x03\0\0\0\0\0\0"
    "\xe9\x03\0\0\0\0\0\0"
    "\xe7\x03\0\0\0\0\0\0"
    "\x02\0\0\0"
    "ab"
    "\x03"
    "\x0b\0\0\0\0\0\0\0"
    "\x01"s;

FramePage given_page() {
  FramePage page;
  page.passed.push_back({Seq{5}, Seq{9}, storage::GapReason::retention, 0, ""});
  page.frames.push_back({Seq{10}, storage::PartitionId{3}, 1'000, 1'001, 999, as_bytes("ab")});
  return page;
}

TEST(FramePage, IsWrittenAsItsCommentSays) {
  std::string bytes;
  append_page(bytes, given_page());
  finish_page(bytes, Seq{11}, true);
  EXPECT_EQ(to_hex(as_bytes(bytes)), to_hex(as_bytes(kPage)));
}

TEST(FramePage, IsReadBack) {
  const auto page = parse_page(kPage);
  ASSERT_TRUE(page.has_value()) << page.error().detail;
  ASSERT_EQ(page->passed.size(), 1U);
  EXPECT_EQ(page->passed[0].after, Seq{5});
  EXPECT_EQ(page->passed[0].before, Seq{9});
  EXPECT_EQ(page->passed[0].reason, storage::GapReason::retention);
  ASSERT_EQ(page->frames.size(), 1U);
  EXPECT_EQ(page->frames[0].seq, Seq{10});
  EXPECT_EQ(page->frames[0].partition, storage::PartitionId{3});
  EXPECT_EQ(page->frames[0].received_first_ms, 1'000);
  EXPECT_EQ(page->frames[0].received_last_ms, 1'001);
  EXPECT_EQ(page->frames[0].clock_ms, 999);
  EXPECT_EQ(as_text(page->frames[0].bytes), "ab");
  EXPECT_EQ(page->position, Seq{11});
  EXPECT_TRUE(page->is_last);
}

TEST(FramePage, RefusesEveryCut) {
  for (std::size_t size = 0; size < kPage.size(); ++size) {
    EXPECT_FALSE(parse_page(kPage.substr(0, size)).has_value()) << size;
  }
}

TEST(FramePage, RefusesWhatFollowsTheEndAndWhatIsNoRecord) {
  EXPECT_FALSE(parse_page(kPage + "x").has_value());
  EXPECT_FALSE(parse_page("\x04" + kPage).has_value());
  std::string long_frame = kPage;
  long_frame[18 + 1 + 40] = '\x7f';  // the frame's length
  EXPECT_FALSE(parse_page(long_frame).has_value());
}

}  // namespace
}  // namespace standpipe::tools
