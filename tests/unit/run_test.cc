#include "storage/run.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace standpipe::storage {
namespace {

std::string hex_head(const std::string& wire, std::size_t bytes) {
  return to_hex(as_bytes(std::string_view(wire).substr(0, bytes)));
}

std::string wire_of_size(std::size_t frame_bytes) {
  std::string wire;
  append_wire_frame(wire, as_bytes(std::string(frame_bytes, 'x')));
  return wire;
}

TEST(Run, WireHeadersTakeTheShortestForm) {
  EXPECT_EQ(hex_head(wire_of_size(0), 2), "8200");
  EXPECT_EQ(hex_head(wire_of_size(5), 3), "820578");
  EXPECT_EQ(hex_head(wire_of_size(125), 3), "827d78");
  EXPECT_EQ(hex_head(wire_of_size(126), 5), "827e007e78");
  EXPECT_EQ(hex_head(wire_of_size(65535), 5), "827effff78");
  EXPECT_EQ(hex_head(wire_of_size(65536), 11), "827f000000000001000078");
  EXPECT_EQ(wire_of_size(126).size(), 130U);
  EXPECT_EQ(wire_of_size(65536).size(), 65546U);
}

TEST(Run, CheckWireFrameAcceptsThePinnedFormOnly) {
  for (const std::size_t size : {0U, 1U, 125U, 126U, 65535U, 65536U, 70000U}) {
    const std::string wire = wire_of_size(size);
    const auto header = check_wire_frame(as_bytes(wire));
    ASSERT_TRUE(header.has_value()) << size;
    EXPECT_EQ(*header, wire_header_size(size));
    for (std::size_t cut = 1; cut <= 12 && cut <= wire.size(); ++cut) {
      EXPECT_FALSE(check_wire_frame(as_bytes(wire.substr(0, wire.size() - cut)))) << size;
    }
    EXPECT_FALSE(check_wire_frame(as_bytes(wire + "x"))) << size;
  }
  const auto refused = [](std::string_view hex) {
    const Bytes wire = parse_hex(hex).value();
    const auto result = check_wire_frame(wire);
    return !result.has_value() && result.error().code == Errc::corrupt;
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("82"));
  EXPECT_TRUE(refused("810161"));                  // text
  EXPECT_TRUE(refused("020161"));                  // no FIN
  EXPECT_TRUE(refused("c20161"));                  // reserved bit
  EXPECT_TRUE(refused("828161"));                  // masked
  EXPECT_TRUE(refused("827e000161"));              // 16-bit length where 7 bits do
  EXPECT_TRUE(refused("827f000000000000000161"));  // 64-bit length where 7 bits do
  std::string long_form("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", 10);
  EXPECT_FALSE(check_wire_frame(as_bytes(long_form + std::string(65535, 'x'))));
  EXPECT_TRUE(refused("827fffffffffffffffff"));  // announces more than there can be
}

TEST(Run, FramesAreFoundBySeqAndCutWithAndWithoutHeader) {
  WireRun run;
  run.wire = std::string(
      "\x82\x02"
      "ab\x82\x01"
      "c",
      7);
  run.frames = {{Seq{10}, 0, 4, 1}, {Seq{15}, 4, 0, 2}, {Seq{20}, 4, 3, 3}};
  EXPECT_EQ(run.first(), Seq{10});
  EXPECT_EQ(run.last(), Seq{20});
  EXPECT_EQ(run.index_after(Seq{0}), 0U);
  EXPECT_EQ(run.index_after(Seq{9}), 0U);
  EXPECT_EQ(run.index_after(Seq{10}), 1U);
  EXPECT_EQ(run.index_after(Seq{14}), 1U);
  EXPECT_EQ(run.index_after(Seq{19}), 2U);
  EXPECT_EQ(run.index_after(Seq{20}), 3U);
  EXPECT_EQ(as_text(run.frame_of(0)), "ab");
  EXPECT_EQ(to_hex(run.wire_of(2)), "820163");
  EXPECT_EQ(as_text(run.frame_of(2)), "c");
  EXPECT_EQ(run.wire_of(1).size(), 0U);  // erased
  EXPECT_EQ(run.frame_of(1).size(), 0U);
}

TEST(Run, IsCutBehindASeq) {
  WireRun made;
  made.wire = std::string(
      "\x82\x02"
      "ab\x82\x01"
      "c",
      7);
  made.frames = {{Seq{10}, 0, 4, 1}, {Seq{15}, 4, 0, 2}, {Seq{20}, 4, 3, 3}};
  made.clock_ms = 7;
  const auto run = std::make_shared<const WireRun>(made);
  EXPECT_EQ(run_up_to(run, Seq{20}), run);
  EXPECT_EQ(run_up_to(run, Seq{21}), run);
  EXPECT_EQ(run_up_to(run, Seq{9}), nullptr);
  EXPECT_EQ(run_up_to(nullptr, Seq{9}), nullptr);
  const WireRunPtr whole_but_one = run_up_to(run, Seq{19});
  EXPECT_EQ(whole_but_one->last(), Seq{15});  // erased
  EXPECT_EQ(whole_but_one->wire.size(), 4U);
  EXPECT_EQ(whole_but_one->clock_ms, 7);
  const WireRunPtr first = run_up_to(run, Seq{10});
  EXPECT_EQ(first->last(), Seq{10});
  EXPECT_EQ(as_text(first->frame_of(0)), "ab");
  EXPECT_EQ(first->wire.size(), 4U);
  EXPECT_EQ(run->frames.size(), 3U);
}

TEST(Run, FrameOfKnowsEachHeaderForm) {
  for (const std::size_t size : {125U, 126U, 65535U, 65536U}) {
    WireRun run;
    run.wire = wire_of_size(size);
    run.frames = {{Seq{1}, 0, static_cast<std::uint32_t>(run.wire.size()), 0}};
    EXPECT_EQ(run.frame_of(0).size(), size);
    EXPECT_EQ(as_text(run.frame_of(0)), std::string(size, 'x'));
  }
}

}  // namespace
}  // namespace standpipe::storage
