#include "storage/run_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace standpipe::storage {
namespace {

constexpr std::size_t kWireBytes = 1000;

DecodedRun run_of(const RunKey& key, std::size_t wire_bytes = kWireBytes) {
  auto run = std::make_shared<WireRun>();
  run->partition = key.partition;
  run->frames = {{key.first, 0, static_cast<std::uint32_t>(wire_bytes), 0}};
  run->wire.assign(wire_bytes, 'x');
  DecodedRun decoded;
  decoded.run = std::move(run);
  decoded.next = next(key.first);
  return decoded;
}

RunKey key_of(std::int64_t first, std::uint64_t partition = 1) {
  return {PartitionId{partition}, Seq{first}};
}

// What one run of kWireBytes costs in the cache.
std::size_t run_cost() {
  RunCache cache(1 << 20);
  EXPECT_TRUE(cache.get(key_of(1), [] { return run_of(key_of(1)); }));
  return cache.stats().bytes;
}

// Asks for the run of `key`; true if it had to be decoded.
bool misses(RunCache& cache, const RunKey& key) {
  bool decoded = false;
  const auto result = cache.get(key, [&]() -> Result<DecodedRun> {
    decoded = true;
    return run_of(key);
  });
  EXPECT_EQ(result.value().run->first(), key.first);
  EXPECT_EQ(result.value().run->partition, key.partition);
  return decoded;
}

TEST(RunCache, ARunIsDecodedOnce) {
  RunCache cache(1 << 20);
  EXPECT_TRUE(misses(cache, key_of(1)));
  EXPECT_FALSE(misses(cache, key_of(1)));
  EXPECT_TRUE(misses(cache, key_of(1, 2)));  // of another partition
  EXPECT_FALSE(misses(cache, key_of(1)));
  const RunCacheStats stats = cache.stats();
  EXPECT_EQ(stats.hits, 2U);
  EXPECT_EQ(stats.misses, 2U);
  EXPECT_EQ(stats.runs, 2U);
  EXPECT_EQ(stats.bytes, 2 * run_cost());
  EXPECT_GE(run_cost(), kWireBytes);
}

TEST(RunCache, TheFirstReadOfARunThatWasReadAheadDoesNotPromoteIt) {
  const std::size_t cost = run_cost();
  RunCache cache(4 * cost);
  const auto read_ahead = [&cache](std::int64_t first) {
    return cache.read_ahead(key_of(first), [first] { return run_of(key_of(first)); });
  };
  EXPECT_EQ(read_ahead(1)->run->first(), Seq{1});
  EXPECT_EQ(read_ahead(1)->next, Seq{2}) << "kept: where it goes on is known";
  EXPECT_EQ(cache.stats().misses, 1U);
  EXPECT_FALSE(misses(cache, key_of(1)));
  for (std::int64_t first = 2; first <= 6; ++first) EXPECT_TRUE(misses(cache, key_of(first)));
  EXPECT_TRUE(misses(cache, key_of(1))) << "one read is not two: it was pushed out by others";
}

TEST(RunCache, TheSecondReadOfARunThatWasReadAheadPromotesIt) {
  RunCache cache(4 * run_cost());
  ASSERT_TRUE(cache.read_ahead(key_of(1), [] { return run_of(key_of(1)); }).has_value());
  EXPECT_FALSE(misses(cache, key_of(1)));
  EXPECT_FALSE(misses(cache, key_of(1)));
  for (std::int64_t first = 2; first <= 9; ++first) EXPECT_TRUE(misses(cache, key_of(first)));
  EXPECT_FALSE(misses(cache, key_of(1)));
}

TEST(RunCache, AFailureOfReadingAheadIsNobodysAndNotKept) {
  RunCache cache(1 << 20);
  const auto failed = cache.read_ahead(key_of(1), []() -> Result<DecodedRun> {
    return Error{Errc::corrupt, "a flipped byte"};
  });
  EXPECT_FALSE(failed.has_value());
  EXPECT_TRUE(misses(cache, key_of(1)));
}

TEST(RunCache, TheRunAndWhatFollowsItAreKept) {
  RunCache cache(1 << 20);
  const auto first = cache.get(key_of(5), [] { return run_of(key_of(5)); });
  const auto second = cache.get(key_of(5), []() -> Result<DecodedRun> {
    return Error{Errc::io, "must not be decoded again"};
  });
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->run, first->run);
  EXPECT_EQ(second->next, Seq{6});
}

TEST(RunCache, BytesStayWithinTheBudget) {
  RunCache cache(10 * run_cost());
  for (int i = 1; i <= 100; ++i) {
    misses(cache, key_of(i));
    if (i % 3 == 0) misses(cache, key_of(i));
    EXPECT_LE(cache.stats().bytes, 10 * run_cost());
  }
  EXPECT_EQ(cache.stats().runs, 10U);
}

TEST(RunCache, TheOldestOnProbationGoesFirst) {
  RunCache cache(4 * run_cost());
  for (int i = 1; i <= 5; ++i) EXPECT_TRUE(misses(cache, key_of(i)));
  EXPECT_TRUE(misses(cache, key_of(1)));   // pushed out by 5, and now pushes out 2
  EXPECT_FALSE(misses(cache, key_of(3)));  // 3, 4, 5, 1 are there
  EXPECT_FALSE(misses(cache, key_of(4)));
  EXPECT_FALSE(misses(cache, key_of(5)));
  EXPECT_FALSE(misses(cache, key_of(1)));
}

TEST(RunCache, AColdScanDoesNotWashOutWhatIsReadTwice) {
  RunCache cache(8 * run_cost());
  for (int i = 1; i <= 6; ++i) misses(cache, key_of(i));
  for (int i = 1; i <= 6; ++i) EXPECT_FALSE(misses(cache, key_of(i)));  // three quarters: promoted
  for (int i = 100; i < 200; ++i) EXPECT_TRUE(misses(cache, key_of(i)));
  for (int i = 1; i <= 6; ++i) EXPECT_FALSE(misses(cache, key_of(i))) << i;
}

TEST(RunCache, ThePromotedThatAreNotReadMakeRoomForOthers) {
  RunCache cache(8 * run_cost());
  for (int i = 1; i <= 6; ++i) misses(cache, key_of(i));
  for (int i = 1; i <= 6; ++i) misses(cache, key_of(i));
  for (int i = 11; i <= 16; ++i) {  // six others, each read twice in a row
    EXPECT_TRUE(misses(cache, key_of(i)));
    EXPECT_FALSE(misses(cache, key_of(i)));
  }
  for (int i = 11; i <= 16; ++i) EXPECT_FALSE(misses(cache, key_of(i)));
  EXPECT_TRUE(misses(cache, key_of(1)));
}

TEST(RunCache, ARunAtTheTailIsNotKept) {
  RunCache cache(1 << 20);
  int decodes = 0;
  for (int i = 0; i < 3; ++i) {
    const auto result = cache.get(key_of(1), [&]() -> Result<DecodedRun> {
      ++decodes;
      DecodedRun decoded = run_of(key_of(1));
      decoded.ends_at_tail = true;
      decoded.next.reset();
      return decoded;
    });
    EXPECT_TRUE(result.value().ends_at_tail);
  }
  EXPECT_EQ(decodes, 3);
  EXPECT_EQ(cache.stats().bytes, 0U);
}

TEST(RunCache, AnErrorIsNotKept) {
  RunCache cache(1 << 20);
  const auto failed = cache.get(key_of(1), []() -> Result<DecodedRun> {
    return Error{Errc::io, "the disk is tired"};
  });
  EXPECT_EQ(to_string(failed.error()), "i/o error: the disk is tired");
  EXPECT_TRUE(misses(cache, key_of(1)));
  EXPECT_FALSE(misses(cache, key_of(1)));
}

TEST(RunCache, ARunAboveAQuarterOfTheBudgetIsNotKept) {
  RunCache cache(4000);
  const auto big = [] { return run_of(key_of(1), 1001); };
  EXPECT_TRUE(cache.get(key_of(1), big));
  EXPECT_EQ(cache.stats().runs, 0U);
  RunCache none(0);
  EXPECT_TRUE(misses(none, key_of(1)));
  EXPECT_TRUE(misses(none, key_of(1)));
}

TEST(RunCache, ADroppedPartitionIsForgottenAndNoOther) {
  RunCache cache(1 << 20);
  for (int i = 1; i <= 4; ++i) {
    misses(cache, key_of(i, 1));
    misses(cache, key_of(i, 2));
  }
  misses(cache, key_of(1, 1));  // promoted
  cache.drop_partition(PartitionId{1});
  EXPECT_EQ(cache.stats().runs, 4U);
  EXPECT_EQ(cache.stats().bytes, 4 * run_cost());
  for (int i = 1; i <= 4; ++i) {
    EXPECT_FALSE(misses(cache, key_of(i, 2)));
    EXPECT_TRUE(misses(cache, key_of(i, 1)));
  }
  cache.clear();
  EXPECT_EQ(cache.stats().runs, 0U);
  EXPECT_EQ(cache.stats().bytes, 0U);
}

TEST(RunCache, APartitionDroppedWhileItIsDecodedIsAnsweredAndNotKept) {
  RunCache cache(1 << 20);
  const auto result = cache.get(key_of(1), [&]() -> Result<DecodedRun> {
    cache.drop_partition(PartitionId{1});
    return run_of(key_of(1));
  });
  EXPECT_TRUE(result.has_value());
  EXPECT_EQ(cache.stats().runs, 0U);
  EXPECT_TRUE(misses(cache, key_of(1)));
  EXPECT_FALSE(misses(cache, key_of(1)));
}

// `threads` readers ask for one key at once; the decode waits until all others wait for it.
std::vector<Result<DecodedRun>> ask_together(RunCache& cache, std::size_t threads,
                                             std::atomic<int>& decodes,
                                             const Result<DecodedRun>& answer) {
  std::vector<Result<DecodedRun>> results(threads, Error{Errc::closed, "not asked"});
  {
    std::vector<std::jthread> readers;
    for (std::size_t i = 0; i < threads; ++i) {
      readers.emplace_back([&, i] {
        results[i] = cache.get(key_of(1), [&]() -> Result<DecodedRun> {
          ++decodes;
          while (cache.stats().waiting != threads - 1) std::this_thread::yield();
          return answer;
        });
      });
    }
  }
  return results;
}

TEST(RunCache, ManyWaitersShareOneDecode) {
  RunCache cache(1 << 20);
  std::atomic<int> decodes = 0;
  const auto results = ask_together(cache, 8, decodes, run_of(key_of(1)));
  EXPECT_EQ(decodes, 1);
  for (const auto& result : results) EXPECT_EQ(result.value().run, results[0].value().run);
  EXPECT_EQ(cache.stats().misses, 1U);
  EXPECT_EQ(cache.stats().hits, 7U);
  EXPECT_EQ(cache.stats().waiting, 0U);
}

TEST(RunCache, AnErrorReachesEveryWaiter) {
  RunCache cache(1 << 20);
  std::atomic<int> decodes = 0;
  const auto results = ask_together(cache, 8, decodes, Error{Errc::corrupt, "group at seq 1"});
  EXPECT_EQ(decodes, 1);
  for (const auto& result : results) {
    EXPECT_EQ(to_string(result.error()), "corrupt: group at seq 1");
  }
  EXPECT_TRUE(misses(cache, key_of(1)));
}

TEST(RunCache, OneSlowDecodeHoldsUpNoOtherKey) {
  RunCache cache(1 << 20);
  std::latch decoding(1), may_end(1);
  std::jthread slow([&] {
    EXPECT_TRUE(cache.get(key_of(1), [&]() -> Result<DecodedRun> {
      decoding.count_down();
      may_end.wait();
      return run_of(key_of(1));
    }));
  });
  decoding.wait();
  EXPECT_TRUE(misses(cache, key_of(2)));
  EXPECT_FALSE(misses(cache, key_of(2)));
  cache.drop_partition(PartitionId{9});
  may_end.count_down();
  slow.join();
  EXPECT_FALSE(misses(cache, key_of(1)));
}

TEST(RunCache, ManyThreadsOnManyKeysAlwaysGetTheRightRun) {
  RunCache cache(20 * run_cost());
  std::latch start(4);
  std::vector<std::jthread> threads;
  for (unsigned thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      std::mt19937 random(thread);
      start.arrive_and_wait();
      for (int i = 0; i < 2000; ++i) {
        const RunKey key = key_of(1 + random() % 40, 1 + random() % 2);
        misses(cache, key);
        if (i % 100 == 0) cache.drop_partition(key.partition);
      }
    });
  }
  threads.clear();
  const RunCacheStats stats = cache.stats();
  EXPECT_EQ(stats.hits + stats.misses, 8000U);
  EXPECT_LE(stats.bytes, 20 * run_cost());
  EXPECT_EQ(stats.waiting, 0U);
}

}  // namespace
}  // namespace standpipe::storage
