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

}  // namespace
}  // namespace standpipe::tools
