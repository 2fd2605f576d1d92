#include "schema/commit_proof.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "schema/cbor_writer.h"
#include "tests/support/hex.h"
#include "tests/support/mst_trees.h"
#include "tests/support/worked_frames.h"

namespace standpipe {
namespace {

using test::hex;
using test::record_cid;
using Faults = std::vector<std::string>;

constexpr std::string_view kDidKey = "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme";
constexpr std::string_view kOtherDidKey =
    "did:key:zQ3shtxV1FrJfhqE1dvxYRcCknWNjHc3c5X1y3ZSoPDi2aur2";

// "record_missing 0", where 0 is the operation.
Faults name(const CommitFindings& findings) {
  Faults names;
  for (const CommitFinding& finding : findings) {
    EXPECT_FALSE(finding.detail.empty()) << to_string(finding.fault);
    std::string text(to_string(finding.fault));
    if (finding.op) text += " " + std::to_string(*finding.op);
    names.push_back(std::move(text));
  }
  return names;
}

class WorkedCommit : public ::testing::Test {
 protected:
  Faults check() const { return name(CommitProof(commit_).check_all()); }
  Faults check_signature(std::string_view did_key) const {
    CommitFindings findings;
    const PublicKey key = PublicKey::parse_did_key(did_key).value();
    CommitProof(commit_).check_signature(key, findings);
    return name(findings);
  }

  Bytes frame_ = hex(test::kWorkedCommit);
  Event event_ = decode_event(frame_).value();
  Commit commit_ = std::get<Commit>(event_);
  Bytes blocks_ = to_bytes(commit_.blocks);  // for tests that change them
};

TEST_F(WorkedCommit, IsWithoutFault) {
  EXPECT_EQ(check(), Faults{});
  EXPECT_EQ(check_signature(kDidKey), Faults{});
  CommitProof proof(commit_);
  ASSERT_TRUE(proof.repo_commit());
  EXPECT_EQ(proof.repo_commit()->rev, "3l3qo2vuoiw2z");
  EXPECT_EQ(proof.blocks().blocks().size(), 3U);
}

TEST_F(WorkedCommit, ChecksMayBeAskedForAloneAndAgain) {
  CommitProof proof(commit_);
  CommitFindings findings;
  proof.check_inversion(findings);
  proof.check_inversion(findings);
  proof.check_ops(findings);
  proof.check_inversion(findings);
  proof.check_commit(findings);
  proof.check_blocks(findings);
  EXPECT_EQ(name(findings), Faults{});
}

TEST_F(WorkedCommit, IsSignedByOneKeyAlone) {
  EXPECT_EQ(check_signature(kOtherDidKey), Faults{"signature_wrong"});
}

TEST_F(WorkedCommit, BlocksMustBeACarWhoseRootIsTheCommit) {
  commit_.blocks = {};
  EXPECT_EQ(check(), Faults{"blocks_absent"});
  commit_.blocks = ByteView(blocks_).first(100);
  EXPECT_EQ(check(), Faults{"blocks_unreadable"});
  commit_.blocks = ByteView(blocks_).first(59);  // the header
  EXPECT_EQ(check(), Faults{"commit_missing"});

  const Cid other = Cid::from_bytes(record_cid(1)).value();
  const CarBlocks car = CarBlocks::read(blocks_).value();
  Bytes without_root;
  CarWriter writer(without_root, {});
  for (const CarBlock& block : car.blocks()) writer.write_block(block.cid, block.bytes);
  commit_.blocks = without_root;
  EXPECT_EQ(check(), Faults{"root_differs"});

  commit_.blocks = blocks_;
  commit_.commit = other;
  EXPECT_EQ(check(), (Faults{"root_differs", "commit_missing"}));
}

TEST_F(WorkedCommit, EveryBlockMustHaveTheHashAndTheKindOfItsName) {
  blocks_.back() ^= std::byte{1};  // of the record
  commit_.blocks = blocks_;
  EXPECT_EQ(check(), Faults{"block_hash_wrong"});
  blocks_.back() ^= std::byte{1};

  // The codec of the record's CID: it is not to be found under its own name any more.
  blocks_[blocks_.size() - 37 - 35] = std::byte{0x55};
  EXPECT_EQ(check(), (Faults{"block_cid_unusual", "record_missing 0"}));
}

TEST_F(WorkedCommit, TheEnvelopeMustAgreeWithTheCommitObject) {
  commit_.repo = "did:plc:standpipe2222222222abcdf";
  EXPECT_EQ(check(), Faults{"did_differs"});
  commit_.repo = "did:plc:";
  EXPECT_EQ(check(), (Faults{"did_invalid", "did_differs"}));
  commit_.repo = test::kWorkedDid;
  commit_.rev = "3l3qo2vuoiw22";
  EXPECT_EQ(check(), Faults{"rev_differs"});
  commit_.rev = "3l3qo2vuoiw2";
  EXPECT_EQ(check(), (Faults{"rev_invalid", "rev_differs"}));
  commit_.rev = std::nullopt;  // before August 2023
  EXPECT_EQ(check(), Faults{});
}

TEST_F(WorkedCommit, OperationsMustHaveTheirPartsAndSayWhatTheTreeSays) {
  RepoOp& op = commit_.ops.at(0);
  const RepoOp good = op;
  const Cid other = Cid::from_bytes(record_cid(1)).value();

  op.cid = other;
  EXPECT_EQ(check(), (Faults{"record_missing 0", "op_differs 0", "op_differs 0"}));
  op = good;
  op.path = "com.example.record/3jqfcqzm3fo2k";
  EXPECT_EQ(check(), (Faults{"op_differs 0", "op_differs 0"}));
  op.path = "com.example.record";
  EXPECT_EQ(check(), (Faults{"op_invalid 0", "op_differs 0", "not_invertible"}));
  op = good;
  op.action = "upsert";
  EXPECT_EQ(check(), (Faults{"op_invalid 0", "op_prev_absent 0", "not_invertible"}));
  op.action = "delete";
  op.prev = other;
  EXPECT_EQ(check(), (Faults{"op_invalid 0", "not_invertible"}));
  op.cid = std::nullopt;
  EXPECT_EQ(check(), (Faults{"op_differs 0", "op_differs 0"}));
  op.has_cid_field = false;
  EXPECT_EQ(check(), (Faults{"op_invalid 0", "op_differs 0", "not_invertible"}));
  op = good;
  op.prev = other;
  EXPECT_EQ(check(), (Faults{"op_invalid 0", "not_invertible"}));
  op = good;
  op.cid = std::nullopt;
  EXPECT_EQ(check(), (Faults{"op_invalid 0", "op_differs 0", "not_invertible"}));
  op = good;
  op.action = "update";
  EXPECT_EQ(check(), (Faults{"op_prev_absent 0", "not_invertible"}));
  op.prev = op.cid;
  EXPECT_EQ(check(), (Faults{"op_invalid 0", "not_invertible"}));
  op.prev = other;
  EXPECT_EQ(check(), Faults{"prev_data_differs"});
  op = good;
  commit_.ops.push_back(good);
  EXPECT_EQ(check(), (Faults{"op_repeated 0", "op_repeated 1", "not_invertible 0"}));
}

TEST_F(WorkedCommit, MustComeFromPrevData) {
  const Cid other = Cid::from_bytes(record_cid(1)).value();
  commit_.prev_data = other;
  EXPECT_EQ(check(), Faults{"prev_data_differs"});
  commit_.prev_data = std::nullopt;
  EXPECT_EQ(check(), Faults{});  // the first of its repository: it comes from the empty tree
  commit_.since.value = "3l3qo2vuoiw22";
  EXPECT_EQ(check(), Faults{"prev_data_absent"});
  commit_.since = {};
  EXPECT_EQ(check(), Faults{"prev_data_absent"});
  commit_.since = {true, std::nullopt};
  commit_.ops.clear();
  EXPECT_EQ(check(), Faults{"prev_data_differs"});
}

TEST_F(WorkedCommit, WithoutItsNodesIsIncomplete) {
  const CarBlocks car = CarBlocks::read(blocks_).value();
  Bytes less;
  CarWriter writer(less, car.roots());
  writer.write_block(car.blocks()[0].cid, car.blocks()[0].bytes);
  writer.write_block(car.blocks()[2].cid, car.blocks()[2].bytes);
  commit_.blocks = less;
  EXPECT_EQ(check(), (Faults{"tree_incomplete 0", "tree_incomplete 0"}));
  // An empty commit needs no node: the tree is what it was.
  commit_.ops.clear();
  commit_.prev_data = Cid::from_bytes(car.blocks()[1].cid).value();
  EXPECT_EQ(check(), Faults{});
}

TEST_F(WorkedCommit, HasLimits) {
  std::vector<std::string> paths;
  for (int i = 0; i < 201; ++i) paths.push_back("a.b.c/" + std::to_string(i));
  commit_.ops.assign(201, commit_.ops[0]);
  for (std::size_t i = 0; i < 201; ++i) commit_.ops[i].path = paths[i];
  EXPECT_EQ(check(), Faults{"too_many_ops"});
  CommitFindings findings;
  CommitProof(commit_).check_inversion(findings);
  EXPECT_EQ(name(findings), Faults{"not_invertible"});
  commit_.ops.pop_back();
  EXPECT_EQ(check().front(), "op_differs 0");

  const CarBlocks car = CarBlocks::read(blocks_).value();
  Bytes large;
  CarWriter writer(large, car.roots());
  for (const CarBlock& block : car.blocks()) writer.write_block(block.cid, block.bytes);
  const Bytes padding(2'000'000 - large.size() - 36 - 3 + 1);
  writer.write_block(Cid::of_dag_cbor(padding), padding);
  ASSERT_EQ(large.size(), 2'000'001U);
  commit_.ops.resize(1);
  commit_.ops[0].path = "com.example.record/3jqfcqzm3fo2j";
  commit_.blocks = large;
  EXPECT_EQ(check(), Faults{"blocks_too_large"});
}

TEST_F(WorkedCommit, WithoutEndOfFaultsHasSomeOfThemListed) {
  const CarBlocks car = CarBlocks::read(blocks_).value();
  Bytes many;
  CarWriter writer(many, car.roots());
  for (const CarBlock& block : car.blocks()) writer.write_block(block.cid, block.bytes);
  for (int i = 0; i < 1000; ++i) writer.write_block(hex("01550000"), {});
  commit_.blocks = many;
  EXPECT_EQ(check(), Faults(256, "block_cid_unusual"));
}

// The commit object is what it is, but a CAR can name any block as the commit.
TEST_F(WorkedCommit, ABlockThatIsNoCommitObjectIsNone) {
  const CarBlocks car = CarBlocks::read(blocks_).value();
  const Cid record = Cid::from_bytes(car.blocks()[2].cid).value();
  Bytes renamed;
  CarWriter writer(renamed, {record.bytes()});
  for (const CarBlock& block : car.blocks()) writer.write_block(block.cid, block.bytes);
  commit_.blocks = renamed;
  commit_.commit = record;
  EXPECT_EQ(check(), Faults{"commit_unreadable"});
}

// A commit whose tree is `node`, of which nothing but the shape is wrong.
TEST(CommitProof, ATreeOfAnotherShapeIsToldOnce) {
  const PrivateKey key = PrivateKey::from_bytes(Curve::k256, Bytes(32, std::byte{1})).value();
  Bytes node;
  MstNodeWriter node_writer(node, 2);
  node_writer.write_entry("A0/374913", record_cid(1), nullptr);
  node_writer.write_entry("B1/986427", record_cid(2), nullptr);  // of the layer above
  node_writer.finish(nullptr);
  const Cid data = Cid::of_dag_cbor(node);
  const Bytes block =
      sign_repo_commit({test::kWorkedDid, "3l3qo2vuoiw2z", data.bytes(), std::nullopt}, key);
  const Cid root = Cid::of_dag_cbor(block);
  Bytes car;
  CarWriter writer(car, {root.bytes()});
  writer.write_block(root, block);
  writer.write_block(data, node);
  const Commit commit{Seq{1},
                      test::kWorkedDid,
                      test::kWorkedTime,
                      root,
                      "3l3qo2vuoiw2z",
                      {true, std::nullopt},
                      data,
                      {},
                      {},
                      {},
                      car};
  EXPECT_EQ(name(CommitProof(commit).check_all()), Faults{"tree_invalid"});
}

TEST(SyncProof, IsACommitObjectAndItsSignature) {
  const Bytes frame = hex(test::kWorkedSync);
  const Event event = decode_event(frame).value();
  Sync sync = std::get<Sync>(event);
  CommitProof proof(sync);
  EXPECT_EQ(name(proof.check_all()), Faults{});
  CommitFindings findings;
  proof.check_signature(PublicKey::parse_did_key(kDidKey).value(), findings);
  EXPECT_EQ(name(findings), Faults{});
  sync.rev = "3l3qo2vuoiw22";
  EXPECT_EQ(name(CommitProof(sync).check_all()), Faults{"rev_differs"});
}

TEST(CommitFault, EachHasItsName) {
  EXPECT_EQ(to_string(CommitFault::blocks_absent), "blocks_absent");
  EXPECT_EQ(to_string(CommitFault::rev_invalid), "rev_invalid");
  EXPECT_EQ(to_string(CommitFault::op_differs), "op_differs");
  EXPECT_EQ(to_string(CommitFault::prev_data_differs), "prev_data_differs");
}

}  // namespace
}  // namespace standpipe
