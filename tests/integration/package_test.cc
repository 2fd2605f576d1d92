// The installed library, as others find it: by find_package() and by pkg-config.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "tests/support/process.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"
#include "tests/support/upstream_fixture.h"

namespace standpipe::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kSource = STANDPIPE_SOURCE_DIR "/tests/package";

Outcome run(const std::string& program, const std::vector<std::string>& arguments) {
  ProcessOptions options;
  options.program = program;
  Process process(arguments, options);
  return process.wait();
}

class Package : public ::testing::Test {
 protected:
  void SetUp() override {
    const Outcome installed = run(STANDPIPE_CMAKE, {"--install", STANDPIPE_BUILD_DIR, "--component",
                                                    "library", "--prefix", prefix});
    ASSERT_EQ(installed.status, 0) << installed.err;
  }

  // What the consumer says of an upstream with three frames.
  void expect_consumer_works(const std::string& program) {
    ScriptedUpstream upstream(holding(1, 3));
    upstream.plan_next(ConnectionPlan().cut_after(1));
    const Outcome outcome = run(program, {upstream.url(), "3"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 3) << outcome.out;
    EXPECT_THAT(outcome.out, ::testing::StartsWith("#commit did:"));
  }

  const TempDir dir;
  const std::string prefix = dir / "prefix";
};

TEST_F(Package, FindPackageGivesBothTargets) {
  const Outcome configured =
      run(STANDPIPE_CMAKE, {"-S", std::string(kSource), "-B", dir / "build", "-G", "Ninja",
                            std::string("-DCMAKE_PREFIX_PATH=") + prefix,
                            "-DCMAKE_CXX_COMPILER=" STANDPIPE_CXX, "-DCMAKE_BUILD_TYPE=Debug"});
  ASSERT_EQ(configured.status, 0) << configured.out << configured.err;
  const Outcome built = run(STANDPIPE_CMAKE, {"--build", dir / "build"});
  ASSERT_EQ(built.status, 0) << built.out << built.err;
  expect_consumer_works(dir / "build/consumer");
  const Outcome schema = run(dir / "build/schema_consumer", {});
  // The CID of nothing, raw: SHA-256 e3b0c442...
  EXPECT_EQ(schema.out, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku\n");
}

TEST_F(Package, PkgConfigGivesTheFlags) {
  const std::string script = "set -e; export PKG_CONFIG_PATH=$(find '" + prefix +
                             "' -type d -name pkgconfig); " STANDPIPE_CXX " -std=c++20 -o '" +
                             std::string(dir / "consumer") + "' " + std::string(kSource) +
                             "/consumer.cc $(pkg-config --cflags --libs standpipe-firehose)";
  const Outcome built = run("/bin/sh", {"-c", script});
  ASSERT_EQ(built.status, 0) << built.out << built.err;
  expect_consumer_works(dir / "consumer");
}

TEST_F(Package, NothingOfTheServersIsInIt) {
  const Outcome listed = run("/usr/bin/find", {prefix});
  EXPECT_THAT(listed.out, HasSubstr("/include/standpipe/archiver/firehose/firehose.h\n"));
  EXPECT_THAT(listed.out, HasSubstr("/lib"));
  EXPECT_THAT(listed.out, Not(HasSubstr("storage")));
  EXPECT_THAT(listed.out, Not(HasSubstr("client_core.h")));
  EXPECT_THAT(listed.out, Not(HasSubstr("/bin/")));
}

}  // namespace
}  // namespace standpipe::test
