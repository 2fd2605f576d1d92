#include "schema/cbor.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace standpipe {
namespace {

Bytes hex(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c != ' ') digits.push_back(c);
  }
  return parse_hex(digits).value();
}

// "ok 3", "malformed", "limit": what check_cbor says of `text`.
std::string verdict(std::string_view text, CborProfile profile, CborOptions options = {}) {
  options.profile = profile;
  const Bytes bytes = hex(text);
  const auto length = check_cbor(bytes, options);
  if (length) return "ok " + std::to_string(*length);
  return length.error().code == Errc::limit ? "limit" : std::string(to_string(length.error().code));
}

std::string strict(std::string_view text, CborOptions options = {}) {
  return verdict(text, CborProfile::strict, options);
}
std::string lenient(std::string_view text, CborOptions options = {}) {
  return verdict(text, CborProfile::lenient, options);
}
std::string well_formed(std::string_view text, CborOptions options = {}) {
  return verdict(text, CborProfile::well_formed, options);
}

std::string repeat(std::string_view unit, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += unit;
  return text;
}

constexpr std::string_view kLink =
    "d82a582500017112208a102f4f6288893fecaae2fa31c34a9c06ec7676a48d233cec46b7cd455c8de7";

struct Verdicts {
  std::string_view what;
  std::string_view hex;
  std::string_view strict;
  std::string_view lenient;
  std::string_view well_formed;
};

// One line per rule of the data model; RFC 8949 appendix A and F for the third column.
const Verdicts kVerdicts[] = {
    {"zero", "00", "ok 1", "ok 1", "ok 1"},
    {"integer, then something else", "0000", "ok 1", "ok 1", "ok 1"},
    {"24 in two bytes", "1818", "ok 2", "ok 2", "ok 2"},
    {"23 in two bytes", "1817", "malformed", "ok 2", "ok 2"},
    {"255 in three bytes", "1900ff", "malformed", "ok 3", "ok 3"},
    {"65535 in five bytes", "1a0000ffff", "malformed", "ok 5", "ok 5"},
    {"2^32 - 1 in nine bytes", "1b00000000ffffffff", "malformed", "ok 9", "ok 9"},
    {"2^63 - 1", "1b7fffffffffffffff", "ok 9", "ok 9", "ok 9"},
    {"2^63", "1b8000000000000000", "malformed", "malformed", "ok 9"},
    {"-2^63", "3b7fffffffffffffff", "ok 9", "ok 9", "ok 9"},
    {"-2^63 - 1", "3b8000000000000000", "malformed", "malformed", "ok 9"},
    {"cut off in a head", "1b00", "malformed", "malformed", "malformed"},
    {"nothing at all", "", "malformed", "malformed", "malformed"},
    {"reserved head 28", "1c", "malformed", "malformed", "malformed"},
    {"reserved head 30 of a map", "be", "malformed", "malformed", "malformed"},
    {"integer of indefinite length", "1f", "malformed", "malformed", "malformed"},
    {"text", "6161", "ok 2", "ok 2", "ok 2"},
    {"text of 24 bytes", "7818616161616161616161616161616161616161616161616161", "ok 26", "ok 26",
     "ok 26"},
    {"text with a long head", "780161", "malformed", "ok 3", "ok 3"},
    {"text that is cut off", "6261", "malformed", "malformed", "malformed"},
    {"text that is longer than memory", "7bffffffffffffffff61", "malformed", "malformed",
     "malformed"},
    {"text that is not UTF-8", "61ff", "malformed", "malformed", "ok 2"},
    {"text with a surrogate", "63eda080", "malformed", "malformed", "ok 4"},
    {"text in chunks", "7f61616162ff", "malformed", "malformed", "ok 6"},
    {"no chunks", "7fff", "malformed", "malformed", "ok 2"},
    {"chunks without end", "7f6161", "malformed", "malformed", "malformed"},
    {"a byte string as chunk of text", "7f4161ff", "malformed", "malformed", "malformed"},
    {"chunks in chunks", "7f7f6161ffff", "malformed", "malformed", "malformed"},
    {"bytes", "4200ff", "ok 3", "ok 3", "ok 3"},
    {"bytes in chunks", "5f41004101ff", "malformed", "malformed", "ok 6"},
    {"array", "83010203", "ok 4", "ok 4", "ok 4"},
    {"empty array", "80", "ok 1", "ok 1", "ok 1"},
    {"array that is cut off", "830102", "malformed", "malformed", "malformed"},
    {"array that counts more than there are bytes", "9affffffff0000", "malformed", "malformed",
     "malformed"},
    {"array of indefinite length", "9f0102ff", "malformed", "malformed", "ok 4"},
    {"array without end", "9f0102", "malformed", "malformed", "malformed"},
    {"map", "a2616101616202", "ok 7", "ok 7", "ok 7"},
    {"map, shorter key later", "a262616101616202", "malformed", "ok 8", "ok 8"},
    {"map, shorter key first", "a261620262616101", "ok 8", "ok 8", "ok 8"},
    {"map, keys out of order", "a2616202616101", "malformed", "ok 7", "ok 7"},
    {"map, key at once again", "a2616101616102", "malformed", "malformed", "ok 7"},
    {"map, key again later", "a3616101616202616103", "malformed", "malformed", "ok 10"},
    {"map, key again by a longer head", "a261610178016102", "malformed", "malformed", "ok 8"},
    {"map inside of a map, with the same keys", "a26161016162a2616101616202", "ok 13", "ok 13",
     "ok 13"},
    {"map inside of a map, the outer one unsorted", "a26162a2616101616202616101", "malformed",
     "ok 13", "ok 13"},
    {"map inside of a map, the outer one repeats", "a36162a161620161610161620 2", "malformed",
     "malformed", "ok 13"},
    {"map, integer key", "a10102", "malformed", "malformed", "ok 3"},
    {"map, byte string key", "a1416102", "malformed", "malformed", "ok 4"},
    {"map, array as key", "a1810102", "malformed", "malformed", "ok 4"},
    {"map with a key and no value", "a16161", "malformed", "malformed", "malformed"},
    {"map of indefinite length", "bf616101ff", "malformed", "malformed", "ok 5"},
    {"map with a break for a value", "bf6161ff", "malformed", "malformed", "malformed"},
    {"map that counts more than there are bytes", "bbffffffffffffffff6161", "malformed",
     "malformed", "malformed"},
    {"false, true, null", "83f4f5f6", "ok 4", "ok 4", "ok 4"},
    {"undefined", "f7", "malformed", "malformed", "ok 1"},
    {"simple value 16", "f0", "malformed", "malformed", "ok 1"},
    {"simple value 255", "f8ff", "malformed", "malformed", "ok 2"},
    {"simple value 24, which RFC 8949 reserves", "f818", "malformed", "malformed", "malformed"},
    {"false in two bytes", "f814", "malformed", "malformed", "malformed"},
    {"float of 16 bits", "f93c00", "malformed", "ok 3", "ok 3"},
    {"float of 32 bits", "fa47c35000", "malformed", "ok 5", "ok 5"},
    {"float of 64 bits", "fb3ff199999999999a", "malformed", "ok 9", "ok 9"},
    {"float that is cut off", "fb3ff1", "malformed", "malformed", "malformed"},
    {"a break and nothing else", "ff", "malformed", "malformed", "malformed"},
    {"a break in a definite array", "81ff", "malformed", "malformed", "malformed"},
    {"link", kLink, "ok 41", "ok 41", "ok 41"},
    {"link to text", "d82a6161", "malformed", "malformed", "ok 4"},
    {"link of no bytes", "d82a40", "malformed", "malformed", "ok 3"},
    {"link of a zero and no CID", "d82a4100", "malformed", "malformed", "ok 4"},
    {"link without the zero", "d82a450155000000", "malformed", "malformed", "ok 8"},
    {"link with an identity hash", "d82a450001550000", "ok 8", "ok 8", "ok 8"},
    {"link whose digest is short", "d82a46000155120200", "malformed", "malformed", "ok 9"},
    {"link whose digest is long", "d82a4700015512010000", "malformed", "malformed", "ok 10"},
    {"link by a long tag head", "d9002a450001550000", "malformed", "ok 9", "ok 9"},
    {"link by a long string head", "d82a58050001550000", "malformed", "ok 9", "ok 9"},
    {"link in chunks", "d82a5f450001550000ff", "malformed", "malformed", "ok 10"},
    {"another tag", "c074323031332d30332d32315432303a30343a30305a", "malformed", "malformed",
     "ok 22"},
    {"a tag and nothing", "c0", "malformed", "malformed", "malformed"},
    {"a tag and a break", "9fc0ff", "malformed", "malformed", "malformed"},
};

TEST(CborCheck, TheThreeProfilesJudgeEachRuleOfTheDataModel) {
  for (const Verdicts& expected : kVerdicts) {
    EXPECT_EQ(strict(expected.hex), expected.strict) << expected.what;
    EXPECT_EQ(lenient(expected.hex), expected.lenient) << expected.what;
    EXPECT_EQ(well_formed(expected.hex), expected.well_formed) << expected.what;
  }
}

TEST(CborCheck, DepthCountsContainersAndTagsInclusively) {
  const CborOptions two{.depth_max = 2};
  EXPECT_EQ(strict("818101", two), "ok 3");
  EXPECT_EQ(strict("81818101", two), "limit");
  EXPECT_EQ(strict("818180", two), "limit");  // empty, but one too deep
  EXPECT_EQ(strict("81d82a450001550000", two), "ok 9");
  EXPECT_EQ(strict("8181d82a450001550000", two), "limit");
  EXPECT_EQ(well_formed("c1c100", two), "ok 3");
  EXPECT_EQ(well_formed("c1c1c100", two), "limit");
  EXPECT_EQ(well_formed("9f9f9fffffff", two), "limit");
  EXPECT_EQ(strict("01", {.depth_max = 0}), "ok 1");
  EXPECT_EQ(strict("80", {.depth_max = 0}), "limit");
}

TEST(CborCheck, TheGreatestDepthIs128) {
  const CborOptions deepest{.depth_max = kCborDepthLimit};
  EXPECT_EQ(strict(repeat("81", 128) + "01", deepest), "ok 129");
  EXPECT_EQ(strict(repeat("81", 129) + "01", deepest), "limit");
  EXPECT_EQ(well_formed(repeat("9f", 128) + repeat("ff", 128), deepest), "ok 256");
  EXPECT_EQ(lenient(repeat("a16161", 128) + "01", deepest), "ok 385");
}

TEST(CborCheckDeathTest, AskingForMoreDepthIsAnErrorOfTheCaller) {
  EXPECT_DEATH(strict("01", {.depth_max = 129}), "depth_max");
}

TEST(CborCheck, EntriesAreLimitedInEveryKindOfContainer) {
  const CborOptions two{.container_entries_max = 2};
  EXPECT_EQ(strict("820102", two), "ok 3");
  EXPECT_EQ(strict("83010203", two), "limit");
  EXPECT_EQ(strict("a2616101616202", two), "ok 7");
  EXPECT_EQ(strict("a3616101616202616303", two), "limit");
  EXPECT_EQ(well_formed("9f0102ff", two), "ok 4");
  EXPECT_EQ(well_formed("9f010203ff", two), "limit");
  EXPECT_EQ(well_formed("bf616101616202ff", two), "ok 8");
  EXPECT_EQ(well_formed("bf616101616202616303ff", two), "limit");
}

TEST(CborCheck, KeysAreLimitedInLengthAlsoInChunks) {
  const CborOptions two{.key_bytes_max = 2};
  EXPECT_EQ(strict("a162616101", two), "ok 5");
  EXPECT_EQ(strict("a16361616101", two), "limit");
  EXPECT_EQ(lenient("a16361616101", two), "limit");
  EXPECT_EQ(well_formed("a14361616101", two), "limit");
  EXPECT_EQ(well_formed("bf7f61616161ff01ff", two), "ok 9");
  EXPECT_EQ(well_formed("bf7f616161616161ff01ff", two), "limit");
  EXPECT_EQ(strict("a1616163616161", two), "ok 7");  // a value may be longer
}

TEST(CborCheck, ACountIsRefusedAtItsHeadAndNotWhereTheBytesEnd) {
  const auto why = [](std::string_view text) { return check_cbor(hex(text), {}).error().detail; };
  EXPECT_EQ(why("83f4f5"), "CBOR at byte 0: count is greater than the bytes left allow");
  EXPECT_EQ(why("a2616101 6162"), "CBOR at byte 6: cut off");  // two pairs could be four bytes
  EXPECT_EQ(why("a261 6101"), "CBOR at byte 0: count is greater than the bytes left allow");
}

TEST(CborCheck, TheErrorNamesTheByteAndTheReason) {
  const auto result = check_cbor(hex("82616161ff"), {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().detail, "CBOR at byte 3: text is not UTF-8");
}

// A checker that looks at an inner container once for every outer one takes minutes for this.
TEST(CborCheck, TimeIsLinearForNestedIndefiniteContainers) {
  constexpr std::size_t kItems = 4'000'000;
  CborOptions options{.profile = CborProfile::well_formed, .depth_max = 128};
  options.container_entries_max = kItems;
  Bytes bytes(127, std::byte{0x9F});
  bytes.push_back(std::byte{0xBF});
  bytes.insert(bytes.end(), kItems, std::byte{0x00});
  bytes.insert(bytes.end(), 128, kCborBreak);
  const auto begin = std::chrono::steady_clock::now();
  const auto length = check_cbor(bytes, options);
  const auto took = std::chrono::steady_clock::now() - begin;
  ASSERT_TRUE(length) << to_string(length.error());
  EXPECT_EQ(*length, 4'000'256U);
  EXPECT_LT(took, std::chrono::seconds(10));
}

TEST(CborReader, ReadsEachKind) {
  const Bytes bytes = hex(
      "8a 1b7fffffffffffffff 3b7fffffffffffffff 626869 42beef a1616101 f5 f4 f6 fb3ff8000000000000"
      "d82a450001550000");
  CborReader reader(bytes, {.profile = CborProfile::lenient});
  EXPECT_EQ(reader.peek_kind().value(), CborKind::array);
  EXPECT_EQ(reader.read_array().value(), 10U);
  EXPECT_EQ(reader.peek_kind().value(), CborKind::unsigned_integer);
  EXPECT_EQ(reader.read_integer().value(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(reader.peek_kind().value(), CborKind::negative_integer);
  EXPECT_EQ(reader.read_integer().value(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(reader.peek_kind().value(), CborKind::text);
  EXPECT_EQ(reader.read_text().value(), "hi");
  EXPECT_EQ(reader.peek_kind().value(), CborKind::bytes);
  EXPECT_EQ(to_hex(reader.read_bytes().value()), "beef");
  EXPECT_EQ(reader.peek_kind().value(), CborKind::map);
  EXPECT_EQ(reader.read_map().value(), 1U);
  EXPECT_EQ(reader.read_text().value(), "a");
  EXPECT_EQ(reader.read_integer().value(), 1);
  EXPECT_EQ(reader.peek_kind().value(), CborKind::boolean);
  EXPECT_TRUE(reader.read_boolean().value());
  EXPECT_FALSE(reader.read_boolean().value());
  EXPECT_EQ(reader.peek_kind().value(), CborKind::null);
  EXPECT_TRUE(reader.read_null());
  EXPECT_EQ(reader.peek_kind().value(), CborKind::floating);
  EXPECT_EQ(reader.read_float().value(), 1.5);
  EXPECT_EQ(reader.peek_kind().value(), CborKind::link);
  EXPECT_EQ(to_hex(reader.read_link().value()), "01550000");
  EXPECT_TRUE(reader.at_end());
  EXPECT_EQ(reader.position(), bytes.size());
}

TEST(CborReader, NamesTheKindsThatTheDataModelLacks) {
  EXPECT_EQ(CborReader(hex("f7")).peek_kind().value(), CborKind::other);
  EXPECT_EQ(CborReader(hex("f8ff")).peek_kind().value(), CborKind::other);
  EXPECT_EQ(CborReader(hex("c100")).peek_kind().value(), CborKind::tag);
  EXPECT_FALSE(CborReader(hex("ff")).peek_kind());
  EXPECT_FALSE(CborReader(hex("")).peek_kind());
}

TEST(CborReader, RefusesAnotherKindAndSaysWhichItWanted) {
  const Bytes text = hex("626869");
  EXPECT_EQ(CborReader(text).read_map().error().detail, "CBOR at byte 0: expected a map");
  EXPECT_FALSE(CborReader(text).read_array());
  EXPECT_FALSE(CborReader(text).read_integer());
  EXPECT_FALSE(CborReader(text).read_bytes());
  EXPECT_FALSE(CborReader(text).read_link());
  EXPECT_FALSE(CborReader(text).read_boolean());
  EXPECT_FALSE(CborReader(text).read_null());
  EXPECT_FALSE(CborReader(text).read_float());
  EXPECT_FALSE(CborReader(hex("01")).read_text());
}

TEST(CborReader, NeverBelievesALengthThatTheInputCannotHold) {
  EXPECT_FALSE(CborReader(hex("9bffffffffffffffff00")).read_array());
  EXPECT_FALSE(CborReader(hex("8200")).read_array());
  EXPECT_FALSE(CborReader(hex("a1 61")).read_map());
  EXPECT_FALSE(CborReader(hex("5bffffffffffffffff00")).read_bytes());
  EXPECT_FALSE(CborReader(hex("7bffffffffffffffff61")).read_text());
  EXPECT_FALSE(CborReader(hex("9f00ff")).read_array());  // no count is given
  EXPECT_FALSE(CborReader(hex("d82a5bffffffffffffffff")).read_link());
}

TEST(CborReader, AnIntegerOutsideOfInt64IsALimit) {
  EXPECT_EQ(CborReader(hex("1b8000000000000000")).read_integer().error().code, Errc::limit);
  EXPECT_EQ(CborReader(hex("3b8000000000000000")).read_integer().error().code, Errc::limit);
}

TEST(CborReader, LongHeadsAreForTheLenient) {
  EXPECT_FALSE(CborReader(hex("1817")).read_integer());
  EXPECT_EQ(CborReader(hex("1817"), {.profile = CborProfile::lenient}).read_integer().value(), 23);
}

TEST(CborReader, SkipsAWholeItem) {
  const Bytes bytes = hex("a1616182010203");
  CborReader reader(bytes);
  EXPECT_EQ(to_hex(reader.skip_item().value()), "a16161820102");
  EXPECT_EQ(reader.read_integer().value(), 3);
  EXPECT_FALSE(reader.skip_item());
}

// RFC 8949, appendix A.
TEST(CborReader, ReadsFloatsOfEverySize) {
  const CborOptions options{.profile = CborProfile::well_formed};
  const auto read = [&](std::string_view text) {
    const Bytes bytes = hex(text);
    return CborReader(bytes, options).read_float().value();
  };
  EXPECT_EQ(read("f93c00"), 1.0);
  EXPECT_EQ(read("f97bff"), 65504.0);
  EXPECT_EQ(read("f90001"), 5.960464477539063e-8);
  EXPECT_EQ(read("f90400"), 0.00006103515625);
  EXPECT_EQ(read("f9c400"), -4.0);
  EXPECT_EQ(read("f97c00"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(read("f9fc00"), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(read("f97e00")));
  EXPECT_EQ(read("fa47c35000"), 100000.0);
  EXPECT_EQ(read("fbc010666666666666"), -4.1);
}

// RFC 8949, appendix A, and the link and the record of the atproto data model.
TEST(CborWriter, WritesTheShortestForm) {
  const auto written = [](const auto& write) {
    Bytes out;
    CborWriter writer(out);
    write(writer);
    return to_hex(out);
  };
  const auto integer = [&](std::int64_t value) {
    return written([value](CborWriter& writer) { writer.write_integer(value); });
  };
  EXPECT_EQ(integer(0), "00");
  EXPECT_EQ(integer(23), "17");
  EXPECT_EQ(integer(24), "1818");
  EXPECT_EQ(integer(255), "18ff");
  EXPECT_EQ(integer(256), "190100");
  EXPECT_EQ(integer(65536), "1a00010000");
  EXPECT_EQ(integer(26653242499), "1b0000000634a83483");
  EXPECT_EQ(integer(-1), "20");
  EXPECT_EQ(integer(-1000), "3903e7");
  EXPECT_EQ(integer(std::numeric_limits<std::int64_t>::min()), "3b7fffffffffffffff");
  EXPECT_EQ(written([](CborWriter& writer) { writer.write_text("\u6c34"); }), "63e6b0b4");
  EXPECT_EQ(written([](CborWriter& writer) { writer.write_bytes(hex("01020304")); }), "4401020304");
  EXPECT_EQ(written([](CborWriter& writer) {
              writer.write_array(3);
              writer.write_boolean(true);
              writer.write_boolean(false);
              writer.write_null();
            }),
            "83f5f4f6");
  const Bytes cid = hex("017112208a102f4f6288893fecaae2fa31c34a9c06ec7676a48d233cec46b7cd455c8de7");
  EXPECT_EQ(written([&](CborWriter& writer) { writer.write_link(cid); }), kLink);
  EXPECT_EQ(written([](CborWriter& writer) {
              writer.write_map(2);
              writer.write_text("text");
              writer.write_text("hello");
              writer.write_text("$type");
              writer.write_raw(hex("72636f6d2e6578616d706c652e7265636f7264"));
            }),
            "a26474657874"
            "6568656c6c6f"
            "652474797065"
            "72636f6d2e6578616d706c652e7265636f7264");
}

// The MST node of a repository with one record.
TEST(CborCheck, AcceptsARealMstNodeAsStrict) {
  EXPECT_EQ(
      strict(
          "a2616581a4616b5820636f6d2e6578616d706c652e7265636f72642f336a716663717a6d33666f326a"
          "6170006174f66176d82a582500017112208a102f4f6288893fecaae2fa31c34a9c06ec7676a48d233cec46"
          "b7cd455c8de7616cf6"),
      "ok 93");
}

TEST(CborKeys, ShorterSortsFirstThenBytewise) {
  EXPECT_TRUE(cbor_key_less("b", "aa"));
  EXPECT_TRUE(cbor_key_less("a", "b"));
  EXPECT_TRUE(cbor_key_less("z", "\xc3"));  // bytes, not signed characters
  EXPECT_FALSE(cbor_key_less("a", "a"));
}

}  // namespace
}  // namespace standpipe
