// Keys that somebody made to hurt. Nothing here is timed: what grows faster than it should is felt.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "schema/mst.h"
#include "tests/support/mst_trees.h"
#include "tests/support/mst_twin.h"

namespace standpipe {
namespace {

using test::record_cid;
using test::root_text;

// `count` keys of `layer`, found by trying, that begin with `prefix`.
std::vector<std::string> mine(std::size_t count, int layer, const std::string& prefix) {
  std::vector<std::string> keys;
  for (std::uint64_t i = 0; keys.size() < count; ++i) {
    std::string key = prefix + std::to_string(i);
    if (mst_layer(key) == layer) keys.push_back(std::move(key));
  }
  return keys;
}

TEST(HostileMst, LongCommonPrefixesAreTakenInTheirStride) {
  const std::string prefix = "a.b.c/" + std::string(1000, 'a');
  std::mt19937_64 random(1);
  test::MstModel model;
  while (model.size() < 1500) {
    model.emplace(prefix + std::to_string(random() % 100'000), record_cid(random()));
  }
  Mst mst;
  for (const auto& [key, value] : model) ASSERT_TRUE(mst.put(key, value));
  const test::MstTwin twin = test::build_mst_twin(model);
  EXPECT_EQ(root_text(mst), twin.root);
  // As blocks they are small, for the prefix is written once in a node; loaded they are large
  // again.
  const Bytes car = test::to_car(mst);
  EXPECT_LT(car.size(), 2'000'000U);
  Mst loaded = test::load_tree(car, twin.root).value();
  EXPECT_EQ(test::contents(loaded), model);
}

TEST(HostileMst, AKeyOfEveryLengthUpToTheLimitIsTaken) {
  test::MstModel model;
  for (std::size_t length = 1; length <= 1022; ++length) {
    model.emplace("a/" + std::string(length, 'x'), record_cid(length));
  }
  Mst mst;
  for (const auto& [key, value] : model) ASSERT_TRUE(mst.put(key, value));
  EXPECT_EQ(root_text(mst), test::build_mst_twin(model).root);
  EXPECT_FALSE(mst.put("a/" + std::string(1023, 'x'), record_cid(0)));
}

TEST(HostileMst, KeysMadeToCrowdIntoOneNodeStopAtItsLimit) {
  const std::vector<std::string> keys = mine(10'001, 0, "a.b.c/");
  Mst mst;
  for (std::size_t i = 0; i < 10'000; ++i) ASSERT_TRUE(mst.put(keys[i], record_cid(i)));
  EXPECT_EQ(mst.counts().nodes, 1U);
  const std::string root = root_text(mst);
  EXPECT_EQ(to_string(mst.put(keys[10'000], record_cid(0)).error()),
            "limit reached: MST node would have 10001 entries, allowed 10000");
  EXPECT_EQ(root_text(mst), root);
  // A block of that size loads, and one more entry does not.
  const Bytes car = test::to_car(mst);
  EXPECT_TRUE(test::load_tree(car, root));
  EXPECT_EQ(test::load_tree(car, root, {.node = {.entries_max = 9999}}).error().code, Errc::limit);
}

TEST(HostileMst, AKeyFarAboveTheOthersSplitsAndMergesThemTimeAndAgain) {
  const std::string high = "app.bsky.feed.post/9adeb165882c";  // layer 8, from the interop vectors
  std::mt19937_64 random(2);
  test::MstModel model;
  while (model.size() < 5000) {
    model.emplace("app.bsky.feed.post/" + std::to_string(random()), record_cid(random()));
  }
  Mst mst;
  for (const auto& [key, value] : model) ASSERT_TRUE(mst.put(key, value));
  const std::string without = root_text(mst);
  model.emplace(high, record_cid(1));
  const std::string with = test::build_mst_twin(model).root;
  for (int round = 0; round < 50; ++round) {
    ASSERT_TRUE(mst.put(high, record_cid(1)));
    ASSERT_EQ(root_text(mst), with);
    ASSERT_TRUE(mst.erase(high));
    ASSERT_EQ(root_text(mst), without);
  }
  EXPECT_EQ(mst.counts().keys, 5000U);
}

// A key that comes and goes leaves no bytes behind for good.
TEST(HostileMst, KeysThatAreErasedGiveTheirMemoryBack) {
  Mst mst;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE(mst.put("a.b.c/" + std::to_string(i), record_cid(i)));
  }
  const std::size_t bytes = mst.memory_bytes();
  const std::string long_key = "a.b.c/" + std::string(1000, 'k');
  for (std::uint64_t i = 0; i < 2000; ++i) {  // 2 MB of keys
    const std::string key = long_key + std::to_string(i);
    ASSERT_TRUE(mst.put(key, record_cid(i)));
    ASSERT_TRUE(mst.erase(key));
  }
  EXPECT_LT(mst.memory_bytes(), bytes + 300'000);
  EXPECT_EQ(mst.counts().keys, 1000U);
}

}  // namespace
}  // namespace standpipe
