#include "schema/mst.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tests/support/mst_trees.h"
#include "tests/support/mst_twin.h"

namespace standpipe {
namespace {

using test::contents;
using test::load_tree;
using test::MstModel;
using test::record_cid;
using test::root_text;

constexpr std::string_view kEmptyRoot =
    "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm";

const Bytes& leaf() {
  static const Bytes cid = to_bytes(
      Cid::parse("bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454").value().bytes());
  return cid;
}

std::string key_of(std::string_view suffix) { return "com.example.record/" + std::string(suffix); }

void put(Mst& mst, std::string_view key, ByteView value) {
  const auto before = mst.put(key, value);
  ASSERT_TRUE(before) << to_string(before.error());
}

void put_all(Mst& mst, const std::vector<std::string>& suffixes) {
  for (const std::string& suffix : suffixes) put(mst, key_of(suffix), leaf());
}

std::string root_with(const std::vector<std::string>& suffixes) {
  Mst mst;
  put_all(mst, suffixes);
  return root_text(mst);
}

// The table of the protocol reference, 5.3.
TEST(Mst, RootsAreThoseOfTheSpecification) {
  EXPECT_EQ(root_with({}), kEmptyRoot);
  EXPECT_EQ(root_with({"3jqfcqzm3fo2j"}),
            "bafyreibj4lsc3aqnrvphp5xmrnfoorvru4wynt6lwidqbm2623a6tatzdu");
  EXPECT_EQ(root_with({"3jqfcqzm3fx2j"}),
            "bafyreih7wfei65pxzhauoibu3ls7jgmkju4bspy4t2ha2qdjnzqvoy33ai");
  EXPECT_EQ(root_with({"3jqfcqzm3fp2j", "3jqfcqzm3fr2j", "3jqfcqzm3fs2j", "3jqfcqzm3ft2j",
                       "3jqfcqzm4fc2j"}),
            "bafyreicmahysq4n6wfuxo522m6dpiy7z7qzym3dzs756t5n7nfdgccwq7m");
}

TEST(Mst, ErasingTheHighestKeyTrimsTheRoot) {
  Mst mst;
  put_all(mst, {"3jqfcqzm3fn2j", "3jqfcqzm3fo2j", "3jqfcqzm3fp2j", "3jqfcqzm3fs2j", "3jqfcqzm3ft2j",
                "3jqfcqzm3fu2j"});
  EXPECT_EQ(root_text(mst), "bafyreifnqrwbk6ffmyaz5qtujqrzf5qmxf7cbxvgzktl4e3gabuxbtatv4");
  ASSERT_TRUE(mst.erase(key_of("3jqfcqzm3fs2j")).value().has_value());
  EXPECT_EQ(root_text(mst), "bafyreie4kjuxbwkhzg2i5dljaswcroeih4dgiqq6pazcmunwt2byd725vi");
}

TEST(Mst, AKeyTwoLayersUpSplitsAndItsRemovalMerges) {
  Mst mst;
  put_all(mst, {"3jqfcqzm3fo2j", "3jqfcqzm3fp2j", "3jqfcqzm3fr2j", "3jqfcqzm3fs2j", "3jqfcqzm3ft2j",
                "3jqfcqzm3fz2j", "3jqfcqzm4fc2j", "3jqfcqzm4fd2j", "3jqfcqzm4ff2j", "3jqfcqzm4fg2j",
                "3jqfcqzm4fh2j"});
  EXPECT_EQ(root_text(mst), "bafyreiettyludka6fpgp33stwxfuwhkzlur6chs4d2v4nkmq2j3ogpdjem");
  put_all(mst, {"3jqfcqzm3fx2j"});
  EXPECT_EQ(root_text(mst), "bafyreid2x5eqs4w4qxvc5jiwda4cien3gw2q6cshofxwnvv7iucrmfohpm");
  ASSERT_TRUE(mst.erase(key_of("3jqfcqzm3fx2j")).value().has_value());
  EXPECT_EQ(root_text(mst), "bafyreiettyludka6fpgp33stwxfuwhkzlur6chs4d2v4nkmq2j3ogpdjem");
}

TEST(Mst, LayersWithoutKeysAreBridged) {
  Mst mst;
  put_all(mst, {"3jqfcqzm3ft2j", "3jqfcqzm3fz2j"});
  EXPECT_EQ(root_text(mst), "bafyreidfcktqnfmykz2ps3dbul35pepleq7kvv526g47xahuz3rqtptmky");
  put_all(mst, {"3jqfcqzm3fx2j"});
  EXPECT_EQ(root_text(mst), "bafyreiavxaxdz7o7rbvr3zg2liox2yww46t7g6hkehx4i4h3lwudly7dhy");
  put_all(mst, {"3jqfcqzm4fd2j"});
  EXPECT_EQ(root_text(mst), "bafyreig4jv3vuajbsybhyvb7gggvpwh2zszwfyttjrj6qwvcsp24h6popu");
}

TEST(Mst, PutAndEraseSayWhatWasThere) {
  Mst mst;
  const Bytes first = record_cid(1);
  const Bytes second = record_cid(2);
  EXPECT_EQ(mst.put("a/b", first).value(), std::nullopt);
  EXPECT_TRUE(equal(mst.find("a/b").value().value(), first));
  EXPECT_TRUE(equal(mst.put("a/b", second).value().value().bytes(), first));
  EXPECT_TRUE(equal(mst.find("a/b").value().value(), second));
  EXPECT_EQ(mst.find("a/c").value(), std::nullopt);
  EXPECT_EQ(mst.erase("a/c").value(), std::nullopt);
  EXPECT_TRUE(equal(mst.erase("a/b").value().value().bytes(), second));
  EXPECT_EQ(mst.erase("a/b").value(), std::nullopt);
  EXPECT_EQ(root_text(mst), kEmptyRoot);
}

TEST(Mst, KeysAndValuesOfAnotherFormAreRefused) {
  Mst mst;
  EXPECT_EQ(to_string(mst.put("a", leaf()).error()), "malformed: not an MST key: \"a\"");
  EXPECT_EQ(mst.put("a/" + std::string(1023, 'k'), leaf()).error().code, Errc::malformed);
  EXPECT_TRUE(mst.put("a/" + std::string(1022, 'k'), leaf()));
  EXPECT_EQ(to_string(mst.put("a/b", ByteView(leaf()).first(35)).error()),
            "malformed: value of an MST key is no binary CID");
  EXPECT_EQ(mst.put("a/b", {}).error().code, Errc::malformed);
  EXPECT_EQ(mst.erase("a/").error().code, Errc::malformed);
}

TEST(Mst, ValuesOfAnyHashAreKeptAsTheyAre) {
  Bytes sha512 = parse_hex("01711340").value();
  sha512.resize(68, std::byte{7});
  const Bytes identity = parse_hex("01550002abcd").value();
  MstModel model{{"a/1", sha512}, {"a/2", identity}, {"a/3", leaf()}};
  Mst mst;
  for (const auto& [key, value] : model) put(mst, key, value);
  EXPECT_EQ(contents(mst), model);
  EXPECT_EQ(root_text(mst), test::build_mst_twin(model).root);
  // From long to short and back, through a place that is used again.
  put(mst, "a/1", identity);
  put(mst, "a/2", sha512);
  EXPECT_TRUE(equal(mst.find("a/1").value().value(), identity));
  EXPECT_TRUE(equal(mst.find("a/2").value().value(), sha512));
  EXPECT_TRUE(equal(mst.erase("a/2").value().value().bytes(), sha512));
}

// `count` keys of a few collections, in order.
MstModel some_keys(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  MstModel model;
  while (model.size() < count) {
    const std::string collection = random() % 3 == 0 ? "app.bsky.graph.follow/" : "a.b.c/";
    model.emplace(collection + std::to_string(random() % (count * 20)), record_cid(random()));
  }
  return model;
}

TEST(Mst, TheOrderOfInsertionDoesNotMatter) {
  const MstModel model = some_keys(2000, 1);
  const std::string root = test::build_mst_twin(model).root;
  std::vector<std::string> keys;
  for (const auto& [key, value] : model) keys.push_back(key);
  std::mt19937_64 random(2);
  for (int round = 0; round < 4; ++round) {
    Mst mst;
    for (const std::string& key : keys) put(mst, key, model.at(key));
    EXPECT_EQ(root_text(mst), root);
    EXPECT_EQ(contents(mst), model);
    if (round == 0) std::reverse(keys.begin(), keys.end());
    if (round > 0) std::shuffle(keys.begin(), keys.end(), random);
  }
}

TEST(Mst, WhatIsLoadedIsWhatWasWritten) {
  const MstModel model = some_keys(1000, 3);
  const test::MstTwin twin = test::build_mst_twin(model);
  Mst mst = load_tree(test::to_car(twin), twin.root).value();
  EXPECT_EQ(contents(mst), model);
  EXPECT_EQ(root_text(mst), twin.root);
  EXPECT_EQ(mst.counts().keys, 1000U);
  EXPECT_EQ(mst.counts().nodes, twin.nodes.size());
  EXPECT_EQ(mst.counts().unknown, 0U);
  std::size_t visited = 0;
  mst.visit_nodes([&](const Sha256Digest& digest, ByteView block) {
    ++visited;
    EXPECT_TRUE(equal(twin.nodes.at(cid_to_string(blessed_cid(digest))), block));
  });
  EXPECT_EQ(visited, twin.nodes.size());
}

TEST(Mst, AWalkStopsWhereItIsTold) {
  Mst mst;
  put_all(mst, {"3jqfcqzm3fo2j", "3jqfcqzm3fp2j", "3jqfcqzm3fx2j"});
  std::vector<std::string> seen;
  ASSERT_TRUE(mst.walk([&](std::string_view key, ByteView) {
    seen.emplace_back(key);
    return seen.size() < 2;
  }));
  EXPECT_EQ(seen, (std::vector<std::string>{key_of("3jqfcqzm3fo2j"), key_of("3jqfcqzm3fp2j")}));
}

// ---- partial trees ----

// Keys whose digit is their layer, from the interop vectors:
//   layer 1:        B1     F1
//   layer 0:   A0 |  C0 E0  | G0
constexpr std::string_view kA0 = "A0/374913", kB1 = "B1/986427", kC0 = "C0/451630",
                           kE0 = "E0/670489", kF1 = "F1/085263", kG0 = "G0/765327",
                           kD2 = "D2/269196";

struct Partial {
  Mst mst;
  std::string root;
  std::string middle;  // the node that was left out: C0, E0
};

Partial partial_tree() {
  Mst whole;
  for (const auto key : {kA0, kB1, kC0, kE0, kF1, kG0}) put(whole, key, leaf());
  const std::string root = root_text(whole);
  Mst middle;
  for (const auto key : {kC0, kE0}) put(middle, key, leaf());
  const std::string left_out = root_text(middle);
  return {load_tree(test::to_car(whole, {left_out}), root).value(), root, left_out};
}

TEST(PartialMst, KnowsItsRootAndWhatIsHeld) {
  Partial tree = partial_tree();
  EXPECT_EQ(root_text(tree.mst), tree.root);
  EXPECT_EQ(tree.mst.counts().keys, 4U);
  EXPECT_EQ(tree.mst.counts().unknown, 1U);
  EXPECT_TRUE(tree.mst.find(kA0).value().has_value());
  EXPECT_TRUE(tree.mst.find(kB1).value().has_value());
  EXPECT_EQ(tree.mst.find("A0/0").value(), std::nullopt);
}

TEST(PartialMst, NamesTheNodeThatWouldHaveToBeLookedIntoAndStaysAsItIs) {
  Partial tree = partial_tree();
  const std::string why = "not found: MST node " + tree.middle + " is not here";
  EXPECT_EQ(to_string(tree.mst.find(kC0).error()), why);
  EXPECT_EQ(to_string(tree.mst.put(kC0, leaf()).error()), why);
  EXPECT_EQ(to_string(tree.mst.put(kD2, leaf()).error()), why);  // would split it
  EXPECT_EQ(to_string(tree.mst.erase(kC0).error()), why);
  EXPECT_EQ(to_string(tree.mst.erase(kB1).error()), why);  // would merge it with A0
  EXPECT_EQ(to_string(tree.mst.walk([](auto, auto) { return true; }).error()), why);
  EXPECT_EQ(root_text(tree.mst), tree.root);
  EXPECT_EQ(tree.mst.counts().keys, 4U);
}

TEST(PartialMst, ChangesBesideWhatIsNotHeldAreMade) {
  Partial tree = partial_tree();
  ASSERT_TRUE(tree.mst.put(kB1, record_cid(1)));
  ASSERT_TRUE(tree.mst.erase(kA0));
  Mst whole;
  for (const auto key : {kC0, kE0, kF1, kG0}) put(whole, key, leaf());
  put(whole, kB1, record_cid(1));
  EXPECT_EQ(root_text(tree.mst), root_text(whole));
  // Now nothing is left of B1, so that its removal has nothing to merge.
  ASSERT_TRUE(tree.mst.erase(kB1));
  ASSERT_TRUE(whole.erase(kB1));
  EXPECT_EQ(root_text(tree.mst), root_text(whole));
}

TEST(PartialMst, ARootThatIsTrimmedToANodeThatIsNotHeldIsThatNode) {
  Partial tree = partial_tree();
  for (const auto key : {kA0, kB1, kG0, kF1}) ASSERT_TRUE(tree.mst.erase(key));
  EXPECT_EQ(root_text(tree.mst), tree.middle);
  EXPECT_EQ(tree.mst.put(kA0, leaf()).error().code, Errc::not_found);
}

TEST(PartialMst, OfATreeWithoutItsRootOnlyTheHashIsKnown) {
  Mst mst = load_tree(test::to_car(test::build_mst_twin({}), {std::string(kEmptyRoot)}),
                      "bafyreibj4lsc3aqnrvphp5xmrnfoorvru4wynt6lwidqbm2623a6tatzdu")
                .value();
  EXPECT_EQ(root_text(mst), "bafyreibj4lsc3aqnrvphp5xmrnfoorvru4wynt6lwidqbm2623a6tatzdu");
  EXPECT_EQ(mst.find(kA0).error().code, Errc::not_found);
}

TEST(PartialMst, WalkAndProofPassOverWhatIsNotHeldIfTold) {
  Partial tree = partial_tree();
  std::vector<std::string> seen;
  ASSERT_TRUE(tree.mst.walk(
      [&](std::string_view key, ByteView) {
        seen.emplace_back(key);
        return true;
      },
      MstUnknown::skip));
  EXPECT_EQ(seen, (std::vector<std::string>{std::string(kA0), std::string(kB1), std::string(kF1),
                                            std::string(kG0)}));
  const std::vector<std::string_view> keys{kB1};
  std::size_t nodes = 0;
  const auto count = [&](const Sha256Digest&, ByteView) { ++nodes; };
  EXPECT_EQ(tree.mst.visit_proof(keys, count).error().code, Errc::not_found);
  EXPECT_TRUE(tree.mst.visit_proof(keys, count, MstUnknown::skip));
  EXPECT_EQ(nodes, 2U);  // the root and A0
}

// ---- trees that are wrong ----

// A node of these entries; `left` as text, or empty.
Bytes node_of(const std::vector<std::string>& keys, std::string_view left = {}) {
  Bytes block;
  MstNodeWriter writer(block, keys.size());
  for (const std::string& key : keys) writer.write_entry(key, leaf(), nullptr);
  std::optional<Sha256Digest> digest;
  if (!left.empty()) digest = blessed_digest(Cid::parse(left).value().bytes());
  writer.finish(digest ? &*digest : nullptr);
  return block;
}

std::string load_error(const std::vector<Bytes>& blocks, const MstLimits& limits = {}) {
  Bytes car;
  CarWriter writer(car, {});
  for (const Bytes& block : blocks) writer.write_block(Cid::of_dag_cbor(block), block);
  const std::string root = Cid::of_dag_cbor(blocks[0]).to_string();
  const auto mst = load_tree(car, root, limits);
  if (mst) return "ok";
  std::string error = to_string(mst.error());
  const std::size_t at = error.find("bafy");
  return at == std::string::npos ? error : error.erase(at, 59);
}

std::string cid_of(const Bytes& block) { return Cid::of_dag_cbor(block).to_string(); }

TEST(MstLoad, TreesOfAnotherShapeAreRefused) {
  const Bytes low = node_of({std::string(kA0)});
  const Bytes empty = node_of({});
  EXPECT_EQ(load_error({node_of({std::string(kB1)}, cid_of(low)), low}), "ok");
  EXPECT_EQ(load_error({empty}), "ok");
  EXPECT_EQ(load_error({node_of({}, cid_of(low)), low}), "malformed: MST node : root has no key");
  EXPECT_EQ(load_error({node_of({std::string(kB1)}, cid_of(empty)), empty}),
            "malformed: MST node : empty node inside a tree");
  EXPECT_EQ(load_error({node_of({std::string(kA0), std::string(kB1)})}),
            "malformed: MST node : key in a layer that is not its own: B1/986427");
  EXPECT_EQ(load_error({node_of({std::string(kD2)}, cid_of(low)), low}),
            "malformed: MST node : key in a layer that is not its own: A0/374913");
  EXPECT_EQ(load_error({node_of({std::string(kC0)}, cid_of(low)), low}),
            "malformed: MST node : child below layer 0");
  const Bytes high = node_of({std::string(kC0)});
  EXPECT_EQ(load_error({node_of({std::string(kB1)}, cid_of(high)), high}),
            "malformed: MST node : keys do not lie between those of the node above");
  const Bytes bridge = node_of({}, cid_of(low));
  EXPECT_EQ(load_error({node_of({std::string(kD2)}, cid_of(bridge)), bridge, low}), "ok");
  EXPECT_EQ(load_error({parse_hex("a0").value()}),
            "malformed: MST node at byte 0: not a map of e and l (in )");
}

TEST(MstLoad, LimitsHold) {
  const Bytes low = node_of({std::string(kA0)});
  EXPECT_EQ(load_error({low}, {.node = {.entries_max = 0}}),
            "limit reached: MST node has 1 entries, allowed 0 (in )");
  EXPECT_EQ(load_error({low}, {.nodes_max = 2}), "limit reached: MST would have more than 2 nodes");
}

TEST(Mst, NodesDoNotGrowPastTheirLimit) {
  Mst mst({.node = {.entries_max = 2}});
  put(mst, kA0, leaf());
  put(mst, kC0, leaf());
  EXPECT_EQ(to_string(mst.put(kE0, leaf()).error()),
            "limit reached: MST node would have 3 entries, allowed 2");
  put(mst, kB1, leaf());  // A0 | B1 | C0
  put(mst, kE0, leaf());
  const std::string root = root_text(mst);
  EXPECT_EQ(mst.erase(kB1).error().code, Errc::limit);  // would merge three
  EXPECT_EQ(root_text(mst), root);
}

// ---- diff ----

std::string describe(const MstChange& change) {
  const char sign = !change.before ? '+' : !change.after ? '-' : '~';
  return sign + std::string(change.key);
}

std::vector<std::string> diff(Mst& before, Mst& after) {
  std::vector<std::string> changes;
  const auto result = Mst::diff(before, after, [&](const MstChange& change) {
    changes.push_back(describe(change));
    return true;
  });
  if (!result) changes.push_back(to_string(result.error()));
  return changes;
}

TEST(MstDiff, TellsWhatWasCreatedUpdatedAndDeletedInOrder) {
  Mst before;
  for (const auto key : {kA0, kB1, kE0, kG0}) put(before, key, leaf());
  Mst after;
  for (const auto key : {kA0, kC0, kD2, kG0}) put(after, key, leaf());
  put(after, kG0, record_cid(5));
  using Changes = std::vector<std::string>;
  EXPECT_EQ(diff(before, after),
            (Changes{"-B1/986427", "+C0/451630", "+D2/269196", "-E0/670489", "~G0/765327"}));
  EXPECT_EQ(diff(after, before),
            (Changes{"+B1/986427", "-C0/451630", "-D2/269196", "+E0/670489", "~G0/765327"}));
  EXPECT_EQ(diff(after, after), Changes{});
  Mst empty;
  EXPECT_EQ(diff(empty, before), (Changes{"+A0/374913", "+B1/986427", "+E0/670489", "+G0/765327"}));
}

TEST(MstDiff, EqualSubtreesNeedNotBeHeldAndOthersMust) {
  Partial before = partial_tree();
  Partial after = partial_tree();
  ASSERT_TRUE(after.mst.erase(kA0));
  EXPECT_EQ(diff(before.mst, after.mst), (std::vector<std::string>{"-A0/374913"}));
  Mst other;
  for (const auto key : {kA0, kB1, kC0, kF1, kG0}) put(other, key, leaf());
  EXPECT_EQ(diff(before.mst, other),
            (std::vector<std::string>{"not found: MST node " + before.middle + " is not here"}));
}

TEST(MstDiff, RandomTreesDifferAsTheirModelsDo) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 30; ++round) {
    MstModel model = some_keys(300, random());
    Mst before;
    for (const auto& [key, value] : model) put(before, key, value);
    Mst after;
    std::vector<std::string> expected;
    for (const auto& [key, value] : model) {
      const auto what = random() % 20;
      if (what == 0) {
        expected.push_back("-" + key);
      } else if (what == 1) {
        expected.push_back("~" + key);
        put(after, key, record_cid(random()));
      } else {
        put(after, key, value);
      }
    }
    EXPECT_EQ(diff(before, after), expected);
  }
}

}  // namespace
}  // namespace standpipe
