#include "storage/group.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "schema/base/crc32c.h"

namespace standpipe::storage {
namespace {

constexpr GroupTimes kTimes{1'767'323'045'000, 1'767'323'045'678, 1'767'323'044'000};

std::string wire(std::string_view frame) {
  std::string bytes;
  append_wire_frame(bytes, as_bytes(frame));
  return bytes;
}

template <typename T>
std::string verdict(const Result<T>& result) {
  return result.has_value() ? "ok" : std::string(to_string(result.error().code));
}
std::string words(const Result<GroupView>& result) {
  return result.has_value() ? "ok" : to_string(result.error());
}

// Three frames: seq 5, 6 (erased) and 300, and a section that may be skipped.
std::string sample_group() {
  GroupBuilder builder;
  builder.add(Seq{5}, wire("abc"), 0x1111);
  builder.add(Seq{6}, "", 0x2222);
  builder.add(Seq{300}, wire(std::string(200, 'z')), 0x3333);
  const std::vector<GroupSection> sections = {{7, false, "leaf"}};
  return builder.finish(kTimes, sections);
}

std::uint32_t u32_at(const std::string& value, std::size_t at) {
  return load_le<std::uint32_t>(as_bytes(value).data() + at);
}
void set_u32(std::string& value, std::size_t at, std::uint32_t number) {
  std::byte bytes[4];
  store_le(bytes, number);
  value.replace(at, 4, as_text(bytes));
}

// Makes the checksums of a changed group match again, so that what is behind them is reached.
std::string with_checksums(std::string value) {
  const std::size_t length = u32_at(value, 8);
  const std::string_view payload = std::string_view(value).substr(length);
  set_u32(value, 52, crc32c(as_bytes(payload)));
  set_u32(value, length - 4, crc32c(as_bytes(std::string_view(value).substr(0, length - 4))));
  return value;
}

// A group with this table (deltas, lengths, hashes, sections) and this payload.
std::string group_of(std::uint32_t count, std::uint64_t first_seq, const std::string& table,
                     const std::string& payload) {
  std::string value("SPGR\x01\x00\x00\x00", 8);
  value.resize(56);
  set_u32(value, 8, static_cast<std::uint32_t>(56 + table.size() + 4));
  set_u32(value, 12, count);
  set_u32(value, 16, static_cast<std::uint32_t>(first_seq));
  set_u32(value, 20, static_cast<std::uint32_t>(first_seq >> 32U));
  set_u32(value, 48, static_cast<std::uint32_t>(payload.size()));
  return with_checksums(value + table + std::string(4, '\0') + payload);
}
std::string hashes(std::size_t count) { return std::string(count * 8, '\x5a'); }

TEST(Group, EverythingPutInComesBack) {
  const std::string value = sample_group();
  const auto group = parse_group(value);
  ASSERT_TRUE(group.has_value()) << words(group);
  EXPECT_EQ(group->codec, 0);
  EXPECT_EQ(group->times.received_first_ms, 1'767'323'045'000);
  EXPECT_EQ(group->times.received_last_ms, 1'767'323'045'678);
  EXPECT_EQ(group->times.clock_ms, 1'767'323'044'000);
  ASSERT_EQ(group->frames.size(), 3U);
  EXPECT_EQ(group->frames[0].seq, Seq{5});
  EXPECT_EQ(group->frames[0].offset, 0U);
  EXPECT_EQ(group->frames[0].length, 5U);
  EXPECT_EQ(group->frames[0].hash, 0x1111U);
  EXPECT_EQ(group->frames[1].seq, Seq{6});
  EXPECT_EQ(group->frames[1].offset, 5U);
  EXPECT_EQ(group->frames[1].length, 0U);  // erased
  EXPECT_EQ(group->frames[1].hash, 0x2222U);
  EXPECT_EQ(group->frames[2].seq, Seq{300});
  EXPECT_EQ(group->frames[2].offset, 5U);
  EXPECT_EQ(group->frames[2].length, 204U);
  EXPECT_EQ(group->frames[2].hash, 0x3333U);
  EXPECT_EQ(group->payload, wire("abc") + wire(std::string(200, 'z')));
  ASSERT_EQ(group->sections.size(), 1U);
  EXPECT_EQ(group->sections[0].type, 7);
  EXPECT_EQ(group->sections[0].bytes, "leaf");
}

TEST(Group, TheHeaderIsReadWithoutLookingAtThePayload) {
  std::string value = sample_group();
  value.back() = '!';
  EXPECT_EQ(verdict(parse_group(value)), "corrupt");
  const auto group = parse_group_header(value);
  ASSERT_TRUE(group.has_value());
  EXPECT_EQ(group->frames.size(), 3U);
  EXPECT_EQ(group->frames[2].offset, 5U);
  EXPECT_EQ(group->payload, "");
  EXPECT_EQ(group->times.clock_ms, 1'767'323'044'000);
  EXPECT_EQ(group->sections.size(), 1U);
}

TEST(Group, EveryFlippedBitAndEveryTruncationIsCorrupt) {
  const std::string value = sample_group();
  for (std::size_t i = 0; i < value.size(); ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string damaged = value;
      damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ (1U << bit));
      ASSERT_EQ(verdict(parse_group(damaged)), "corrupt") << "byte " << i << " bit " << bit;
    }
    ASSERT_EQ(verdict(parse_group(value.substr(0, i))), "corrupt") << "cut at " << i;
  }
  EXPECT_EQ(verdict(parse_group(value + '\0')), "corrupt");
}

TEST(Group, ABuilderIsEmptyAfterFinishAndMayBeUsedAgain) {
  GroupBuilder builder;
  builder.add(Seq{9}, wire("a"), 1);
  EXPECT_EQ(builder.frames(), 1U);
  EXPECT_EQ(builder.payload_bytes(), 3U);
  const std::string first = builder.finish(kTimes);
  EXPECT_EQ(builder.frames(), 0U);
  EXPECT_EQ(builder.payload_bytes(), 0U);
  builder.add(Seq{2}, wire("b"), 2);
  const std::string second = builder.finish(kTimes);
  EXPECT_EQ(parse_group(first).value().frames[0].seq, Seq{9});
  EXPECT_EQ(parse_group(second).value().frames[0].seq, Seq{2});
  EXPECT_EQ(parse_group(second).value().payload, wire("b"));
}

TEST(Group, SeqsReachFromOneToTheLargestThereIs) {
  GroupBuilder builder;
  builder.add(kSeqMin, wire("a"), 1);
  builder.add(kSeqMax, wire("b"), 2);
  const std::string value = builder.finish(kTimes);
  const auto group = parse_group(value);
  ASSERT_TRUE(group.has_value()) << words(group);
  EXPECT_EQ(group->frames[1].seq, Seq{9'007'199'254'740'991});
  const std::string two = wire("a") + wire("b");
  EXPECT_EQ(verdict(parse_group(group_of(2, 1, "\x01\x03\x03" + hashes(2), two))), "ok");
  const std::string step_to_max("\xfe\xff\xff\xff\xff\xff\xff\x0f", 8);
  EXPECT_EQ(verdict(parse_group(group_of(2, 1, step_to_max + "\x03\x03" + hashes(2), two))), "ok");
  EXPECT_EQ(verdict(parse_group(group_of(2, 2, step_to_max + "\x03\x03" + hashes(2), two))),
            "corrupt");
  EXPECT_EQ(verdict(parse_group(group_of(1, 0, "\x03" + hashes(1), wire("a")))), "corrupt");
  EXPECT_EQ(verdict(parse_group(group_of(1, 1ULL << 53U, "\x03" + hashes(1), wire("a")))),
            "corrupt");
}

TEST(Group, SeqsThatDoNotRiseAreCorrupt) {
  const std::string table = std::string("\x00\x03\x03", 3) + hashes(2);
  EXPECT_EQ(words(parse_group(group_of(2, 1, table, wire("a") + wire("b")))),
            "corrupt: group, byte 56: frame table: seq delta of frame 1 is not 1 .. 2^53-1 - seq");
}

TEST(Group, LengthsThatDoNotAddUpToThePayloadAreCorrupt) {
  const std::string payload = wire("a") + wire("b");
  // Bytes that no frame claims.
  const std::string unclaimed = std::string("\x01\x03\x00", 3) + hashes(2);
  EXPECT_EQ(words(parse_group(group_of(2, 1, unclaimed, payload))),
            "corrupt: group, byte 59: frame table: wire lengths add up to 3, the payload has 6");
  EXPECT_EQ(verdict(parse_group(group_of(2, 1, "\x01\x03\x02" + hashes(2), payload))), "corrupt");
  EXPECT_EQ(verdict(parse_group(group_of(2, 1, "\x01\x03\x04" + hashes(2), payload))), "corrupt");
  const std::string huge = "\x01\x03\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + hashes(2);
  EXPECT_EQ(verdict(parse_group(group_of(2, 1, huge, payload))), "corrupt");
  const std::string too_long = "\x01\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" + hashes(2);
  EXPECT_EQ(verdict(parse_group(group_of(2, 1, too_long, payload))), "corrupt");
  const std::string not_shortest = std::string("\x01\x03\x83\x00", 4) + hashes(2);
  EXPECT_EQ(verdict(parse_group(group_of(2, 1, not_shortest, payload))), "corrupt");
}

TEST(Group, AFrameCountIsCheckedBeforeAnythingIsAllocated) {
  const std::string table = "\x03" + hashes(1);
  EXPECT_EQ(verdict(parse_group(group_of(0, 1, table, wire("a")))), "corrupt");
  EXPECT_EQ(verdict(parse_group(group_of(2, 1, table, wire("a")))), "corrupt");
  EXPECT_EQ(words(parse_group(group_of(4096, 1, table, wire("a")))),
            "corrupt: group, byte 56: frame table: has no room for 4096 frames");
  EXPECT_EQ(words(parse_group(group_of(4097, 1, table, wire("a")))),
            "corrupt: group, byte 12: 4097 frames, 1 to 4096 are allowed");
  EXPECT_EQ(verdict(parse_group(group_of(0xFFFF'FFFF, 1, table, wire("a")))), "corrupt");
}

TEST(Group, AFullGroupIsReadAndOneByteAboveTheLimitRefused) {
  GroupBuilder builder;
  for (std::int64_t seq = 1; seq <= 4096; ++seq) builder.add(Seq{seq}, wire("x"), 1);
  const std::string full = builder.finish(kTimes);
  EXPECT_EQ(parse_group(full).value().frames.size(), 4096U);
  EXPECT_EQ(verdict(parse_group(std::string(kGroupBytesMax + 1, 'S'))), "corrupt");
}

TEST(Group, OnlyThePinnedWireFormIsAccepted) {
  const auto one_frame = [](const std::string& payload) {
    return group_of(1, 1, static_cast<char>(payload.size()) + hashes(1), payload);
  };
  EXPECT_EQ(verdict(parse_group(one_frame(wire("a")))), "ok");
  EXPECT_EQ(verdict(parse_group(one_frame("\x81\x01"
                                          "a"))),
            "corrupt");  // text
  EXPECT_EQ(verdict(parse_group(one_frame("\x02\x01"
                                          "a"))),
            "corrupt");  // no FIN
  EXPECT_EQ(verdict(parse_group(one_frame("\x82\x81"
                                          "mask"
                                          "a"))),
            "corrupt");  // masked
  EXPECT_EQ(verdict(parse_group(one_frame(std::string("\x82\x7e\x00\x01"
                                                      "a",
                                                      5)))),
            "corrupt");
  EXPECT_EQ(verdict(parse_group(one_frame("\x82\x02"
                                          "a"))),
            "corrupt");  // spans another
  EXPECT_EQ(verdict(parse_group(one_frame("\x82"))), "corrupt");
  // The header alone does not tell: it is the payload that is not the wire form.
  EXPECT_EQ(verdict(parse_group_header(one_frame("\x81\x01"
                                                 "a"))),
            "ok");
}

TEST(Group, UnknownSectionsAreSkippedUnlessCritical) {
  const std::string table = "\x03" + hashes(1);
  const std::string skippable("\x2a\x00\x00\x02\x00\x00\x00hi", 9);
  const std::string critical("\x2a\x00\x01\x02\x00\x00\x00hi", 9);
  EXPECT_EQ(verdict(parse_group(group_of(1, 1, table + skippable, wire("a")))), "ok");
  EXPECT_EQ(verdict(parse_group(group_of(1, 1, table + skippable + skippable, wire("a")))), "ok");
  EXPECT_EQ(words(parse_group(group_of(1, 1, table + skippable + critical, wire("a")))),
            "unsupported: group, byte 74: section of type 42 must be understood and is not known "
            "to this build");
  EXPECT_EQ(verdict(parse_group_header(group_of(1, 1, table + critical, wire("a")))),
            "unsupported");
  const std::string cut = skippable.substr(0, 8);
  EXPECT_EQ(verdict(parse_group(group_of(1, 1, table + cut, wire("a")))), "corrupt");
  EXPECT_EQ(verdict(parse_group(group_of(1, 1, table + "\x2a", wire("a")))), "corrupt");
  std::string other_flags = skippable;
  other_flags[2] = 2;
  EXPECT_EQ(verdict(parse_group(group_of(1, 1, table + other_flags, wire("a")))), "corrupt");
}

TEST(Group, ANewerHeaderAnotherCodecAndUnknownFlagsAreUnsupported) {
  for (const std::size_t at : {4U, 5U, 6U, 7U}) {
    std::string value = sample_group();
    value[at] = 2;
    EXPECT_EQ(verdict(parse_group(value)), "corrupt") << at;  // damage, not news
    EXPECT_EQ(verdict(parse_group(with_checksums(value))), "unsupported") << at;
  }
}

TEST(Group, HeaderLengthsOutsideTheValueAreCorrupt) {
  for (const std::uint32_t length : {0U, 15U, 16U, 59U, 0xFFFF'FFFFU}) {
    std::string value = sample_group();
    set_u32(value, 8, length);
    EXPECT_EQ(verdict(parse_group(value)), "corrupt") << length;
  }
  // One that ends within the fixed fields, with a checksum that matches.
  for (std::uint32_t length = 16; length < 60; ++length) {
    std::string value = sample_group();
    set_u32(value, 8, length);
    set_u32(value, length - 4, crc32c(as_bytes(std::string_view(value).substr(0, length - 4))));
    EXPECT_NE(verdict(parse_group(value)), "ok") << length;
  }
}

// A seeded twin: what is put in is kept beside and compared.
TEST(Group, RandomGroupsComeBackAsTheyWentIn) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 50; ++round) {
    GroupBuilder builder;
    std::vector<std::pair<Seq, std::string>> twin;
    std::int64_t seq = static_cast<std::int64_t>(random() % 1000);
    const std::size_t count = 1 + random() % 64;
    for (std::size_t i = 0; i < count; ++i) {
      seq += 1 + static_cast<std::int64_t>(random() % 3 == 0 ? random() % 100'000 : 0);
      std::string bytes;
      if (random() % 8 != 0) bytes = wire(std::string(random() % 300, static_cast<char>(random())));
      builder.add(Seq{seq}, bytes, random());
      twin.emplace_back(Seq{seq}, bytes);
    }
    const std::string value = builder.finish(kTimes);
    const auto group = parse_group(value);
    ASSERT_TRUE(group.has_value()) << words(group);
    ASSERT_EQ(group->frames.size(), twin.size());
    for (std::size_t i = 0; i < twin.size(); ++i) {
      EXPECT_EQ(group->frames[i].seq, twin[i].first);
      EXPECT_EQ(group->payload.substr(group->frames[i].offset, group->frames[i].length),
                twin[i].second);
    }
  }
}

TEST(Group, TheWireHashIsXxh3WithSeedZero) {
  EXPECT_EQ(wire_hash(""), 0x2D06800538D394C2U);  // from the XXH3 specification's own vectors
}

TEST(Group, TheChainDigestIsSha256OverPreviousSeqAndWire) {
  // printf '00..00 0000000000000005 8203616263' | xxd -r -p | sha256sum, then with that in front.
  const ChainDigest one = chain_digest({}, Seq{5}, wire("abc"));
  EXPECT_EQ(to_hex(one), "ae0fd34885654d03eadc20b19d56c2e810a71ba280325333c526d1daeac58f88");
  EXPECT_EQ(to_hex(chain_digest(one, Seq{6}, "")),
            "a8eaaeb0f4bc65232f701c3d9835e066b60ed019716ff30bcd45c40d2b765766");
}

TEST(GroupDeathTest, TheBuilderRefusesWhatParseGroupWouldRefuse) {
  GroupBuilder builder;
  EXPECT_DEATH(builder.add(kSeqNone, wire("a"), 1), "outside");
  EXPECT_DEATH(builder.add(Seq{1}, "abc", 1), "wire form");
  EXPECT_DEATH(builder.finish(kTimes), "without frames");
  builder.add(Seq{5}, wire("a"), 1);
  EXPECT_DEATH(builder.add(Seq{5}, wire("a"), 1), "rise");
}

}  // namespace
}  // namespace standpipe::storage
