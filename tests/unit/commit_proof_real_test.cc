// The checks of commits on real ones: nothing to find, until a byte is changed.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "schema/cbor_scan.h"
#include "schema/commit_proof.h"
#include "schema/event.h"
#include "schema/mst_inversion.h"
#include "tests/support/real_commits.h"
#include "tests/support/scale.h"
#include "tests/support/shared_data.h"

namespace standpipe {
namespace {

std::string describe(const CommitFindings& findings) {
  std::string text;
  for (const CommitFinding& finding : findings) {
    text += std::string(to_string(finding.fault)) + ": " + finding.detail + "\n";
  }
  return text;
}

TEST(RealCommits, AllInvertToTheirPrevDataAndHaveNoFault) {
  STANDPIPE_REQUIRE_SHARED();
  const std::vector<Bytes> frames = test::read_real_commits();
  ASSERT_EQ(frames.size(), 180U);
  for (const Bytes& frame : frames) {
    const Event event = decode_event(frame).value();
    const Commit& commit = std::get<Commit>(event);
    ASSERT_TRUE(commit.prev_data.has_value());
    CommitProof proof(commit);
    EXPECT_EQ(describe(proof.check_all()), "") << commit.repo;
  }
}

TEST(RealCommits, AllThatHaveAKnownKeyAreSignedByIt) {
  STANDPIPE_REQUIRE_SHARED();
  const std::map<std::string, PublicKey> keys = test::read_signing_keys();
  const std::vector<Bytes> frames = test::read_signed_commits();
  ASSERT_EQ(frames.size(), 148U);
  std::size_t verified = 0;
  for (const Bytes& frame : frames) {
    const Event event = decode_event(frame).value();
    const Commit& commit = std::get<Commit>(event);
    CommitFindings findings;
    CommitProof(commit).check_signature(keys.at(std::string(commit.repo)), findings);
    EXPECT_EQ(describe(findings), "") << commit.repo;
    if (findings.empty()) ++verified;
  }
  EXPECT_EQ(verified, 148U);
}

// The nodes that the PDS put in are those that the proof asks for.
TEST(RealCommits, CarryTheNodesOfTheProof) {
  STANDPIPE_REQUIRE_SHARED();
  std::size_t as_expected = 0;
  for (const Bytes& frame : test::read_real_commits()) {
    const Event event = decode_event(frame).value();
    const Commit& commit = std::get<Commit>(event);
    const CommitProof proof(commit);
    Mst mst = Mst::load(proof.blocks(), *blessed_digest(proof.repo_commit()->data)).value();
    std::set<std::string> carried;
    mst.visit_nodes([&](const Sha256Digest& digest, ByteView block) {
      carried.insert(to_hex(digest));
      EXPECT_TRUE(equal(*proof.blocks().find(blessed_cid(digest)), block));
    });
    std::vector<std::string_view> keys;
    for (const RepoOp& op : commit.ops) keys.push_back(op.path);
    std::set<std::string> asked_for;
    ASSERT_TRUE(mst.visit_proof(
        keys, [&](const Sha256Digest& digest, ByteView) { asked_for.insert(to_hex(digest)); }));
    EXPECT_TRUE(std::includes(carried.begin(), carried.end(), asked_for.begin(), asked_for.end()));
    if (carried == asked_for) ++as_expected;
  }
  EXPECT_EQ(as_expected, 180U);
}

// ---- a changed byte ----

// Where the value of `key` stands in the payload of a frame; ends the process if it does not.
ByteView find_value(ByteView frame, std::string_view wanted) {
  CborScanner scanner(frame);
  STANDPIPE_ASSERT(scanner.skip_item(0), "no header");
  ScanHead map;
  STANDPIPE_ASSERT(scanner.read_head(map), "no payload");
  ByteView value;
  scanner.read_pairs(map, 0, [&](std::string_view key) {
    const std::size_t begin = scanner.position();
    if (!scanner.skip_item(1)) return false;
    if (key == wanted) value = frame.subspan(begin, scanner.position() - begin);
    return true;
  });
  STANDPIPE_ASSERT(!value.empty(), "no such key");
  return value;
}

// Whether decoding or a check says that something is wrong.
bool is_found(ByteView frame, const PublicKey& key) {
  const auto event = decode_event(frame);
  if (!event) return true;
  const Commit* commit = std::get_if<Commit>(&*event);
  if (commit == nullptr) return true;
  CommitProof proof(*commit);
  CommitFindings findings = proof.check_all();
  proof.check_signature(key, findings);
  return !findings.empty();
}

struct Sample {
  Bytes frame;
  const PublicKey* key;
};

// Sampled positions of `field`, each with one bit flipped and with a random other byte.
void flip_sampled(const char* field, std::size_t rounds, std::uint64_t seed) {
  const std::map<std::string, PublicKey> keys = test::read_signing_keys();
  std::vector<Sample> samples;
  for (Bytes& frame : test::read_signed_commits()) {
    const Event event = decode_event(frame).value();
    const PublicKey& key = keys.at(std::string(std::get<Commit>(event).repo));
    samples.push_back({std::move(frame), &key});
  }
  std::mt19937_64 random(seed);
  for (std::size_t round = 0; round < rounds; ++round) {
    Sample& sample = samples[round % samples.size()];
    const ByteView value = find_value(sample.frame, field);
    const std::size_t at =
        static_cast<std::size_t>(value.data() - sample.frame.data()) + random() % value.size();
    const std::byte kept = sample.frame[at];
    const auto change = round % 2 == 0 ? 1U << (random() % 8) : 1U + random() % 255;
    sample.frame[at] ^= static_cast<std::byte>(change);
    ASSERT_TRUE(is_found(sample.frame, *sample.key))
        << field << ", round " << round << ", byte " << at << " of the frame, xor " << change;
    sample.frame[at] = kept;
  }
}

TEST(ChangedByte, InTheBlocksIsFound) {
  STANDPIPE_REQUIRE_SHARED();
  flip_sampled("blocks", test::scaled(6000), 11);
}

TEST(ChangedByte, InTheOperationsIsFound) {
  STANDPIPE_REQUIRE_SHARED();
  flip_sampled("ops", test::scaled(6000), 12);
}

TEST(ChangedByte, InPrevDataIsFound) {
  STANDPIPE_REQUIRE_SHARED();
  flip_sampled("prevData", test::scaled(1000), 13);
}

TEST(ChangedByte, InTheCommitCidIsFound) {
  STANDPIPE_REQUIRE_SHARED();
  flip_sampled("commit", test::scaled(1000), 14);
}

// A forger renames the commit object after the change, so that its hash is right again: the
// signature alone is left to tell.
TEST(ChangedByte, InACommitObjectThatIsRenamedIsFoundByTheSignature) {
  STANDPIPE_REQUIRE_SHARED();
  const std::map<std::string, PublicKey> keys = test::read_signing_keys();
  std::mt19937_64 random(15);
  std::size_t signature_alone = 0;
  std::size_t rounds = 0;
  for (const Bytes& frame : test::read_signed_commits()) {
    const Event event = decode_event(frame).value();
    Commit commit = std::get<Commit>(event);
    const CarBlocks blocks = CarBlocks::read(commit.blocks).value();
    Bytes object = to_bytes(*blocks.find(commit.commit.bytes()));
    object[random() % object.size()] ^= static_cast<std::byte>(1U << (random() % 8));
    const Cid renamed = Cid::of_dag_cbor(object);
    Bytes car;
    CarWriter writer(car, {renamed.bytes()});
    writer.write_block(renamed, object);
    for (const CarBlock& block : blocks.blocks()) {
      if (!equal(block.cid, commit.commit.bytes())) writer.write_block(block.cid, block.bytes);
    }
    commit.commit = renamed;
    commit.blocks = car;
    CommitProof proof(commit);
    const CommitFindings others = proof.check_all();
    CommitFindings findings = others;
    proof.check_signature(keys.at(std::string(commit.repo)), findings);
    EXPECT_FALSE(findings.empty());
    if (proof.repo_commit()) {
      EXPECT_GT(findings.size(), others.size()) << "the signature does not see it";
      if (others.empty()) ++signature_alone;
    }
    ++rounds;
  }
  EXPECT_EQ(rounds, 148U);
  EXPECT_GT(signature_alone, 30U);  // a third of a commit object is its signature
}

}  // namespace
}  // namespace standpipe
