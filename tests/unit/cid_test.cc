#include "schema/cid.h"

#include <gtest/gtest.h>

#include <set>
#include <unordered_set>

#include "tests/support/shared_data.h"

namespace standpipe {
namespace {

Bytes hex(std::string_view text) { return parse_hex(text).value(); }

// {"text":"hello","$type":"com.example.record"}
constexpr std::string_view kRecord =
    "a264746578746568656c6c6f65247479706572636f6d2e6578616d706c652e7265636f7264";
constexpr std::string_view kRecordCid =
    "017112208a102f4f6288893fecaae2fa31c34a9c06ec7676a48d233cec46b7cd455c8de7";
constexpr std::string_view kRecordCidText =
    "bafyreiekcaxu6yuire76zkxc7iy4gsu4a3whm5verurtz3cgw7gukxen44";

TEST(Cid, OfARecordIsTheOneOfTheSpecification) {
  const Cid cid = Cid::of_dag_cbor(hex(kRecord));
  EXPECT_EQ(to_hex(cid.bytes()), kRecordCid);
  EXPECT_EQ(cid.to_string(), kRecordCidText);
  EXPECT_EQ(cid.codec(), 0x71U);
  EXPECT_EQ(cid.hash_code(), 0x12U);
  EXPECT_EQ(to_hex(cid.digest()),
            "8a102f4f6288893fecaae2fa31c34a9c06ec7676a48d233cec46b7cd455c8de7");
  EXPECT_TRUE(cid.is_blessed());
}

TEST(Cid, ReadsBothFormsAsTheSameValue) {
  const Cid from_text = Cid::parse(kRecordCidText).value();
  const Cid from_bytes = Cid::from_bytes(hex(kRecordCid)).value();
  EXPECT_EQ(from_text, from_bytes);
  EXPECT_EQ(from_text, Cid::of_dag_cbor(hex(kRecord)));
  EXPECT_NE(from_text, Cid::of_raw(hex(kRecord)));
  EXPECT_EQ(cid_to_string(hex(kRecordCid)), kRecordCidText);
}

// The MST node of the first commit of a repository, and the empty tree.
TEST(Cid, NamesMstNodes) {
  EXPECT_EQ(
      Cid::of_dag_cbor(
          hex("a2616581a4616b5820636f6d2e6578616d706c652e7265636f72642f336a716663717a6d33666f326a61"
              "70006174f66176d82a582500017112208a102f4f6288893fecaae2fa31c34a9c06ec7676a48d233cec46"
              "b7cd455c8de7616cf6"))
          .to_string(),
      "bafyreia47ivsftv346d4vtaotxzs7b7tndrmcdylhhc667zb6ln3gpiq5m");
  EXPECT_EQ(to_hex(Cid::of_dag_cbor(hex("a2616580616cf6")).bytes()),
            "017112209dfefe61dd76ea3dcae5023880b08379d57adf20482d6fdbe2759289f647677b");
}

TEST(Cid, RawBlobsHaveTheirOwnPrefix) {
  EXPECT_EQ(Cid::of_raw({}).to_string(),
            "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
  EXPECT_TRUE(Cid::of_raw({}).is_blessed());
}

TEST(Cid, ReadsBase58AndWritesBase32) {
  const Cid cid = Cid::parse("zdj7WWeQ43G6JJvLWQWZpyHuAMq6uYWRjkBXFad11vE2LHhQ7").value();
  EXPECT_EQ(cid.to_string(), "bafybeiasb5vpmaounyilfuxbd3lryvosl4yefqrfahsb2esg46q6tu6y5q");
  EXPECT_EQ(cid.codec(), 0x70U);
  EXPECT_FALSE(cid.is_blessed());
}

TEST(Cid, RefusesWhatIsNotWholeOrNotVersion1) {
  EXPECT_FALSE(Cid::from_bytes({}));
  EXPECT_FALSE(Cid::from_bytes(hex("01711220")));                             // no digest
  EXPECT_FALSE(Cid::from_bytes(hex(std::string(kRecordCid) + "00")));         // one byte more
  EXPECT_FALSE(Cid::from_bytes(hex("1220" + std::string(64, 'a'))));          // version 0
  EXPECT_FALSE(Cid::from_bytes(hex("02711220" + std::string(64, 'a'))));      // version 2
  EXPECT_FALSE(Cid::from_bytes(hex("81001220" + std::string(64, 'a'))));      // long varint
  EXPECT_FALSE(Cid::from_bytes(hex("0171121f" + std::string(62, 'a'))));      // short SHA-256
  EXPECT_FALSE(Cid::from_bytes(hex("01550061" + std::string(2 * 97, 'a'))));  // 101 bytes
  EXPECT_TRUE(Cid::from_bytes(hex("01550060" + std::string(2 * 96, 'a'))));   // 100 bytes
  EXPECT_EQ(Cid::parse("QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR").error().code,
            Errc::malformed);
  EXPECT_EQ(Cid::parse("f017012202c5f688262e0ece8569aa6f94d60aad55ca8d9d83734e4a7430d0cff6588ec2b")
                .error()
                .code,
            Errc::unsupported);
  EXPECT_FALSE(Cid::parse(""));
  EXPECT_FALSE(Cid::parse("bafyreiekcaxu6yuire76zkxc7iy4gsu4a3whm5verurtz3cgw7gukxen4"));
}

TEST(Cid, MeasuresTheOneAtTheStart) {
  EXPECT_EQ(measure_cid(hex(std::string(kRecordCid) + "a26474")), 36U);
  EXPECT_EQ(measure_cid(hex("01550000ff")), 4U);  // an identity hash of nothing
  EXPECT_EQ(measure_cid(hex("0155")), 0U);
  EXPECT_EQ(cid_to_string(hex("0155")), "");
  EXPECT_EQ(cid_to_string({}), "");
}

TEST(Cid, ChecksTheHashOfABlock) {
  Bytes block = hex(kRecord);
  EXPECT_EQ(check_block_hash(hex(kRecordCid), block), HashCheck::match);
  block.back() ^= std::byte{1};
  EXPECT_EQ(check_block_hash(hex(kRecordCid), block), HashCheck::mismatch);
  EXPECT_EQ(check_block_hash(hex("01550000"), {}), HashCheck::unknown_hash);
  EXPECT_EQ(check_block_hash({}, block), HashCheck::unknown_hash);
}

TEST(Cid, SortsAndHashesByItsBytes) {
  const Cid a = Cid::from_bytes(hex("01550000")).value();
  const Cid b = Cid::from_bytes(hex("01550001ff")).value();
  EXPECT_LT(a, b);
  EXPECT_EQ(std::set<Cid>({b, a, a}).size(), 2U);
  EXPECT_EQ(std::unordered_set<Cid>({b, a, a}).size(), 2U);
}

TEST(CidVectors, WhatIsNoCidStringIsNotParsed) {
  STANDPIPE_REQUIRE_SHARED();
  const auto folder = test::shared_dir() / "fixtures/interop/syntax";
  for (const std::string& line : test::read_vector_lines(folder / "cid_syntax_invalid.txt")) {
    EXPECT_FALSE(Cid::parse(line)) << line;
  }
}

}  // namespace
}  // namespace standpipe
