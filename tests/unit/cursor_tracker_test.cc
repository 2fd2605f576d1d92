#include "archiver/firehose/cursor_tracker.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>
#include <vector>

namespace standpipe::firehose {
namespace {

TEST(CursorTracker, TheCursorStopsBeforeTheFirstThatIsNotDone) {
  CursorTracker tracker(Seq{10});
  EXPECT_EQ(tracker.cursor(), Seq{10});
  for (const std::int64_t seq : {11, 15, 20, 21}) EXPECT_TRUE(tracker.begin(Seq{seq}));
  EXPECT_TRUE(tracker.done(Seq{15}));
  EXPECT_TRUE(tracker.done(Seq{21}));
  EXPECT_EQ(tracker.cursor(), Seq{10});
  EXPECT_EQ(tracker.in_flight(), 4U);
  EXPECT_TRUE(tracker.done(Seq{11}));
  EXPECT_EQ(tracker.cursor(), Seq{15});
  EXPECT_TRUE(tracker.done(Seq{20}));
  EXPECT_EQ(tracker.cursor(), Seq{21});
  EXPECT_EQ(tracker.in_flight(), 0U);
}

TEST(CursorTracker, WithoutAStartThereIsNoCursorUntilSomethingIsDone) {
  CursorTracker tracker;
  EXPECT_EQ(tracker.cursor(), std::nullopt);
  EXPECT_TRUE(tracker.begin(Seq{7}));
  EXPECT_EQ(tracker.cursor(), std::nullopt);
  EXPECT_TRUE(tracker.done(Seq{7}));
  EXPECT_EQ(tracker.cursor(), Seq{7});
}

TEST(CursorTracker, ASeqThatDoesNotRiseHasNotBegun) {
  CursorTracker tracker(Seq{10});
  EXPECT_FALSE(tracker.begin(Seq{10}));
  EXPECT_TRUE(tracker.begin(Seq{12}));
  EXPECT_FALSE(tracker.begin(Seq{12}));
  EXPECT_FALSE(tracker.begin(Seq{11}));
  EXPECT_FALSE(tracker.done(Seq{11}));
  EXPECT_TRUE(tracker.done(Seq{12}));
  EXPECT_FALSE(tracker.done(Seq{12}));
}

TEST(CursorTracker, NoMoreThanTheMaximumAreInFlight) {
  CursorTracker tracker(std::nullopt, 2);
  EXPECT_TRUE(tracker.begin(Seq{1}));
  EXPECT_TRUE(tracker.begin(Seq{2}));
  std::future<bool> third = std::async(std::launch::async, [&] { return tracker.begin(Seq{3}); });
  EXPECT_TRUE(tracker.done(Seq{2}));  // the first is still in the way
  EXPECT_EQ(tracker.in_flight(), 2U);
  EXPECT_TRUE(tracker.done(Seq{1}));
  EXPECT_TRUE(third.get());
  EXPECT_EQ(tracker.in_flight(), 1U);
}

TEST(CursorTracker, CloseEndsWhoeverWaits) {
  CursorTracker tracker(std::nullopt, 1);
  EXPECT_TRUE(tracker.begin(Seq{1}));
  std::future<bool> second = std::async(std::launch::async, [&] { return tracker.begin(Seq{2}); });
  tracker.close();
  EXPECT_FALSE(second.get());
  EXPECT_TRUE(tracker.done(Seq{1}));
  EXPECT_EQ(tracker.cursor(), Seq{1});
}

TEST(CursorTracker, WorkersInAnyOrderLoseNothing) {
  constexpr std::int64_t kSeqs = 4'000;
  CursorTracker tracker(std::nullopt, 64);
  std::vector<std::jthread> workers;
  std::atomic<std::int64_t> next = 1;
  std::mutex mutex;
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([&] {
      for (;;) {
        std::int64_t seq = 0;
        {
          const std::lock_guard lock(mutex);  // seqs begin in their order
          seq = next++;
          if (seq > kSeqs) return;
          ASSERT_TRUE(tracker.begin(Seq{seq}));
        }
        ASSERT_LT(tracker.cursor().value_or(kSeqNone), Seq{seq});
        ASSERT_TRUE(tracker.done(Seq{seq}));
      }
    });
  }
  workers.clear();
  EXPECT_EQ(tracker.cursor(), Seq{kSeqs});
}

}  // namespace
}  // namespace standpipe::firehose
