#include "tools/tree_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "schema/car.h"
#include "schema/cid.h"
#include "schema/mst.h"
#include "tests/support/mst_trees.h"

namespace standpipe::tools {
namespace {

using nlohmann::ordered_json;
using ::testing::HasSubstr;

// Protocol reference, 5.3: x stands in layer 2, t and z in layer 0.
const std::string kT = "com.example.record/3jqfcqzm3ft2j";
const std::string kX = "com.example.record/3jqfcqzm3fx2j";
const std::string kZ = "com.example.record/3jqfcqzm3fz2j";
constexpr const char* kValue = "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454";
constexpr const char* kRoot = "bafyreiavxaxdz7o7rbvr3zg2liox2yww46t7g6hkehx4i4h3lwudly7dhy";

class Tree : public ::testing::Test {
 protected:
  Tree() {
    for (const std::string& key : {kT, kX, kZ}) {
      EXPECT_TRUE(tree_.put(key, Cid::parse(kValue).value().bytes()));
    }
  }
  ordered_json shown(const std::vector<std::string>& left_out = {}) {
    car_ = test::to_car(tree_, left_out);
    const CarBlocks blocks = CarBlocks::read(car_).value();
    return tree_as_json(commit_, blocks, Cid::parse(kRoot).value().bytes());
  }
  void given_op(std::string_view path) {
    RepoOp op;
    op.path = path;
    commit_.ops.push_back(op);
  }
  static Commit no_commit() {
    return Commit{.seq = Seq{1},
                  .repo = {},
                  .time = {},
                  .commit = Cid::parse(kRoot).value(),
                  .rev = {},
                  .since = {},
                  .prev_data = {},
                  .prev = {},
                  .ops = {},
                  .blobs = {},
                  .blocks = {}};
  }

  Mst tree_;
  Bytes car_;
  Commit commit_ = no_commit();
};

TEST_F(Tree, HasItsNodesAndKeysInOrder) {
  const ordered_json root = shown();
  EXPECT_EQ(root["cid"], kRoot);
  EXPECT_EQ(root["layer"], 2);
  ASSERT_EQ(root["entries"].size(), 3U);
  EXPECT_EQ(root["entries"][1]["key"], kX);
  EXPECT_EQ(root["entries"][1]["value"], kValue);
  const ordered_json& left = root["entries"][0]["child"];
  EXPECT_EQ(left["layer"], 1);  // a node without keys
  ASSERT_EQ(left["entries"].size(), 1U);
  const ordered_json& below = left["entries"][0]["child"];
  EXPECT_EQ(below["layer"], 0);
  ASSERT_EQ(below["entries"].size(), 1U);
  EXPECT_EQ(below["entries"][0]["key"], kT);
  EXPECT_EQ(root["entries"][2]["child"]["entries"][0]["child"]["entries"][0]["key"], kZ);
}

TEST_F(Tree, MarksThePathsOfOperations) {
  given_op(kX);
  given_op(kT);
  given_op("com.example.record/3jqfcqzm3fy2j");  // deleted: between x and z
  const ordered_json root = shown();
  const auto ops = [](std::initializer_list<std::size_t> numbers) {
    return ordered_json(std::vector<std::size_t>(numbers));
  };
  EXPECT_EQ(root["ops"], ops({0, 1, 2}));
  EXPECT_EQ(root["entries"][1]["ops"], ops({0}));
  const ordered_json& left = root["entries"][0]["child"];
  EXPECT_EQ(left["ops"], ops({1}));
  EXPECT_EQ(left["entries"][0]["child"]["entries"][0]["ops"], ops({1}));
  const ordered_json& right = root["entries"][2]["child"];
  EXPECT_EQ(right["ops"], ops({2}));
  EXPECT_EQ(right["entries"][0]["child"]["ops"], ops({2}));
  EXPECT_EQ(right["entries"][0]["child"]["entries"][0]["ops"], ops({}));
}

TEST_F(Tree, NamesTheSubtreesThatTheCarLacks) {
  const std::string right = shown()["entries"][2]["child"]["cid"];
  const ordered_json root = shown({right});
  EXPECT_EQ(root["entries"][2]["child"], (ordered_json{{"cid", right}, {"held", false}}));
  EXPECT_EQ(root["entries"][0]["child"]["held"], true);
  EXPECT_EQ(shown({kRoot}), (ordered_json{{"cid", kRoot}, {"held", false}}));
}

TEST_F(Tree, IsReadAsLines) {
  given_op(kX);
  const std::string right = shown()["entries"][2]["child"]["cid"];
  const std::string text = tree_as_text(shown({right}));
  EXPECT_TRUE(text.starts_with("  ..udly7dhy  layer 2  <- op 0\n    ..")) << text;
  EXPECT_THAT(text, HasSubstr("  layer 1\n      .."));
  EXPECT_THAT(text, HasSubstr("  layer 0\n        " + kT + " -> ..64zmz454\n"));
  EXPECT_THAT(text, HasSubstr("\n    " + kX + " -> ..64zmz454  <- op 0\n"));
  EXPECT_TRUE(text.ends_with(right.substr(right.size() - 8) + "  not in the CAR\n")) << text;
}

// Blocks are foreign: one that is no node is named, and one that is its own child comes to an end.
TEST_F(Tree, OfBlocksThatAreNoneComesToAnEnd) {
  const Bytes cid = to_bytes(Cid::parse(kRoot).value().bytes());
  const auto show = [&](ByteView block) {
    Bytes car;
    CarWriter writer(car, {cid});
    writer.write_block(cid, block);
    return tree_as_json(commit_, CarBlocks::read(car).value(), cid);
  };
  const ordered_json no_node = show(as_bytes("text"));
  EXPECT_FALSE(no_node["error"].get<std::string>().empty());
  EXPECT_THAT(tree_as_text(no_node), HasSubstr("  no MST node: "));
  Bytes loop;
  const Sha256Digest itself = blessed_digest(cid).value();
  MstNodeWriter(loop, 0).finish(&itself);
  const std::string text = tree_as_text(show(loop));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 130);
  EXPECT_TRUE(text.ends_with("  and more\n"));
}

}  // namespace
}  // namespace standpipe::tools
