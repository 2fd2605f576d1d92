#include "schema/multibase.h"

#include <gtest/gtest.h>

#include <random>

namespace standpipe {
namespace {

std::string text_of(const Result<Bytes>& bytes) {
  return bytes ? std::string(as_text(*bytes)) : "<" + bytes.error().detail + ">";
}

// RFC 4648, section 10, with the padding left out.
TEST(Base32, MatchesTheVectorsOfTheRfc) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "my"},
                                                         {"fo", "mzxq"},
                                                         {"foo", "mzxw6"},
                                                         {"foob", "mzxw6yq"},
                                                         {"fooba", "mzxw6ytb"},
                                                         {"foobar", "mzxw6ytboi"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(to_base32(as_bytes(plain)), encoded);
    EXPECT_EQ(text_of(parse_base32(encoded)), plain);
  }
}

TEST(Base32, RefusesEverySecondTextForAValue) {
  EXPECT_FALSE(parse_base32("MY"));   // upper case
  EXPECT_FALSE(parse_base32("mz"));   // left-over bits
  EXPECT_FALSE(parse_base32("m"));    // no byte needs one character
  EXPECT_FALSE(parse_base32("mya"));  // nor three
  EXPECT_FALSE(parse_base32("my======"));
  EXPECT_FALSE(parse_base32("m1"));
}

TEST(Base64, MatchesTheVectorsOfTheRfcWithPaddingOrWithout) {
  const std::tuple<const char*, const char*, const char*> vectors[] = {
      {"", "", ""},
      {"f", "Zg", "Zg=="},
      {"fo", "Zm8", "Zm8="},
      {"foo", "Zm9v", "Zm9v"},
      {"foob", "Zm9vYg", "Zm9vYg=="},
      {"fooba", "Zm9vYmE", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy", "Zm9vYmFy"}};
  for (const auto& [plain, bare, padded] : vectors) {
    EXPECT_EQ(to_base64(as_bytes(plain)), bare);
    EXPECT_EQ(text_of(parse_base64(bare)), plain);
    EXPECT_EQ(text_of(parse_base64(padded)), plain);
  }
}

TEST(Base64, RefusesEverySecondTextForAValue) {
  EXPECT_FALSE(parse_base64("Zh"));     // left-over bits
  EXPECT_FALSE(parse_base64("Z"));      // no byte needs one character
  EXPECT_FALSE(parse_base64("Zg="));    // half of the padding
  EXPECT_FALSE(parse_base64("Zm9v="));  // padding that is not needed
  EXPECT_FALSE(parse_base64("Zm9v===="));
  EXPECT_FALSE(parse_base64("Z==="));
  EXPECT_FALSE(parse_base64("=="));
  EXPECT_FALSE(parse_base64("Zg==Zg=="));
  EXPECT_FALSE(parse_base64("_w"));  // the alphabet of URLs
  EXPECT_FALSE(parse_base64("Zg =="));
}

// draft-msporny-base58, section 5.
TEST(Base58, MatchesThePublishedVectors) {
  EXPECT_EQ(to_base58(as_bytes("Hello World!")), "2NEpo7TZRRrLZSi2U");
  EXPECT_EQ(to_base58(as_bytes("The quick brown fox jumps over the lazy dog.")),
            "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z");
  EXPECT_EQ(to_base58(parse_hex("0000287fb4cd").value()), "11233QC4");
  EXPECT_EQ(text_of(parse_base58("2NEpo7TZRRrLZSi2U")), "Hello World!");
  EXPECT_EQ(to_hex(parse_base58("11233QC4").value()), "0000287fb4cd");
  EXPECT_EQ(to_base58({}), "");
  EXPECT_TRUE(parse_base58("")->empty());
}

TEST(Base58, RefusesWhatLooksLikeAnotherDigitAndWhatIsTooLong) {
  for (const char* text : {"0", "O", "I", "l", "2NEpo7TZRRrLZSi2U ", "+"}) {
    EXPECT_FALSE(parse_base58(text)) << text;
  }
  EXPECT_EQ(parse_base58(std::string(kBase58BytesMax + 1, '2')).error().code, Errc::limit);
}

TEST(Multibase, ReadsTheTwoBasesAndNamesThePrefix) {
  EXPECT_EQ(text_of(parse_multibase("bmzxw6ytboi")), "foobar");
  EXPECT_EQ(text_of(parse_multibase("z2NEpo7TZRRrLZSi2U")), "Hello World!");
  EXPECT_EQ(parse_multibase("f666f6f").error().code, Errc::unsupported);
  EXPECT_EQ(parse_multibase("").error().code, Errc::malformed);
}

TEST(Multibase, EveryLengthReadsBack) {
  std::mt19937_64 random(58);
  for (std::size_t size = 0; size < 70; ++size) {
    Bytes bytes(size);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() & 0xFFU);
    EXPECT_EQ(parse_base32(to_base32(bytes)).value(), bytes);
    EXPECT_EQ(parse_base58(to_base58(bytes)).value(), bytes);
    EXPECT_EQ(parse_base64(to_base64(bytes)).value(), bytes);
  }
}

}  // namespace
}  // namespace standpipe
