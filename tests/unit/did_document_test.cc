#include "schema/did_document.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/support/shared_data.h"

namespace standpipe {
namespace {

constexpr std::string_view kDid = "did:plc:standpipe2222222222abcde";
constexpr std::string_view kMultikey = "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme";
constexpr std::string_view kOtherMultikey = "zQ3shtxV1FrJfhqE1dvxYRcCknWNjHc3c5X1y3ZSoPDi2aur2";
// The point of kMultikey, not compressed; decoded and encoded elsewhere.
constexpr std::string_view kLegacy =
    "zQBL1VZCdC6hs61fqgwdoNjwh93UBcTg7imvRF9qShKfHR4DQ4RjKyqupL4f2mKduhzF5SzWzDbxKgGwnTsN2zSkg";

std::string method(std::string_view id, std::string_view key, std::string_view type = "Multikey",
                   std::string_view controller = kDid) {
  return R"({"id":")" + std::string(id) + R"(","type":")" + std::string(type) +
         R"(","controller":")" + std::string(controller) + R"(","publicKeyMultibase":")" +
         std::string(key) + R"("})";
}

std::string document(std::string_view methods, std::string_view did = kDid) {
  return R"({"@context":["https://www.w3.org/ns/did/v1"],"id":")" + std::string(did) +
         R"(","alsoKnownAs":["at://a.example.com"],"verificationMethod":[)" + std::string(methods) +
         R"(],"service":[]})";
}

std::string signing_key_of(const std::string& text) {
  const auto parsed = parse_did_document(text);
  if (!parsed) return "no document: " + parsed.error().detail;
  if (!parsed->signing_key) return std::string(to_string(parsed->signing_key.error().code));
  return parsed->signing_key->to_multikey();
}

TEST(DidDocument, NamesItsKeysAbsolutelyOrRelatively) {
  EXPECT_EQ(signing_key_of(document(method(std::string(kDid) + "#atproto", kMultikey))), kMultikey);
  EXPECT_EQ(signing_key_of(document(method("#atproto", kMultikey))), kMultikey);
  const auto both = parse_did_document(
      document(method("#atproto_label", kOtherMultikey) + "," + method("#atproto", kMultikey)));
  ASSERT_TRUE(both);
  EXPECT_EQ(both->did, kDid);
  EXPECT_EQ(both->signing_key.value().to_multikey(), kMultikey);
  EXPECT_EQ(both->label_key.value().to_multikey(), kOtherMultikey);
}

TEST(DidDocument, MayHaveKeysInTheFormOfEarlierYears) {
  EXPECT_EQ(
      signing_key_of(document(method("#atproto", kLegacy, "EcdsaSecp256k1VerificationKey2019"))),
      kMultikey);
  // The same bytes are no point of the other curve.
  EXPECT_EQ(
      signing_key_of(document(method("#atproto", kLegacy, "EcdsaSecp256r1VerificationKey2019"))),
      "malformed");
}

TEST(DidDocument, OfSeveralKeysWithTheSameNameTheFirstCounts) {
  EXPECT_EQ(signing_key_of(
                document(method("#atproto", kOtherMultikey) + "," + method("#atproto", kMultikey))),
            kOtherMultikey);
}

TEST(DidDocument, HasNoKeyWhereItsMethodIsNotAsItMustBe) {
  EXPECT_EQ(signing_key_of(document("")), "not found");
  EXPECT_EQ(signing_key_of(R"({"id":"did:plc:abc"})"), "not found");
  EXPECT_EQ(signing_key_of(R"({"id":"did:plc:abc","verificationMethod":{"id":"#atproto"}})"),
            "not found");
  EXPECT_EQ(signing_key_of(document(method("#atproto", "7"))), "malformed");
  EXPECT_EQ(signing_key_of(document("17")), "not found");
  EXPECT_EQ(signing_key_of(document(method("did:plc:other#atproto", kMultikey))), "not found");
  EXPECT_EQ(signing_key_of(document(method("#atproto", kMultikey, "Multikey", "did:plc:other"))),
            "malformed");
  EXPECT_EQ(signing_key_of(document(method("#atproto", kMultikey.substr(0, 40)))), "unsupported");
  EXPECT_EQ(signing_key_of(document(method("#atproto", kMultikey, "JsonWebKey2020"))),
            "unsupported");
  EXPECT_EQ(signing_key_of(document(R"({"id":"#atproto","type":"Multikey","controller":")" +
                                    std::string(kDid) + R"("})")),
            "malformed");
}

TEST(DidDocument, IsRefusedWithoutADidOfItsOwn) {
  for (const char* text : {"", "[]", "7", "{}", "{\"id\":7}", "{\"id\":\"bob\"}", "{\"id\":"}) {
    const auto parsed = parse_did_document(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Errc::malformed) << text;
  }
}

struct Read {
  std::vector<std::string> dids;
  std::size_t documents = 0;
  std::size_t refused = 0;

  friend bool operator==(const Read&, const Read&) = default;
  friend void PrintTo(const Read& read, std::ostream* out) {
    for (const std::string& did : read.dids) *out << did << ' ';
    *out << read.documents << " of which refused " << read.refused;
  }
};

Read read(const std::string& text) {
  Read out;
  const auto counts =
      parse_did_documents(text, [&](const DidDocument& found) { out.dids.push_back(found.did); });
  EXPECT_TRUE(counts) << text;
  if (counts) {
    out.documents = counts->documents;
    out.refused = counts->refused;
  }
  return out;
}

const std::string kOne = R"({"id":"did:plc:one","verificationMethod":[{"id":"#atproto"}]})";
const std::string kTwo = R"({"id":"did:web:two.example","service":[]})";

TEST(DidDocuments, ComeAloneByDidInAnArrayOrByLines) {
  const Read both = {{"did:plc:one", "did:web:two.example"}, 2, 0};
  EXPECT_EQ(read(kOne), (Read{{"did:plc:one"}, 1, 0}));
  EXPECT_EQ(read("\n " + kOne + "\n\n"), (Read{{"did:plc:one"}, 1, 0}));
  EXPECT_EQ(read("{\"did:plc:one\":" + kOne + ",\n \"did:web:two.example\":" + kTwo + "}"), both);
  EXPECT_EQ(read("[" + kOne + ",\n" + kTwo + "]"), both);
  EXPECT_EQ(read(kOne + "\n" + kTwo), both);
  EXPECT_EQ(read(kOne + "\r\n\n" + kTwo + "\n"), both);
  EXPECT_EQ(read("{\"did:plc:one\":" + kOne + "}\n[" + kTwo + "]\n"), both);
  EXPECT_EQ(read("{}"), (Read{{}, 0, 0}));
  EXPECT_EQ(read("[]"), (Read{{}, 0, 0}));
}

TEST(DidDocuments, ThatAreNoneAreCountedAndPassedOver) {
  // Of another DID than it stands at.
  EXPECT_EQ(read("{\"did:plc:other\":" + kOne + ",\"did:web:two.example\":" + kTwo + "}"),
            (Read{{"did:web:two.example"}, 1, 1}));
  EXPECT_EQ(read("{\"did:plc:one\":null,\"did:web:two.example\":" + kTwo + "}"),
            (Read{{"did:web:two.example"}, 1, 1}));
  EXPECT_EQ(read("[7,{\"id\":\"bob\"},[" + kTwo + "]," + kOne + "]"),
            (Read{{"did:plc:one"}, 1, 3}));
  EXPECT_EQ(read("\"text\"\n" + kOne), (Read{{"did:plc:one"}, 1, 1}));
}

TEST(DidDocuments, ThatAreNotJsonAreRefusedWithThePlace) {
  const auto parse = [](const std::string& text) {
    return parse_did_documents(text, [](const DidDocument&) {});
  };
  for (const std::string& text : {std::string(), "[" + kOne, kOne.substr(1), kOne + kTwo}) {
    const auto counts = parse(text);
    ASSERT_FALSE(counts) << text;
    EXPECT_EQ(counts.error().code, Errc::malformed);
  }
  const auto lines = parse(kOne + "\n" + kTwo + "\n{\"id\"\n");
  ASSERT_FALSE(lines);
  EXPECT_TRUE(lines.error().detail.starts_with("line 3: ")) << lines.error().detail;
}

TEST(DidDocuments, NestedDeeplyDoNotEndTheProcess) {
  const std::string deep(100'000, '[');
  EXPECT_FALSE(parse_did_documents(deep, [](const DidDocument&) {}));
  EXPECT_EQ(read("[" + deep + std::string(deep.size(), ']') + "]"), (Read{{}, 0, 1}));
}

TEST(DidDocuments, OfTheRealCaptureAllHaveAKey) {
  STANDPIPE_REQUIRE_SHARED();
  std::map<std::string, std::string> keys;
  const auto counts = parse_did_documents(
      test::read_text_file(test::shared_dir() / "data/jetstream-corpus/did_docs.json.zst"),
      [&](const DidDocument& found) {
        ASSERT_TRUE(found.signing_key) << found.did;
        keys[found.did] = found.signing_key->to_multikey();
      });
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->documents, 148U);
  EXPECT_EQ(counts->refused, 0U);
  EXPECT_EQ(keys.at("did:plc:2a7ygipkrbh544aqhcav53oy"),
            "zQ3shrc8v5X6ZiANcZxA6JerfT2T4SskeCGxpmtDfMuHF9KRj");
}

}  // namespace
}  // namespace standpipe
