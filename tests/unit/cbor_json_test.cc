#include "schema/cbor_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "schema/cid.h"
#include "schema/multibase.h"
#include "tests/support/shared_data.h"

namespace standpipe {
namespace {

using nlohmann::json;

Bytes hex(std::string_view text) { return parse_hex(text).value(); }

std::string to_cbor_hex(const char* text) {
  const auto cbor = json_to_cbor(json::parse(text));
  return cbor ? to_hex(*cbor) : cbor.error().detail;
}

std::string to_json_text(std::string_view text, const CborOptions& options = {}) {
  const auto value = cbor_to_json(hex(text), options);
  return value ? value->dump() : value.error().detail;
}

TEST(CborJson, TheRecordOfTheSpecificationTurnsIntoItsBytesAndBack) {
  constexpr auto kBytes =
      "a264746578746568656c6c6f65247479706572636f6d2e6578616d706c652e7265636f7264";
  constexpr auto kJson = R"({"$type":"com.example.record","text":"hello"})";
  EXPECT_EQ(to_cbor_hex(kJson), kBytes);
  EXPECT_EQ(to_json_text(kBytes), kJson);
}

TEST(CborJson, LinksAndBytesHaveTheirOwnObjects) {
  constexpr auto kBytes =
      "a2616143010203616cd82a582500017112208a102f4f6288893fecaae2fa31c34a9c06ec7676a48d233cec46b7cd"
      "455c8de7";
  constexpr auto kJson =
      R"({"a":{"$bytes":"AQID"},)"
      R"("l":{"$link":"bafyreiekcaxu6yuire76zkxc7iy4gsu4a3whm5verurtz3cgw7gukxen44"}})";
  EXPECT_EQ(to_cbor_hex(kJson), kBytes);
  EXPECT_EQ(to_json_text(kBytes), kJson);
}

TEST(CborJson, IntegersReachTheEndsOfInt64) {
  constexpr auto kJson = R"({"a":9223372036854775807,"b":-9223372036854775808})";
  constexpr auto kBytes = "a261611b7fffffffffffffff61623b7fffffffffffffff";
  EXPECT_EQ(to_cbor_hex(kJson), kBytes);
  EXPECT_EQ(to_json_text(kBytes), kJson);
  EXPECT_EQ(to_cbor_hex(R"({"a":9223372036854775808})"),
            "JSON at /a: an integer outside of 64 bits with sign");
}

TEST(CborJson, AFractionOfZeroIsAnInteger) {
  EXPECT_EQ(to_cbor_hex(R"({"a":123.0})"), "a16161187b");
  EXPECT_EQ(to_cbor_hex(R"({"a":-1e2})"), "a161613863");
  EXPECT_EQ(to_cbor_hex(R"({"a":1e300})"), "JSON at /a: a number that is not an integer");
  EXPECT_EQ(to_cbor_hex(R"({"a":[0,0.5]})"), "JSON at /a/1: a number that is not an integer");
}

TEST(CborJson, TheErrorNamesThePath) {
  EXPECT_EQ(to_cbor_hex(R"({"a":{"b":[1,{"$type":""}]}})"),
            R"(JSON at /a/b/1: "$type" must be a string that is not empty)");
  EXPECT_EQ(to_cbor_hex(R"([])"), "JSON at the top: not an object");
  EXPECT_EQ(to_cbor_hex(R"({"$bytes":""})"), "JSON at the top: a link or bytes, not an object");
}

TEST(CborJson, UnknownDollarKeysPass) { EXPECT_EQ(to_cbor_hex(R"({"$new":1})"), "a164246e657701"); }

TEST(CborJson, ABlobNeedsAllOfItsFields) {
  const auto blob = [](const char* ref, const char* mime_type, const char* size) {
    const std::string text = std::string(R"({"b":{"$type":"blob","ref":)") + ref +
                             R"(,"mimeType":)" + mime_type + R"(,"size":)" + size + "}}";
    return json_to_cbor(json::parse(text)).has_value();
  };
  constexpr auto kRef =
      R"({"$link":"bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity"})";
  EXPECT_TRUE(blob(kRef, R"("image/jpeg")", "10000"));
  EXPECT_FALSE(blob(kRef, R"("")", "10000"));
  EXPECT_FALSE(blob(kRef, R"("image/jpeg")", "0"));
  EXPECT_FALSE(blob(kRef, R"("image/jpeg")", "1.5"));
  EXPECT_FALSE(blob(kRef, "null", "10000"));
  EXPECT_FALSE(blob(R"("bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity")",
                    R"("image/jpeg")", "10000"));
}

TEST(CborJson, FloatsAreShownToTheLenientOnly) {
  const CborOptions lenient{.profile = CborProfile::lenient};
  EXPECT_EQ(to_json_text("a16161fb3ff8000000000000", lenient), R"({"a":1.5})");
  EXPECT_EQ(to_json_text("f97c00", lenient), "a float that JSON cannot write");
  EXPECT_EQ(to_json_text("a16161fb3ff8000000000000"), "CBOR at byte 3: float");
}

TEST(CborJson, OneWholeItemIsWanted) {
  EXPECT_EQ(to_json_text("a000"), "CBOR at byte 1: trailing bytes");
  EXPECT_EQ(to_json_text("9fff", {.profile = CborProfile::well_formed}),
            "only items of the data model have a JSON form");
}

TEST(CborJson, DepthIsLimitedBothWays) {
  json nested = json::object();
  for (int i = 0; i < 31; ++i) nested = json{{"a", std::move(nested)}};
  const Bytes deepest = json_to_cbor(nested).value();  // 32 maps
  EXPECT_EQ(cbor_to_json(deepest).value(), nested);
  nested = json{{"a", std::move(nested)}};
  EXPECT_EQ(json_to_cbor(nested).error().code, Errc::limit);
  EXPECT_TRUE(json_to_cbor(nested, {.depth_max = 33}));
  for (int i = 0; i < 2000; ++i) nested = json{{"a", std::move(nested)}};
  EXPECT_EQ(json_to_cbor(nested, {.depth_max = 128}).error().code, Errc::limit);
}

TEST(CborJson, TextThatIsNotUtf8IsRefused) {
  json broken = json::object();
  broken["a"] = "\xff";
  EXPECT_EQ(json_to_cbor(broken).error().detail, "JSON at /a: text is not UTF-8");
  EXPECT_FALSE(json_to_cbor(json{{"\xff", 1}}));
}

class CborJsonVectors : public ::testing::Test {
 protected:
  static json read(const char* name) {
    const auto path = test::shared_dir() / "fixtures/interop/data-model" / name;
    return json::parse(test::read_text_file(path));
  }
};

TEST_F(CborJsonVectors, FixturesEncodeToTheirBytesAndCidAndDecodeBack) {
  STANDPIPE_REQUIRE_SHARED();
  const json fixtures = read("data-model-fixtures.json");
  ASSERT_EQ(fixtures.size(), 3U);
  for (const json& fixture : fixtures) {
    const Bytes expected = parse_base64(fixture["cbor_base64"].get<std::string>()).value();
    const auto cbor = json_to_cbor(fixture["json"]);
    ASSERT_TRUE(cbor) << to_string(cbor.error());
    EXPECT_EQ(to_hex(*cbor), to_hex(expected));
    EXPECT_EQ(Cid::of_dag_cbor(*cbor).to_string(), fixture["cid"].get<std::string>());
    EXPECT_EQ(cbor_to_json(expected).value(), fixture["json"]);
  }
}

TEST_F(CborJsonVectors, ValidOnesPassAndReadBack) {
  STANDPIPE_REQUIRE_SHARED();
  const json vectors = read("data-model-valid.json");
  ASSERT_EQ(vectors.size(), 5U);
  for (const json& vector : vectors) {
    const auto cbor = json_to_cbor(vector["json"]);
    ASSERT_TRUE(cbor) << vector["note"] << ": " << to_string(cbor.error());
    EXPECT_EQ(cbor_to_json(*cbor).value(), vector["json"]) << vector["note"];
  }
}

TEST_F(CborJsonVectors, InvalidOnesAreRefused) {
  STANDPIPE_REQUIRE_SHARED();
  const json vectors = read("data-model-invalid.json");
  ASSERT_EQ(vectors.size(), 12U);
  for (const json& vector : vectors) {
    const auto cbor = json_to_cbor(vector["json"]);
    ASSERT_FALSE(cbor) << vector["note"];
    EXPECT_EQ(cbor.error().code, Errc::malformed) << vector["note"];
  }
}

}  // namespace
}  // namespace standpipe
