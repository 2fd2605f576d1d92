#include "schema/repo_chain.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/mst_trees.h"

namespace standpipe {
namespace {

using Faults = std::vector<std::string>;

constexpr std::string_view kRev1 = "3l3qo2vuoiw2z";
constexpr std::string_view kRev2 = "3l3qo2vuoix2z";
constexpr std::string_view kRev3 = "3l3qo2vuoiy2z";
constexpr std::string_view kRev4 = "3l3qo2vuoiz2z";

const Bytes kData1 = test::record_cid(1);
const Bytes kData2 = test::record_cid(2);
const Bytes kData3 = test::record_cid(3);

struct Step {
  Faults faults;
  bool is_known = false;
  bool is_across_gap = false;
};

class Chain : public ::testing::Test {
 protected:
  static ChainLink link(std::int64_t seq, std::string_view rev, ByteView data,
                        std::string_view did = "did:plc:one") {
    ChainLink link;
    link.seq = Seq{seq};
    link.did = did;
    link.rev = rev;
    link.data = data;
    return link;
  }
  static ChainLink after(ChainLink link, std::string_view since, ByteView prev_data) {
    link.since = {true, since};
    link.prev_data = prev_data;
    return link;
  }
  Step add(const ChainLink& link) {
    const ChainStep step = chain_.add_commit(link);
    Step out;
    out.is_known = step.is_known;
    out.is_across_gap = step.is_across_gap;
    for (const ChainFinding& finding : step.findings) {
      out.faults.emplace_back(to_string(finding.fault));
      detail_ = finding.detail;
    }
    return out;
  }

  RepoChain chain_{100};
  std::string detail_;  // of the newest finding
};

TEST_F(Chain, FollowsCommitsThatNameTheOneBefore) {
  EXPECT_FALSE(add(link(10, kRev1, kData1)).is_known);
  const Step second = add(after(link(20, kRev2, kData2), kRev1, kData1));
  EXPECT_TRUE(second.is_known);
  EXPECT_EQ(second.faults, Faults{});
  EXPECT_EQ(add(after(link(30, kRev3, kData2), kRev2, kData2)).faults, Faults{});  // an empty one
  EXPECT_EQ(chain_.repos(), 1U);
}

TEST_F(Chain, KeepsRepositoriesApart) {
  add(link(10, kRev3, kData3, "did:plc:one"));
  EXPECT_FALSE(add(link(11, kRev1, kData1, "did:plc:two")).is_known);
  EXPECT_EQ(add(after(link(12, kRev2, kData2, "did:plc:two"), kRev1, kData1)).faults, Faults{});
  EXPECT_EQ(chain_.repos(), 2U);
}

TEST_F(Chain, TellsOfACommitThatIsMissing) {
  add(link(10, kRev1, kData1));
  EXPECT_EQ(add(after(link(30, kRev3, kData3), kRev2, kData2)).faults,
            (Faults{"since_not_previous", "prev_data_not_previous"}));
  EXPECT_TRUE(detail_.ends_with("; its commit before this is seq 10")) << detail_;
  // The newer one counts from here on.
  EXPECT_EQ(add(after(link(40, kRev4, kData1), kRev3, kData3)).faults, Faults{});
}

TEST_F(Chain, TellsEachFaultAlone) {
  add(link(10, kRev1, kData1));
  EXPECT_EQ(add(after(link(20, kRev3, kData3), kRev2, kData1)).faults,
            (Faults{"since_not_previous"}));
  EXPECT_EQ(detail_, "\"3l3qo2vuoix2z\", not 3l3qo2vuoiw2z; its commit before this is seq 10");
  chain_.add_sync(link(21, kRev1, kData1));
  EXPECT_EQ(add(after(link(22, kRev3, kData3), kRev1, kData2)).faults,
            (Faults{"prev_data_not_previous"}));
  chain_.add_sync(link(23, kRev1, kData1));
  ChainLink first = link(24, kRev2, kData2);
  first.since = {true, std::nullopt};
  EXPECT_EQ(add(first).faults, (Faults{"since_not_previous"}));
  EXPECT_EQ(detail_, "null, not 3l3qo2vuoiw2z; its commit before this is seq 23");
}

TEST_F(Chain, ACommitWhoseRevDoesNotRiseIsPassedOver) {
  add(link(10, kRev2, kData2));
  EXPECT_EQ(add(after(link(20, kRev2, kData2), kRev1, kData1)).faults, (Faults{"rev_not_rising"}));
  EXPECT_EQ(add(after(link(30, kRev1, kData1), kRev1, kData3)).faults, (Faults{"rev_not_rising"}));
  EXPECT_EQ(detail_, "3l3qo2vuoiw2z after 3l3qo2vuoix2z; its commit before this is seq 10");
  EXPECT_EQ(add(after(link(40, kRev3, kData3), kRev2, kData2)).faults, Faults{});
}

// As after a host's clock that went back for a moment: the break is told once.
TEST_F(Chain, WhatFollowsOneThatWasPassedOverIsNoBreak) {
  add(link(10, kRev3, kData1));
  EXPECT_EQ(add(after(link(20, kRev1, kData2), kRev3, kData1)).faults, (Faults{"rev_not_rising"}));
  EXPECT_EQ(add(after(link(30, kRev4, kData3), kRev1, kData2)).faults, Faults{});
  // It counts from here on, and what was passed over no longer does.
  EXPECT_EQ(add(after(link(40, "3l3qo2vuoj22z", kData1), kRev1, kData2)).faults,
            (Faults{"since_not_previous", "prev_data_not_previous"}));
}

TEST_F(Chain, WhatFollowsInPartOneThatWasPassedOverIsABreak) {
  add(link(10, kRev3, kData1));
  add(after(link(20, kRev1, kData2), kRev3, kData1));
  EXPECT_EQ(add(after(link(30, kRev4, kData3), kRev1, kData3)).faults,
            (Faults{"since_not_previous", "prev_data_not_previous"}));
}

TEST_F(Chain, ASyncSetsWhatComesNext) {
  add(link(10, kRev3, kData3));
  chain_.add_sync(link(20, kRev1, kData1));  // rolled back
  EXPECT_EQ(add(after(link(30, kRev2, kData2), kRev1, kData1)).faults, Faults{});
  EXPECT_EQ(add(after(link(40, kRev4, kData3), kRev3, kData3)).faults,
            (Faults{"since_not_previous", "prev_data_not_previous"}));
}

TEST_F(Chain, AnAccountThatWasForgottenBeginsAnew) {
  add(link(10, kRev3, kData3));
  chain_.forget("did:plc:one");
  chain_.forget("did:plc:two");
  EXPECT_EQ(chain_.repos(), 0U);
  const Step step = add(after(link(20, kRev1, kData1), kRev2, kData2));
  EXPECT_FALSE(step.is_known);
  EXPECT_EQ(step.faults, Faults{});
}

// Before 2025 there was no prevData, before August 2023 neither rev nor since.
TEST_F(Chain, FieldsThatAreNotThereAreHeldAgainstNothing) {
  add(link(10, kRev1, kData1));
  ChainLink without_prev_data = link(20, kRev2, kData2);
  without_prev_data.since = {true, kRev1};
  EXPECT_EQ(add(without_prev_data).faults, Faults{});
  ChainLink bare = link(30, kRev3, kData3);
  bare.rev = std::nullopt;
  EXPECT_TRUE(add(bare).is_known);
  EXPECT_EQ(add(after(link(40, kRev1, kData1), kRev4, kData3)).faults, Faults{});
  // Nor what is none.
  EXPECT_EQ(add(after(link(50, "not a rev", {}), kRev1, kData1)).faults, Faults{});
  EXPECT_EQ(add(after(link(60, kRev1, kData1), kRev4, kData3)).faults, Faults{});
}

TEST_F(Chain, AGapBetweenTwoCommitsIsTold) {
  add(link(10, kRev1, kData1, "did:plc:one"));
  add(link(20, kRev1, kData1, "did:plc:two"));
  chain_.pass_gap(Seq{15});
  EXPECT_TRUE(add(after(link(30, kRev3, kData3, "did:plc:one"), kRev2, kData2)).is_across_gap);
  EXPECT_FALSE(add(after(link(31, kRev3, kData3, "did:plc:two"), kRev2, kData2)).is_across_gap);
  EXPECT_FALSE(add(after(link(40, kRev4, kData1, "did:plc:one"), kRev3, kData3)).is_across_gap);
  chain_.pass_gap(Seq{40});
  chain_.pass_gap(Seq{5});
  EXPECT_TRUE(add(after(link(50, kRev4, kData1, "did:plc:one"), kRev3, kData3)).is_across_gap);
}

TEST_F(Chain, ForgetsTheRepositoriesThatWereQuietLongest) {
  RepoChain chain(4);
  for (const std::string_view did : {"did:plc:a", "did:plc:b", "did:plc:c"}) {
    chain.add_sync(link(1, kRev1, kData1, did));
  }
  EXPECT_EQ(chain.repos(), 3U);
  EXPECT_TRUE(chain.add_commit(after(link(2, kRev2, kData2, "did:plc:a"), kRev1, kData1)).is_known);
  EXPECT_EQ(chain.repos_forgotten(), 0U);
  chain.add_sync(link(3, kRev1, kData1, "did:plc:d"));  // b goes
  EXPECT_EQ(chain.repos_forgotten(), 1U);
  EXPECT_EQ(chain.repos(), 3U);
  EXPECT_TRUE(chain.add_commit(after(link(4, kRev3, kData3, "did:plc:a"), kRev2, kData2)).is_known);
  EXPECT_FALSE(chain.add_commit(link(5, kRev2, kData2, "did:plc:b")).is_known);
}

}  // namespace
}  // namespace standpipe
