#include "tools/did_docs_file.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace standpipe::tools {
namespace {

using test::TempDir;

std::string compressed(const std::string& plain) {
  std::string out(ZSTD_compressBound(plain.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3));
  return out;
}

// A document that can be read, and spaces up to that size.
std::string document_of(std::size_t bytes) {
  std::string text = R"({"id":"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa","verificationMethod":[]})";
  text.resize(bytes, ' ');
  return text;
}

Result<std::size_t> load(const TempDir& dir, const std::string& bytes, DidKeys& keys) {
  std::ofstream(dir / "docs.zst", std::ios::binary) << bytes;
  return load_did_docs(dir / "docs.zst", keys);
}

// A decoder gives 128 KiB at a time: a text may end with one of these, or a byte beside it.
TEST(DidDocsFile, ATextOfAnySizeIsReadFromZstd) {
  const TempDir dir;
  const std::size_t piece = ZSTD_DStreamOutSize();
  ASSERT_EQ(piece, 131'072U);
  for (const std::size_t bytes :
       {std::size_t{100}, piece - 1, piece, piece + 1, 2 * piece, 3 * piece}) {
    DidKeys keys;
    const auto refused = load(dir, compressed(document_of(bytes)), keys);
    ASSERT_TRUE(refused) << bytes << ": " << refused.error().detail;
    EXPECT_EQ(*refused, 0U);
    EXPECT_EQ(keys.documents(), 1U);
  }
}

TEST(DidDocsFile, SeveralZstdFramesAreOneText) {
  const TempDir dir;
  const std::string first = document_of(ZSTD_DStreamOutSize() - 1) + "\n";
  DidKeys keys;
  const auto refused = load(dir, compressed(first) + compressed(document_of(100)), keys);
  ASSERT_TRUE(refused) << refused.error().detail;
  EXPECT_EQ(keys.documents(), 2U);
}

TEST(DidDocsFile, WhatIsCutShortIsRefused) {
  const TempDir dir;
  for (const std::size_t bytes : {std::size_t{100}, ZSTD_DStreamOutSize()}) {
    std::string file = compressed(document_of(bytes));
    file.pop_back();
    DidKeys keys;
    const auto refused = load(dir, file, keys);
    ASSERT_FALSE(refused) << bytes;
    EXPECT_EQ(refused.error().code, Errc::malformed);
    EXPECT_NE(refused.error().detail.find("the zstd stream is cut short"), std::string::npos);
  }
}

}  // namespace
}  // namespace standpipe::tools
