// Real repositories and the interop vectors of commit proofs.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "schema/car_blocks.h"
#include "schema/mst.h"
#include "schema/mst_inversion.h"
#include "schema/repo_commit.h"
#include "tests/support/mst_trees.h"
#include "tests/support/shared_data.h"

namespace standpipe {
namespace {

using test::contents;
using test::MstModel;
using test::root_text;

struct RepoFile {
  const char* path;
  std::size_t keys;
  std::optional<std::size_t> nodes;  // where the file holds no blocks of earlier commits
};

std::ostream& operator<<(std::ostream& out, const RepoFile& file) { return out << file.path; }

class RealRepos : public ::testing::TestWithParam<RepoFile> {};

std::string root_of(const std::vector<std::pair<std::string, Bytes>>& records) {
  Mst mst;
  for (const auto& [key, value] : records) EXPECT_TRUE(mst.put(key, value));
  return root_text(mst);
}

TEST_P(RealRepos, RecordsInsertedAnewGiveTheRootThatWasSigned) {
  STANDPIPE_REQUIRE_SHARED();
  const Bytes car = test::read_file(test::shared_dir() / "data" / GetParam().path);
  const CarBlocks blocks = CarBlocks::read(car, {.checks_hashes = true}).value();
  const RepoCommit commit = parse_repo_commit(*blocks.find(blocks.roots().at(0))).value();
  const std::string root = cid_to_string(commit.data);
  Mst mst = Mst::load(blocks, *blessed_digest(commit.data)).value();
  EXPECT_EQ(mst.counts().keys, GetParam().keys);
  if (GetParam().nodes) {
    EXPECT_EQ(mst.counts().nodes, *GetParam().nodes);
  }
  EXPECT_EQ(mst.counts().unknown, 0U);
  EXPECT_EQ(root_text(mst), root);

  const MstModel model = contents(mst);
  std::vector<std::pair<std::string, Bytes>> records(model.begin(), model.end());
  EXPECT_EQ(root_of(records), root);
  std::reverse(records.begin(), records.end());
  EXPECT_EQ(root_of(records), root);
  std::shuffle(records.begin(), records.end(), std::mt19937_64(1));
  EXPECT_EQ(root_of(records), root);

  // And taking everything out again leaves nothing.
  for (const auto& [key, value] : records) ASSERT_TRUE(mst.erase(key).value().has_value());
  EXPECT_EQ(root_text(mst), "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm");
}

INSTANTIATE_TEST_SUITE_P(
    SharedData, RealRepos,
    ::testing::Values(
        RepoFile{"atproto-dart/repo.car.zst", 2836, 786},
        RepoFile{"bski/bsky-app.car.zst", 627, 140}, RepoFile{"jetstream-corpus/repo.car", 23, 5},
        RepoFile{"repo-stream/empty.car.zst", 0, 0},
        RepoFile{"repo-stream/little.car.zst", 278, 96}, RepoFile{"repo-stream/tiny.car.zst", 8, 3},
        RepoFile{"shrike/calabro.car.zst", 4347, 1169},
        RepoFile{"small-cars/arroba-snarfed2.car", 5, 2},
        RepoFile{"small-cars/php-car-repo.car.zst", 83, 33},
        RepoFile{"indigo/car/fakermaker.repo.car.zst", 142, std::nullopt},
        RepoFile{"indigo/car/paul_staging.repo.car.zst", 185, std::nullopt},
        RepoFile{"indigo/car/greenground.repo.car.zst", 2, 1},
        RepoFile{"indigo/car/"
                 "bafyreieovfuizojpw3zresz7sx3nk4trm2by23pt5rxbey3jme4uo5ogiu.car.zst",
                 6, std::nullopt}));

// "collection/rkey TAB CID", written by other software.
TEST(RealRepo, HoldsTheRecordsThatOthersList) {
  STANDPIPE_REQUIRE_SHARED();
  const auto folder = test::shared_dir() / "data/jetstream-corpus";
  const Bytes car = test::read_file(folder / "repo.car");
  Mst mst =
      test::load_tree(car, "bafyreidigqr65jj2zsmitco3fcuag6pi7std6quxa2bcp2xrpin44ikzsy").value();
  std::vector<std::string> listed = test::read_vector_lines(folder / "car_expected_records.tsv");
  std::vector<std::string> held;
  for (const auto& [key, value] : contents(mst)) held.push_back(key + "\t" + cid_to_string(value));
  std::sort(listed.begin(), listed.end());
  std::sort(held.begin(), held.end());
  EXPECT_EQ(held, listed);
}

// A getRecord proof: two nodes of the tree are not in it.
TEST(RealRepo, AProofOfOneRecordIsAPartialTree) {
  STANDPIPE_REQUIRE_SHARED();
  const Bytes car = test::read_file(test::shared_dir() / "data/small-cars/skyfall-attie-proof.car");
  const CarBlocks blocks = CarBlocks::read(car, {.checks_hashes = true}).value();
  const RepoCommit commit = parse_repo_commit(*blocks.find(blocks.roots().at(0))).value();
  Mst mst = Mst::load(blocks, *blessed_digest(commit.data)).value();
  EXPECT_GT(mst.counts().unknown, 0U);
  EXPECT_EQ(root_text(mst), cid_to_string(commit.data));
  std::size_t with_block = 0;
  ASSERT_TRUE(mst.walk(
      [&](std::string_view, ByteView value) {
        if (blocks.find(value)) ++with_block;
        return true;
      },
      MstUnknown::skip));
  EXPECT_EQ(with_block, 1U);
}

// ---- firehose/commit-proof-fixtures.json ----

using Vectors = nlohmann::json;

Vectors read_vectors() {
  const auto path = test::shared_dir() / "fixtures/interop/firehose/commit-proof-fixtures.json";
  return Vectors::parse(test::read_text_file(path));
}

std::vector<std::string> strings(const Vectors& list) {
  return list.get<std::vector<std::string>>();
}

Mst tree_before(const Vectors& vector, ByteView leaf) {
  Mst mst;
  for (const std::string& key : strings(vector["keys"])) EXPECT_TRUE(mst.put(key, leaf));
  return mst;
}

TEST(CommitProofInterop, RootsAndTheBlocksOfTheProofAreThoseOfTheVectors) {
  STANDPIPE_REQUIRE_SHARED();
  const Vectors vectors = read_vectors();
  ASSERT_EQ(vectors.size(), 6U);
  for (const Vectors& vector : vectors) {
    SCOPED_TRACE(vector["comment"].get<std::string>());
    const Cid leaf = Cid::parse(vector["leafValue"].get<std::string>()).value();
    Mst mst = tree_before(vector, leaf.bytes());
    EXPECT_EQ(root_text(mst), vector["rootBeforeCommit"].get<std::string>());
    const std::vector<std::string> adds = strings(vector["adds"]);
    const std::vector<std::string> dels = strings(vector["dels"]);
    for (const std::string& key : adds) ASSERT_TRUE(mst.put(key, leaf.bytes()));
    for (const std::string& key : dels) ASSERT_TRUE(mst.erase(key).value().has_value());
    EXPECT_EQ(root_text(mst), vector["rootAfterCommit"].get<std::string>());

    std::vector<std::string_view> keys(adds.begin(), adds.end());
    keys.insert(keys.end(), dels.begin(), dels.end());
    std::set<std::string> proof;
    ASSERT_TRUE(mst.visit_proof(keys, [&](const Sha256Digest& digest, ByteView) {
      proof.insert(cid_to_string(blessed_cid(digest)));
    }));
    const std::vector<std::string> expected = strings(vector["blocksInProof"]);
    EXPECT_EQ(proof, std::set<std::string>(expected.begin(), expected.end()));
  }
}

TEST(CommitProofInterop, TheBlocksOfTheProofAreEnoughToInvertAndALackingOneIsNamed) {
  STANDPIPE_REQUIRE_SHARED();
  std::size_t needed = 0;
  for (const Vectors& vector : read_vectors()) {
    SCOPED_TRACE(vector["comment"].get<std::string>());
    const Cid leaf = Cid::parse(vector["leafValue"].get<std::string>()).value();
    Mst mst = tree_before(vector, leaf.bytes());
    std::vector<MstOp> ops;
    const std::vector<std::string> adds = strings(vector["adds"]);
    const std::vector<std::string> dels = strings(vector["dels"]);
    for (const std::string& key : adds) {
      ASSERT_TRUE(mst.put(key, leaf.bytes()));
      ops.push_back({MstAction::create, key, leaf.bytes(), {}});
    }
    for (const std::string& key : dels) {
      ASSERT_TRUE(mst.erase(key));
      ops.push_back({MstAction::erase, key, {}, leaf.bytes()});
    }
    const std::vector<std::string> proof = strings(vector["blocksInProof"]);
    const std::set<std::string> in_proof(proof.begin(), proof.end());
    std::vector<std::string> left_out;
    mst.visit_nodes([&](const Sha256Digest& digest, ByteView) {
      const std::string cid = cid_to_string(blessed_cid(digest));
      if (in_proof.count(cid) == 0) left_out.push_back(cid);
    });
    const std::string root = vector["rootAfterCommit"].get<std::string>();
    Mst partial = test::load_tree(test::to_car(mst, left_out), root).value();
    const auto finding = invert_ops(partial, ops);
    EXPECT_FALSE(finding) << finding->detail;
    EXPECT_EQ(root_text(partial), vector["rootBeforeCommit"].get<std::string>());

    // Without one of them, the inversion says which, or does not need it.
    for (const std::string& cid : proof) {
      if (cid == root) continue;
      std::vector<std::string> without = left_out;
      without.push_back(cid);
      Mst less = test::load_tree(test::to_car(mst, without), root).value();
      const auto why = invert_ops(less, ops);
      if (!why) {
        EXPECT_EQ(root_text(less), vector["rootBeforeCommit"].get<std::string>());
        continue;
      }
      ++needed;
      EXPECT_EQ(why->fault, InversionFault::node_missing);
      EXPECT_EQ(why->detail, "MST node " + cid + " is not here");
    }
  }
  EXPECT_GT(needed, 0U);
}

}  // namespace
}  // namespace standpipe
