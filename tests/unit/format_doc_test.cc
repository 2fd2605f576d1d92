// The worked example of docs/format.md, read from the page itself: it must decode to what the page
// says of it, and be encoded to the same bytes.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "schema/frame.h"
#include "storage/group.h"
#include "storage/rows.h"

namespace standpipe::storage {
namespace {

constexpr std::int64_t kTimeMs = 1'767'323'045'678;  // 2026-01-02T03:04:05.678Z

std::string page() {
  std::ifstream in(std::string(STANDPIPE_SOURCE_DIR) + "/docs/format.md");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// The bytes of the fenced block ```hex-`name`: hex digits, with remarks from # to the line's end.
std::string block(const std::string& name) {
  std::istringstream lines(page());
  std::string line, hex;
  while (std::getline(lines, line) && line != "```hex-" + name) {
  }
  EXPECT_TRUE(lines) << "docs/format.md has no block hex-" << name;
  while (std::getline(lines, line) && line != "```") {
    for (const char c : line.substr(0, line.find('#'))) {
      if (c != ' ') hex.push_back(c);
    }
  }
  const Result<Bytes> bytes = parse_hex(hex);
  EXPECT_TRUE(bytes.has_value()) << name;
  return bytes ? std::string(as_text(*bytes)) : "";
}

ChainDigest example_digest() {
  const Bytes bytes =
      parse_hex("17e038e05d6ef796e904ba9592ecec2fa6888d9e348d8fc6c504b5197851eb85").value();
  ChainDigest digest;
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

TEST(FormatDoc, TheGroupDecodesToTheFramesOfTheExample) {
  const std::string value = block("group");
  ASSERT_EQ(value.size(), 307U);
  const auto group = parse_group(value);
  ASSERT_TRUE(group.has_value()) << to_string(group.error());
  EXPECT_EQ(group->codec, 0);
  EXPECT_EQ(group->times.received_first_ms, kTimeMs + 22);
  EXPECT_EQ(group->times.received_last_ms, kTimeMs + 23);
  EXPECT_EQ(group->times.clock_ms, kTimeMs);
  EXPECT_TRUE(group->sections.empty());
  ASSERT_EQ(group->frames.size(), 2U);
  EXPECT_EQ(group->frames[0].seq, Seq{2});
  EXPECT_EQ(group->frames[0].length, 112U);
  EXPECT_EQ(group->frames[0].hash, 0xa913755f90b25061U);
  EXPECT_EQ(group->frames[1].seq, Seq{3});
  EXPECT_EQ(group->frames[1].offset, 112U);
  EXPECT_EQ(group->frames[1].length, 116U);
  EXPECT_EQ(group->frames[1].hash, 0xcd53db1ffaa89b88U);

  const FrameScan identity = scan_frame(as_bytes(group->payload.substr(2, 110)));
  EXPECT_EQ(identity.why, Unarchivable::archivable);
  EXPECT_EQ(identity.envelope.kind, FrameKind::identity);
  EXPECT_EQ(identity.envelope.seq, Seq{2});
  EXPECT_EQ(identity.envelope.did, "did:plc:standpipe2222222222abcde");
  const FrameScan account = scan_frame(as_bytes(group->payload.substr(114, 114)));
  EXPECT_EQ(account.why, Unarchivable::archivable);
  EXPECT_EQ(account.envelope.kind, FrameKind::account);
  EXPECT_EQ(account.envelope.seq, Seq{3});
  EXPECT_EQ(account.envelope.time, "2026-01-02T03:04:05.678Z");
}

TEST(FormatDoc, TheGroupIsEncodedToTheSameBytes) {
  const std::string value = block("group");
  const auto group = parse_group(value);
  ASSERT_TRUE(group.has_value()) << to_string(group.error());
  GroupBuilder builder;
  ChainDigest digest{};
  for (const RunFrame& frame : group->frames) {
    // The wire form and the hash are made anew from the frame as upstream sent it.
    std::string wire;
    append_wire_frame(wire, as_bytes(group->payload.substr(frame.offset + 2, frame.length - 2)));
    builder.add(frame.seq, wire, wire_hash(wire));
    digest = chain_digest(digest, frame.seq, wire);
  }
  EXPECT_EQ(to_hex(as_bytes(builder.finish(group->times))), to_hex(as_bytes(value)));
  EXPECT_EQ(digest, example_digest());
  EXPECT_NE(page().find("`" + to_hex(digest) + "`"), std::string::npos);
}

TEST(FormatDoc, ThePartitionRowDecodesAndIsEncodedToTheSameBytes) {
  const std::string value = block("partition-row");
  const auto row = parse_partition_row(value);
  ASSERT_TRUE(row.has_value()) << to_string(row.error());
  EXPECT_EQ(row->id, PartitionId{1});
  EXPECT_EQ(row->stream, StreamId{1});
  EXPECT_EQ(row->epoch, EpochNumber{1});
  EXPECT_EQ(row->state, PartitionState::sealed);
  EXPECT_EQ(row->container, "frames/repos/0000000000000001");
  EXPECT_EQ(row->codec, 0);
  EXPECT_EQ(row->first, Seq{2});
  EXPECT_EQ(row->last, Seq{3});
  EXPECT_EQ(row->clock_first_ms, kTimeMs);
  EXPECT_EQ(row->clock_last_ms, kTimeMs);
  EXPECT_EQ(row->frames, 2U);
  EXPECT_EQ(row->raw_bytes, 228U);
  EXPECT_EQ(row->groups, 1U);
  EXPECT_EQ(row->digest, example_digest());
  EXPECT_EQ(row->replaces, std::nullopt);
  EXPECT_EQ(to_hex(as_bytes(encode_partition_row(*row))), to_hex(as_bytes(value)));
}

TEST(FormatDoc, TheHeadRowDecodesAndIsEncodedToTheSameBytes) {
  const std::string value = block("head-row");
  const auto row = parse_head_row(value);
  ASSERT_TRUE(row.has_value()) << to_string(row.error());
  EXPECT_TRUE(row->has_origin);
  EXPECT_EQ(row->origin, Seq{1});
  EXPECT_EQ(row->floor, Seq{3});
  EXPECT_EQ(row->newest, Seq{3});
  EXPECT_EQ(row->window_floor, Seq{1});
  EXPECT_EQ(row->clock_ms, kTimeMs);
  EXPECT_EQ(row->steps, 1U);
  EXPECT_EQ(row->steps_skipping, 0U);
  EXPECT_EQ(row->open_partition, PartitionId{1});
  EXPECT_EQ(row->open_first, Seq{2});
  EXPECT_EQ(row->open_last, Seq{3});
  EXPECT_EQ(row->open_clock_first_ms, kTimeMs);
  EXPECT_EQ(row->open_clock_last_ms, kTimeMs);
  EXPECT_EQ(row->open_frames, 2U);
  EXPECT_EQ(row->open_raw_bytes, 228U);
  EXPECT_EQ(row->open_groups, 1U);
  EXPECT_EQ(row->open_digest, example_digest());
  EXPECT_EQ(to_hex(as_bytes(encode_head_row(*row))), to_hex(as_bytes(value)));
}

TEST(FormatDoc, TheKeysOfTheExampleAreTheOnesOfThePage) {
  EXPECT_EQ(to_hex(as_bytes(group_key(PartitionId{1}, Seq{2}))),
            "00000000000000010000000000000002");
  EXPECT_EQ(to_hex(as_bytes(partition_key(PartitionId{1}))), "500000000000000001");
  EXPECT_EQ(to_hex(as_bytes(head_key(StreamId{1}, EpochNumber{1}))), "480000000100000001");
  const std::string text = page();
  EXPECT_NE(text.find("Key: `0000000000000001` `0000000000000002`"), std::string::npos);
  EXPECT_NE(text.find("`50` `0000000000000001`"), std::string::npos);
  EXPECT_NE(text.find("`48` `00000001` `00000001`"), std::string::npos);
}

}  // namespace
}  // namespace standpipe::storage
