// A mirror on an archive that was repaired: what its upstream still has of the end that was lost is
// fetched again, what was lost between frames that are whole stays lost and is said to everybody.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/archive_files.h"
#include "tests/support/mirror_fixture.h"
#include "tests/support/process.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::int64_t kStopped = 2'000;
constexpr std::int64_t kLast = 3'000;
const std::vector<std::string> kSmallPartitions{"--partition-bytes", "200KiB"};

class MirrorRepair : public MirrorFixture {
 protected:
  // One byte in the middle of a table of this partition.
  void damage_partition(const std::string& number) const {
    for (const auto& [name, bytes] : read_files(archive())) {
      if (!name.ends_with(".sst") ||
          bytes.find("nameframes/repos/" + number) == std::string::npos) {
        continue;
      }
      std::string flipped = bytes;
      flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 1);
      write_file(archive() / name, flipped);
      return;
    }
    FAIL() << "no table of partition " << number;
  }
  // A mirror that was killed: frames up to kStopped are in tables, the newest ones in the log
  // alone.
  void given_killed_mirror() {
    given_upstream(holding(1, kStopped));
    given_mirror(kSmallPartitions);
    wait_until_durable(kStopped);
    stop();
    upstream().append(upstream_frames(kStopped + 1, kLast));
    given_mirror(kSmallPartitions);
    wait_until_durable(kLast);
    kill();
  }
  // All logs are gone, and with them the newest frames.
  void remove_logs() const {
    for (const auto& [name, bytes] : read_files(archive())) {
      if (name.ends_with(".log")) fs::remove(archive() / name);
    }
  }
  std::int64_t newest() const {
    const Outcome told = run_standpipe({"inspect", "--data", archive().string(), "--json"});
    EXPECT_EQ(told.status, 0) << told.err;
    return json::parse(told.out, nullptr, false)["streams"][0]["epochs"][0]["newest"];
  }
  // Repairs it, and puts what was made in its place.
  json repair() const {
    const Outcome made = run_standpipe({"repair", "--data", archive().string(), "--accept-loss",
                                        "--min-free", "0", "--quiet", "--json"});
    EXPECT_EQ(made.status, 0) << made.err;
    const json report = json::parse(made.out, nullptr, false);
    fs::rename(archive(), dir / "damaged");
    fs::rename(report["repaired"].get<std::string>(), archive());
    return report;
  }
};

TEST_F(MirrorRepair, WhatUpstreamStillHasOfTheEndIsFetchedAgain) {
  given_killed_mirror();
  damage_partition("0000000000000002");
  remove_logs();
  const json report = repair();
  ASSERT_FALSE(report["lost"].empty()) << report.dump();
  const json& middle = report["lost"][0];
  EXPECT_EQ(middle["asked_again"], false);
  const std::int64_t after = middle["after"], before = middle["before"];
  EXPECT_GE(newest(), kStopped);
  EXPECT_LT(newest(), kLast);

  given_mirror(kSmallPartitions);
  wait_until_durable(kLast);
  Subscriber all = subscribe("?cursor=0");
  for (std::int64_t seq = 1; seq <= kLast; ++seq) {
    if (seq > after && seq < before) continue;
    ASSERT_TRUE(all.next_frame() == make_frame(seq)) << seq;
  }
  Subscriber inside = subscribe("?cursor=" + std::to_string(after + 1));
  EXPECT_TRUE(inside.next_frame() == make_frame(before));
  const json gaps = json::parse(http_get(port(), "/stream/repos/gaps").body)["gaps"];
  ASSERT_EQ(gaps.size(), 1U) << gaps.dump();
  EXPECT_EQ(gaps[0]["after"], after);
  EXPECT_EQ(gaps[0]["before"], before);
  EXPECT_EQ(gaps[0]["reason"], "lost");
  stop();
}

// Upstream has moved on: then the ledger says that, too.
TEST_F(MirrorRepair, WhatUpstreamNoLongerHasOfTheEndIsAGap) {
  given_killed_mirror();
  remove_logs();
  damage_partition("0000000000000002");
  const json report = repair();
  ASSERT_FALSE(report["lost"].empty()) << report.dump();
  const std::int64_t end = newest();
  upstream().append(upstream_frames(kLast + 1, kLast + 100));
  upstream().forget(kLast);
  given_mirror(kSmallPartitions);
  wait_until_durable(kLast + 100);
  const json gaps = json::parse(http_get(port(), "/stream/repos/gaps").body)["gaps"];
  ASSERT_EQ(gaps.size(), 2U) << gaps.dump();
  EXPECT_EQ(gaps[0]["reason"], "lost");
  EXPECT_EQ(gaps[1]["after"], end);
  EXPECT_EQ(gaps[1]["before"], kLast + 1);
  EXPECT_EQ(gaps[1]["reason"], "outage");
  stop();
}

}  // namespace
}  // namespace standpipe::test
