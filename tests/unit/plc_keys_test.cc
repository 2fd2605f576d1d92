#include "tools/plc_keys.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace standpipe::tools {
namespace {

using test::TempDir;

// Nobody is asked in these tests.
constexpr const char* kNobody = "http://127.0.0.1:1";

std::string line_of(char account) {
  return R"({"asked_ms":1767225600000,"did":"did:plc:)" + std::string(24, account) + "\"}";
}

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// Whoever was asked for last stands last in the file.
TEST(PlcKeys, OfACacheThatIsTooLongTheNewestAreKept) {
  const TempDir dir;
  const std::vector<std::string> lines = {line_of('a'), line_of('b'), line_of('c'), line_of('b'),
                                          line_of('d')};
  {
    std::ofstream file(dir / "plc.jsonl");
    for (const std::string& line : lines) file << line << "\n";
  }
  PlcOptions options;
  options.url = kNobody;
  options.cache = dir / "plc.jsonl";
  options.cache_age_max_ms = INT64_MAX / 2;
  options.accounts_max = 3;
  DidKeys documents;
  const auto keys = PlcKeys::create(options, documents);
  ASSERT_TRUE(keys);
  const auto read = (*keys)->read_cache();
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ((*keys)->stats().from_cache, 3U);
  EXPECT_EQ((*keys)->find("did:plc:" + std::string(24, 'd')).state, KeyState::no_document);
  ASSERT_TRUE((*keys)->write_cache());
  EXPECT_EQ(lines_of(options.cache),
            (std::vector<std::string>{line_of('b'), line_of('c'), line_of('d')}));
  EXPECT_EQ((*keys)->stats().asked, 0U);
}

}  // namespace
}  // namespace standpipe::tools
