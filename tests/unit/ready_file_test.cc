#include "tools/ready_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/support/temp_dir.h"

namespace standpipe::tools {
namespace {

using test::TempDir;

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::size_t entries_of(const TempDir& dir) {
  const std::filesystem::directory_iterator begin(dir.path());
  return static_cast<std::size_t>(std::distance(begin, std::filesystem::directory_iterator()));
}

std::string line(const std::string& listen) {
  return "{\"listen\":[" + listen + "],\"pid\":" + std::to_string(::getpid()) + "}\n";
}

TEST(ReadyFile, IsOneLineAndReplacesWhatIsThere) {
  const TempDir dir;
  const std::string path = dir / "ready.json";
  ASSERT_TRUE(write_ready_file(path, {"127.0.0.1:43121", "[::1]:43122"}));
  EXPECT_EQ(text_of(path), line("\"127.0.0.1:43121\",\"[::1]:43122\""));
  ASSERT_TRUE(write_ready_file(path, {}));
  EXPECT_EQ(text_of(path), line(""));
  ASSERT_TRUE(write_ready_file(path, {}, "127.0.0.1:2481"));
  EXPECT_EQ(text_of(path), "{\"admin\":\"127.0.0.1:2481\"," + line("").substr(1));
  EXPECT_EQ(entries_of(dir), 1U);  // no draft is left
}

TEST(ReadyFile, SaysWhatItCannotWriteAndLeavesNothing) {
  const TempDir dir;
  const std::string absent = dir / "no" / "ready.json";
  const auto refused = write_ready_file(absent, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::io);
  EXPECT_EQ(refused.error().detail, "cannot write " + absent + ": No such file or directory");

  const std::string folder = dir / "folder";
  std::filesystem::create_directory(folder);
  const auto onto_folder = write_ready_file(folder, {});
  ASSERT_FALSE(onto_folder);
  EXPECT_THAT(onto_folder.error().detail, ::testing::HasSubstr("Is a directory"));
  EXPECT_EQ(entries_of(dir), 1U);
}

TEST(WholeFile, IsReadUpToItsLimit) {
  const TempDir dir;
  const std::string path = dir / "file";
  for (const std::size_t size : {0U, 1U, 65'536U, 65'537U, 200'000U}) {
    const std::string text(size, 'x');
    ASSERT_TRUE(write_whole_file(path, text));
    const auto read = read_whole_file(path, size);
    ASSERT_TRUE(read) << size;
    EXPECT_TRUE(*read == text) << size;
    if (size == 0) continue;
    const auto refused = read_whole_file(path, size - 1);
    ASSERT_FALSE(refused) << size;
    EXPECT_EQ(refused.error().code, Errc::limit);
    EXPECT_EQ(refused.error().detail,
              path + " is larger than it may be: " + std::to_string(size - 1) + " bytes");
  }
}

TEST(WholeFile, ThatCannotBeReadIsSaidByWhatItIsCalled) {
  const TempDir dir;
  const std::string absent = dir / "absent";
  EXPECT_EQ(read_whole_file(absent, 10).error().code, Errc::io);
  EXPECT_EQ(read_whole_file(absent, 10).error().detail,
            "cannot read " + absent + ": No such file or directory");
  EXPECT_EQ(read_whole_file(dir.path(), 10, "--x it").error().detail,
            "cannot read --x it: Is a directory");
}

}  // namespace
}  // namespace standpipe::tools
