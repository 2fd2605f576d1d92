#include "tools/retention_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace standpipe::tools {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kDayMs = 86'400'000;

// "repos 1209600000 ms 214748364800 B", or the error.
std::string parsed(std::string_view text) {
  const auto one = parse_stream_retention(text);
  if (!one) return one.error().detail;
  std::string out = one->first;
  if (one->second.age_ms) out += " " + std::to_string(*one->second.age_ms) + " ms";
  if (one->second.stored_bytes) out += " " + std::to_string(*one->second.stored_bytes) + " B";
  return out;
}

// What the named option of the table says to a value; empty if it takes it.
std::string taken(storage::RetentionPolicy& policy, std::string_view option,
                  std::string_view value) {
  OptionTable table;
  add_retention_options(table, policy);
  for (const OptionSpec& spec : table.specs()) {
    if (spec.name != option) continue;
    const auto result = spec.take(value);
    return result ? "" : result.error().detail;
  }
  return "no such option";
}

TEST(RetentionOption, AStreamHasAnAgeASizeOrBoth) {
  EXPECT_EQ(parsed("repos=14d"), "repos 1209600000 ms");
  EXPECT_EQ(parsed("repos=200GiB"), "repos 214748364800 B");
  EXPECT_EQ(parsed("repos=14d,200GiB"), "repos 1209600000 ms 214748364800 B");
  EXPECT_EQ(parsed("repos=200GiB,14d"), "repos 1209600000 ms 214748364800 B");
  EXPECT_EQ(parsed("mod.bsky.app=all"), "mod.bsky.app");
}

TEST(RetentionOption, NonsenseIsRefusedWithWhatIsAllowed) {
  EXPECT_THAT(parsed("14d"), HasSubstr("as in repos=14d,200GiB"));
  EXPECT_THAT(parsed("repos="), HasSubstr("as in repos=14d,200GiB"));
  EXPECT_THAT(parsed("=14d"), HasSubstr("1 to 64 of a-z"));
  EXPECT_THAT(parsed("Repos=14d"), HasSubstr("1 to 64 of a-z"));
  EXPECT_EQ(parsed("repos=soon"),
            "repos: 'soon' is neither an age, as in 14d, nor a size, as in 200GiB");
  EXPECT_EQ(parsed("repos=14d,"),
            "repos: '' is neither an age, as in 14d, nor a size, as in 200GiB");
  EXPECT_EQ(parsed("repos=14d,15d"), "repos: '15d': a second age");
  EXPECT_EQ(parsed("repos=1GiB,2GiB"), "repos: '2GiB': a second size");
  EXPECT_EQ(parsed("repos=59m"), "repos: '59m': an age to keep is 1h to 36500d");
  EXPECT_EQ(parsed("repos=36501d"), "repos: '36501d': an age to keep is 1h to 36500d");
  EXPECT_EQ(parsed("repos=0"), "repos: '0': an age to keep is 1h to 36500d");
  EXPECT_EQ(parsed("repos=1MiB"), "repos: '1MiB': bytes to keep are at least 16.0 MiB");
}

TEST(RetentionOption, TheTableJudgesEachValue) {
  storage::RetentionPolicy policy;
  EXPECT_EQ(taken(policy, "retain-age", "14d"), "");
  EXPECT_EQ(taken(policy, "retain-bytes", "200GiB"), "");
  EXPECT_EQ(taken(policy, "retain", "labels=all"), "");
  EXPECT_EQ(policy.each.age_ms, 14 * kDayMs);
  EXPECT_EQ(policy.each.stored_bytes, std::uint64_t{200} << 30);
  ASSERT_TRUE(policy.by_stream.contains("labels"));
  EXPECT_FALSE(policy.by_stream.at("labels").is_limited());
  EXPECT_EQ(taken(policy, "retain", "labels=2d"), "'labels=2d': stream labels has one already");
  EXPECT_THAT(taken(policy, "retain-age", "1s"), HasSubstr("1h to 36500d"));
  EXPECT_THAT(taken(policy, "retain-age", "1GiB"), HasSubstr("is not a duration"));
  EXPECT_THAT(taken(policy, "retain-bytes", "12"), HasSubstr("at least 16.0 MiB"));
  EXPECT_THAT(taken(policy, "retain-bytes", "14d"), HasSubstr("is not a size"));
}

TEST(RetentionOption, PartitionsMustBeShorterThanTheAge) {
  storage::ArchiveOptions archive;
  archive.retention.each.age_ms = 2 * kDayMs;
  EXPECT_TRUE(check_retention(archive));
  archive.partition_span_ms = 2 * kDayMs;
  EXPECT_TRUE(check_retention(archive));
  archive.partition_span_ms = 3 * kDayMs;
  EXPECT_EQ(check_retention(archive).error().detail,
            "--partition-span 3d is longer than --retain-age 2d: partitions go whole, so it has to "
            "be shorter");
  archive.retention.each.age_ms.reset();
  EXPECT_TRUE(check_retention(archive));
  archive.retention.by_stream["west"].age_ms = kDayMs;
  EXPECT_THAT(check_retention(archive).error().detail, HasSubstr("longer than --retain west 1d"));
}

TEST(RetentionOption, AStreamThatTheArchiveDoesNotHaveIsRefusedByName) {
  storage::RetentionPolicy policy;
  policy.by_stream["reops"].age_ms = kDayMs;
  storage::StreamInfo repos, labels;
  repos.spec.name = "repos";
  labels.spec.name = "mod.bsky.app";
  EXPECT_EQ(check_retained_streams(policy, {repos, labels}).error().detail,
            "--retain reops: the archive has no stream of that name, but repos, mod.bsky.app");
  policy.by_stream.clear();
  policy.by_stream["mod.bsky.app"] = {};
  EXPECT_TRUE(check_retained_streams(policy, {repos, labels}));
}

}  // namespace
}  // namespace standpipe::tools
