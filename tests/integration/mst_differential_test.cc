// The tree against a plain map and against a rebuild from nothing, over long random histories.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "schema/mst.h"
#include "tests/support/mst_trees.h"
#include "tests/support/mst_twin.h"
#include "tests/support/scale.h"

namespace standpipe {
namespace {

using test::MstModel;
using test::record_cid;
using test::root_text;

constexpr std::size_t kCheckpoints = 200;
constexpr std::size_t kKeyPool = 4000;

std::vector<std::string> make_keys(std::mt19937_64& random) {
  const std::vector<std::string> collections{"app.bsky.feed.like/", "app.bsky.feed.post/",
                                             "app.bsky.graph.follow/",
                                             "x.y.z/" + std::string(300, 'h')};
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < kKeyPool; ++i) {
    keys.push_back(collections[random() % collections.size()] + std::to_string(random()));
  }
  return keys;
}

// The share of operations that put, out of 100: now the tree grows, now it shrinks to nothing.
std::size_t put_share(std::size_t checkpoint) {
  constexpr std::size_t kShares[] = {90, 60, 50, 50, 40, 10, 0, 70, 50, 30};
  return kShares[checkpoint % std::size(kShares)];
}

class History {
 public:
  explicit History(std::uint64_t seed) : random_(seed), keys_(make_keys(random_)) {}

  std::uint64_t draw() { return random_(); }
  const std::string& key() { return keys_[random_() % keys_.size()]; }
  const MstModel& model() const { return model_; }
  Mst& tree() { return tree_; }

  void step(std::size_t puts) {
    const std::string& key = this->key();
    const auto held = model_.find(key);
    const bool is_put = random_() % 100 < puts;
    Bytes value;
    if (is_put) value = record_cid(random_() % 1000);
    const auto before = is_put ? tree_.put(key, value) : tree_.erase(key);
    ASSERT_TRUE(before) << to_string(before.error());
    ASSERT_EQ(before->has_value(), held != model_.end());
    if (held != model_.end()) {
      ASSERT_TRUE(equal((*before)->bytes(), held->second));
    }
    if (is_put) {
      model_[key] = std::move(value);
    } else if (held != model_.end()) {
      model_.erase(held);
    }
  }

 private:
  std::mt19937_64 random_;
  std::vector<std::string> keys_;
  MstModel model_;
  Mst tree_;
};

TEST(MstDifferential, AMillionOperationsAgreeWithAMapAndWithRebuilds) {
  const std::size_t steps = test::scaled(1'000'000) / kCheckpoints + 1;
  History history(31);
  for (std::size_t checkpoint = 0; checkpoint < kCheckpoints; ++checkpoint) {
    for (std::size_t i = 0; i < steps; ++i) {
      ASSERT_NO_FATAL_FAILURE(history.step(put_share(checkpoint)));
    }
    const test::MstTwin twin = test::build_mst_twin(history.model());
    ASSERT_EQ(root_text(history.tree()), twin.root) << "checkpoint " << checkpoint;
    ASSERT_EQ(test::contents(history.tree()), history.model());
    const MstCounts counts = history.tree().counts();
    ASSERT_EQ(counts.keys, history.model().size());
    if (!history.model().empty()) {
      ASSERT_EQ(counts.nodes, twin.nodes.size());
    }
    for (int i = 0; i < 100; ++i) {
      const std::string& key = history.key();
      const auto found = history.tree().find(key).value();
      ASSERT_EQ(found.has_value(), history.model().count(key) == 1);
    }
  }
}

// A tree with holes does what the whole one does, or says that it cannot and stays as it is.
TEST(MstDifferential, ATreeWithHolesAgreesWithTheWholeOneOrRefuses) {
  const std::size_t rounds = test::scaled(400);
  History history(32);
  std::size_t done = 0;
  std::size_t refused = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < 300; ++i) {
      ASSERT_NO_FATAL_FAILURE(history.step(put_share(round)));
    }
    if (history.model().empty()) continue;
    const std::string root = root_text(history.tree());
    std::vector<std::string> holes;
    history.tree().visit_nodes([&](const Sha256Digest& digest, ByteView) {
      const std::string cid = cid_to_string(blessed_cid(digest));
      if (cid != root && history.draw() % 4 == 0) holes.push_back(cid);
    });
    const Bytes car = test::to_car(history.tree());
    Mst whole = test::load_tree(car, root).value();
    Mst partial = test::load_tree(test::to_car(history.tree(), holes), root).value();
    ASSERT_EQ(root_text(partial), root);
    for (int i = 0; i < 20; ++i) {
      const std::string& key = history.key();
      const bool is_put = history.draw() % 2 == 0;
      const Bytes value = record_cid(history.draw());
      const std::string before = root_text(partial);
      const auto result = is_put ? partial.put(key, value) : partial.erase(key);
      if (!result) {
        ++refused;
        ASSERT_EQ(result.error().code, Errc::not_found);
        ASSERT_EQ(root_text(partial), before);
        continue;
      }
      ++done;
      const auto expected = is_put ? whole.put(key, value) : whole.erase(key);
      ASSERT_EQ(*result, *expected);
      ASSERT_EQ(root_text(partial), root_text(whole));
    }
  }
  EXPECT_GT(done, rounds);
  EXPECT_GT(refused, rounds);
}

}  // namespace
}  // namespace standpipe
