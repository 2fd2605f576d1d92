#include "storage/gap_set.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <tuple>

namespace standpipe::storage {
namespace {

constexpr auto kUpstream = GapReason::upstream;
constexpr auto kOutage = GapReason::outage;

Gap gap(std::int64_t after, std::int64_t before, GapReason reason = kUpstream,
        std::string detail = "", std::int64_t recorded_ms = 0) {
  return {Seq{after}, Seq{before}, reason, recorded_ms, std::move(detail)};
}

std::string words(const std::vector<Gap>& gaps) {
  std::string text;
  for (const Gap& row : gaps) {
    text += "(" + std::to_string(to_int(row.after)) + "," + std::to_string(to_int(row.before)) +
            " " + std::string(to_string(row.reason)) + ")";
  }
  return text;
}
std::string words(const GapSet& set) { return words(set.rows()); }

TEST(GapSet, GapsApartStayApart) {
  GapSet set;
  set.add(gap(10, 12));
  set.add(gap(12, 14));  // 12 is present between them
  EXPECT_EQ(words(set), "(10,12 upstream)(12,14 upstream)");
  EXPECT_TRUE(set.covers(Seq{11}));
  EXPECT_FALSE(set.covers(Seq{12}));
  EXPECT_FALSE(set.covers(Seq{10}));
  EXPECT_TRUE(set.covers(Seq{13}));
  EXPECT_FALSE(set.covers(Seq{14}));
}

TEST(GapSet, TouchingGapsOfOneReasonBecomeOneRow) {
  GapSet set;
  set.add(gap(10, 12));                           // 11
  const GapChanges right = set.add(gap(11, 13));  // 12
  EXPECT_EQ(words(set), "(10,13 upstream)");
  EXPECT_EQ(words(right.put), "(10,13 upstream)");
  EXPECT_TRUE(right.removed.empty());
  const GapChanges left = set.add(gap(8, 11));  // 9, 10
  EXPECT_EQ(words(set), "(8,13 upstream)");
  EXPECT_EQ(words(left.put), "(8,13 upstream)");
  EXPECT_EQ(left.removed, (std::vector<Seq>{Seq{10}}));
}

TEST(GapSet, AGapThatFillsTheSpaceBetweenTwoRowsJoinsBoth) {
  GapSet set;
  set.add(gap(10, 12));
  set.add(gap(20, 22));
  const GapChanges changes = set.add(gap(11, 21));
  EXPECT_EQ(words(set), "(10,22 upstream)");
  EXPECT_EQ(words(changes.put), "(10,22 upstream)");
  EXPECT_EQ(changes.removed, (std::vector<Seq>{Seq{20}}));
}

TEST(GapSet, TouchingGapsOfOtherReasonOrDetailStayApart) {
  GapSet set;
  set.add(gap(10, 12));
  set.add(gap(11, 13, kOutage));
  set.add(gap(12, 14, kOutage, "relay.test"));
  EXPECT_EQ(words(set), "(10,12 upstream)(11,13 outage)(12,14 outage)");
  EXPECT_EQ(set.find(Seq{13})->detail, "relay.test");
}

TEST(GapSet, TheFirstExplanationOfASeqStays) {
  GapSet set;
  set.add(gap(10, 15));  // 11 .. 14
  set.add(gap(20, 25));  // 21 .. 24
  const GapChanges changes = set.add(gap(5, 30, kOutage));
  EXPECT_EQ(words(set),
            "(5,11 outage)(10,15 upstream)(14,21 outage)(20,25 upstream)(24,30 outage)");
  EXPECT_EQ(words(changes.put), "(5,11 outage)(14,21 outage)(24,30 outage)");
  EXPECT_TRUE(changes.removed.empty());
  EXPECT_TRUE(set.add(gap(5, 30, kOutage)).empty());  // nothing is left to explain
  EXPECT_TRUE(set.add(gap(12, 14, GapReason::lost)).empty());
}

TEST(GapSet, AGapOverRowsOfItsOwnReasonSwallowsThem) {
  GapSet set;
  set.add(gap(10, 12, kUpstream, "", 5));
  set.add(gap(20, 22, kUpstream, "", 9));
  set.add(gap(30, 32, kUpstream, "", 6));
  const GapChanges changes = set.add(gap(0, 40, kUpstream, "", 7));
  EXPECT_EQ(words(set), "(0,40 upstream)");
  EXPECT_EQ(words(changes.put), "(0,40 upstream)");
  EXPECT_EQ(changes.removed, (std::vector<Seq>{Seq{10}, Seq{20}, Seq{30}}));
  EXPECT_EQ(set.rows()[0].recorded_ms, 9);
}

TEST(GapSet, QueryReturnsTheRowsThatExplainASeqInside) {
  GapSet set;
  for (const std::int64_t after : {10, 20, 30}) set.add(gap(after, after + 5));
  EXPECT_EQ(words(set.query(Seq{0}, Seq{100}, 10)),
            "(10,15 upstream)(20,25 upstream)(30,35 upstream)");
  EXPECT_EQ(words(set.query(Seq{0}, Seq{100}, 2)), "(10,15 upstream)(20,25 upstream)");
  EXPECT_EQ(words(set.query(Seq{13}, Seq{22}, 10)), "(10,15 upstream)(20,25 upstream)");
  EXPECT_EQ(words(set.query(Seq{14}, Seq{21}, 10)), "");  // 15 .. 20: present
  EXPECT_EQ(words(set.query(Seq{0}, Seq{11}, 10)), "");
  EXPECT_EQ(words(set.query(Seq{0}, Seq{12}, 10)), "(10,15 upstream)");
  EXPECT_EQ(words(set.query(Seq{34}, Seq{100}, 10)), "");
  EXPECT_EQ(words(set.query(Seq{33}, Seq{100}, 10)), "(30,35 upstream)");
  EXPECT_EQ(words(set.query(Seq{22}, Seq{22}, 10)), "");
  EXPECT_EQ(words(set.query(Seq{0}, Seq{100}, 0)), "");
}

TEST(GapSet, RowsAreTakenBackInAnyOrderAndOverlapsRefused) {
  const auto set = GapSet::from_rows({gap(20, 25), gap(10, 15), gap(14, 21, kOutage)});
  ASSERT_TRUE(set.has_value());
  EXPECT_EQ(words(*set), "(10,15 upstream)(14,21 outage)(20,25 upstream)");
  EXPECT_EQ(GapSet::from_rows({gap(10, 15), gap(13, 20)}).error().detail,
            "gaps (10, 15) and (13, 20) overlap");
  EXPECT_FALSE(GapSet::from_rows({gap(10, 15), gap(10, 15)}));
  EXPECT_EQ(GapSet::from_rows({gap(10, 11)}).error().code, Errc::corrupt);
  EXPECT_FALSE(GapSet::from_rows({gap(11, 10)}));
}

TEST(GapSet, TheFirstAndTheLastSeqCanBeGaps) {
  GapSet set;
  set.add({kSeqNone, next(kSeqMin), kUpstream, 0, ""});
  set.add({previous(kSeqMax), next(kSeqMax), kUpstream, 0, ""});
  EXPECT_TRUE(set.covers(kSeqMin));
  EXPECT_TRUE(set.covers(kSeqMax));
  EXPECT_FALSE(set.covers(previous(kSeqMax)));
  EXPECT_TRUE(GapSet::from_rows(set.rows()));
}

TEST(GapSetDeathTest, AGapWithoutASeqIsTheCallersError) {
  GapSet set;
  EXPECT_DEATH(set.add(gap(10, 11)), "holds no seq");
  EXPECT_DEATH(set.add(gap(-1, 11)), "holds no seq");
}

// The twin says of each seq why it is absent, and since when.
struct Why {
  GapReason reason;
  std::string detail;
  std::int64_t recorded_ms;
};
using Twin = std::map<std::int64_t, Why>;

std::vector<Gap> rows_of(const Twin& twin) {
  std::vector<Gap> rows;
  for (const auto& [seq, why] : twin) {
    Gap* last = rows.empty() ? nullptr : &rows.back();
    if (last != nullptr && to_int(last->before) == seq && last->reason == why.reason &&
        last->detail == why.detail) {
      last->before = Seq{seq + 1};
      last->recorded_ms = std::max(last->recorded_ms, why.recorded_ms);
    } else {
      rows.push_back(gap(seq - 1, seq + 1, why.reason, why.detail, why.recorded_ms));
    }
  }
  return rows;
}

GapTotals totals_of(const std::vector<Gap>& rows) {
  GapTotals totals;
  for (const Gap& row : rows) {
    ++totals.of(row.reason).gaps;
    totals.of(row.reason).seqs += static_cast<std::uint64_t>(distance(row.after, row.before) - 1);
  }
  return totals;
}

TEST(GapSet, RandomGapsGiveTheRowsOfASeqBySeqTwin) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    GapSet set;
    Twin twin;
    std::map<std::int64_t, Gap> disk;  // kept by the changes alone
    for (int step = 0; step < 150; ++step) {
      const auto after = static_cast<std::int64_t>(random() % 200);
      const auto before = after + 2 + static_cast<std::int64_t>(random() % (step % 10 ? 6 : 60));
      const Why why{static_cast<GapReason>(1 + random() % 2), random() % 3 ? "" : "x", step};
      for (std::int64_t seq = after + 1; seq < before; ++seq) twin.emplace(seq, why);
      const GapChanges changes =
          set.add(gap(after, before, why.reason, why.detail, why.recorded_ms));
      for (const Seq removed : changes.removed) ASSERT_EQ(disk.erase(to_int(removed)), 1U);
      for (const Gap& put : changes.put) disk[to_int(put.after)] = put;

      const std::vector<Gap> expected = rows_of(twin);
      ASSERT_EQ(set.rows(), expected) << "seed " << seed << " step " << step;
      const GapTotals totals = totals_of(expected);
      ASSERT_EQ(set.totals().by_reason, totals.by_reason) << "seed " << seed << " step " << step;
      std::vector<Gap> kept;
      for (const auto& [key, row] : disk) kept.push_back(row);
      ASSERT_EQ(kept, expected) << "seed " << seed << " step " << step;
    }
    for (std::int64_t seq = 1; seq < 280; ++seq) {
      ASSERT_EQ(set.covers(Seq{seq}), twin.count(seq) != 0) << seq;
    }
    const GapSet again = GapSet::from_rows(set.rows()).value();
    EXPECT_EQ(again.rows(), set.rows());
    EXPECT_EQ(again.totals().by_reason, set.totals().by_reason);
  }
}

}  // namespace
}  // namespace standpipe::storage
