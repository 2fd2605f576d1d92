#include "schema/mst_inversion.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/support/mst_trees.h"
#include "tests/support/scale.h"

namespace standpipe {
namespace {

using test::record_cid;
using test::root_text;

// Keys whose digit is their layer, from the interop vectors.
constexpr std::string_view kA0 = "A0/374913", kB1 = "B1/986427", kC0 = "C0/451630";

class Inversion : public ::testing::Test {
 protected:
  Inversion() {
    EXPECT_TRUE(tree_.put(kA0, one_));
    EXPECT_TRUE(tree_.put(kB1, two_));
  }

  // The fault, the operation and the reason, without the CIDs; or the root.
  std::string invert(const std::vector<MstOp>& ops) {
    const auto finding = invert_ops(tree_, ops);
    if (!finding) return root_text(tree_);
    std::string detail = finding->detail;
    for (auto at = detail.find("bafy"); at != std::string::npos; at = detail.find("bafy")) {
      detail.replace(at, 59, "CID");
    }
    return std::to_string(static_cast<int>(finding->fault)) + " " + std::to_string(finding->op) +
           " " + detail;
  }

  static std::string expect(InversionFault fault, std::size_t op, const std::string& detail) {
    return std::to_string(static_cast<int>(fault)) + " " + std::to_string(op) + " " + detail;
  }

  Mst tree_;
  const Bytes one_ = record_cid(1);
  const Bytes two_ = record_cid(2);
  const Bytes three_ = record_cid(3);
};

TEST_F(Inversion, UndoesWhatWasDone) {
  Mst before;
  ASSERT_TRUE(before.put(kB1, three_));
  ASSERT_TRUE(before.put(kC0, one_));
  const std::vector<MstOp> ops{{MstAction::create, kA0, one_, {}},
                               {MstAction::update, kB1, two_, three_},
                               {MstAction::erase, kC0, {}, one_}};
  EXPECT_EQ(invert(ops), root_text(before));
}

TEST_F(Inversion, OfNothingLeavesTheTree) {
  const std::string root = root_text(tree_);
  EXPECT_EQ(invert({}), root);
}

TEST_F(Inversion, SaysWhatIsWrongAndWithWhichOperation) {
  EXPECT_EQ(invert({{MstAction::create, kC0, one_, {}}}),
            expect(InversionFault::key_absent, 0, "\"C0/451630\" is not in the tree"));
  EXPECT_EQ(invert({{MstAction::erase, kC0, {}, one_}, {MstAction::erase, kA0, {}, one_}}),
            expect(InversionFault::key_present, 1, "\"A0/374913\" is in the tree, as CID"));
}

TEST_F(Inversion, AnotherValueIsNotUndone) {
  EXPECT_EQ(invert({{MstAction::create, kA0, two_, {}}}),
            expect(InversionFault::value_differs, 0, "\"A0/374913\" is CID in the tree"));
}

TEST_F(Inversion, AnUpdateOfWhatIsNotThereIsFound) {
  EXPECT_EQ(invert({{MstAction::update, kC0, two_, one_}}),
            expect(InversionFault::key_absent, 0, "\"C0/451630\" is not in the tree"));
}

TEST_F(Inversion, TwoOperationsOnOneKeyAreRefused) {
  const std::vector<MstOp> ops{{MstAction::erase, kC0, {}, one_},
                               {MstAction::create, kA0, one_, {}},
                               {MstAction::create, kC0, one_, {}}};
  EXPECT_EQ(invert(ops), expect(InversionFault::bad_op, 0, "two operations on \"C0/451630\""));
}

TEST_F(Inversion, WhatIsNoKeyOrNoCidIsRefused) {
  EXPECT_EQ(invert({{MstAction::erase, "C0", {}, one_}}),
            expect(InversionFault::bad_op, 0, "not an MST key: \"C0\""));
  EXPECT_EQ(invert({{MstAction::erase, kC0, {}, {}}}),
            expect(InversionFault::bad_op, 0, "value of an MST key is no binary CID"));
}

// Commits of several operations on random trees: the proof holds every new node, and a consumer who
// has nothing else comes to the root before, whatever the order of the operations.
TEST(InversionProperty, TheProofOfARandomCommitIsEnough) {
  std::mt19937_64 random(21);
  const std::size_t rounds = test::scaled(1500);
  for (std::size_t round = 0; round < rounds; ++round) {
    const std::size_t keys = 1 + random() % 120;
    const auto random_key = [&] { return "a.b.c/" + std::to_string(random() % (keys * 2)); };
    Mst tree;
    test::MstModel model;
    for (std::size_t i = 0; i < keys; ++i) {
      const std::string key = random_key();
      const Bytes value = record_cid(random());
      ASSERT_TRUE(tree.put(key, value));
      model[key] = value;
    }
    const std::string root_before = root_text(tree);
    std::set<std::string> nodes_before;
    tree.visit_nodes([&](const Sha256Digest& digest, ByteView) {
      nodes_before.insert(cid_to_string(blessed_cid(digest)));
    });

    std::set<std::string> touched;
    for (std::size_t i = 0; i < 1 + random() % 8; ++i) touched.insert(random_key());
    std::vector<Bytes> values;
    values.reserve(2 * touched.size());
    std::vector<MstOp> ops;
    std::vector<std::string_view> paths;
    for (const std::string& key : touched) {
      paths.push_back(key);
      const auto held = model.find(key);
      if (held == model.end()) {
        values.push_back(record_cid(random()));
        ops.push_back({MstAction::create, key, values.back(), {}});
        ASSERT_TRUE(tree.put(key, values.back()));
      } else if (random() % 2 == 0) {
        ops.push_back({MstAction::erase, key, {}, held->second});
        ASSERT_TRUE(tree.erase(key));
      } else {
        values.push_back(record_cid(random()));
        ops.push_back({MstAction::update, key, values.back(), held->second});
        ASSERT_TRUE(tree.put(key, values.back()));
      }
    }
    std::set<std::string> proof;
    ASSERT_TRUE(tree.visit_proof(paths, [&](const Sha256Digest& digest, ByteView block) {
      const std::string cid = cid_to_string(blessed_cid(digest));
      EXPECT_EQ(cid, Cid::of_dag_cbor(block).to_string());
      EXPECT_TRUE(proof.insert(cid).second) << "twice";
    }));
    std::vector<std::string> left_out;
    tree.visit_nodes([&](const Sha256Digest& digest, ByteView) {
      const std::string cid = cid_to_string(blessed_cid(digest));
      if (proof.count(cid) != 0) return;
      EXPECT_EQ(nodes_before.count(cid), 1U) << "a new node is not in the proof";
      left_out.push_back(cid);
    });
    std::shuffle(ops.begin(), ops.end(), random);
    Mst partial = test::load_tree(test::to_car(tree, left_out), root_text(tree)).value();
    const auto finding = invert_ops(partial, ops);
    ASSERT_FALSE(finding) << finding->detail;
    ASSERT_EQ(root_text(partial), root_before);
  }
}

}  // namespace
}  // namespace standpipe
