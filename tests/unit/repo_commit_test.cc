#include "schema/repo_commit.h"

#include <gtest/gtest.h>

#include <string>

#include "schema/car.h"
#include "schema/cbor_writer.h"
#include "schema/mst.h"
#include "tests/support/hex.h"
#include "tests/support/shared_data.h"
#include "tests/support/worked_frames.h"

namespace standpipe {
namespace {

using test::hex;

// Protocol reference, appendix A.
constexpr std::string_view kSecret =
    "9085d2bef69286a6cbb51623c8fa258629945cd55ca705cc4e66700396894e0c";
constexpr std::string_view kRev = "3l3qo2vuoiw2z";
constexpr std::string_view kPath = "com.example.record/3jqfcqzm3fo2j";
constexpr std::string_view kRecord = "a2 64'text' 65'hello' 65'$type' 72'com.example.record'";
constexpr std::string_view kNode =
    "a2616581a4616b5820636f6d2e6578616d706c652e7265636f72642f336a716663717a6d33666f326a"
    "6170006174f66176d82a582500017112208a102f4f6288893fecaae2fa31c34a9c06ec7676a48d233cec46b7cd455c"
    "8de7616cf6";
constexpr std::string_view kUnsigned =
    "a56364696478206469643a706c633a7374616e6470697065323232323232323232326162636465"
    "637265766d336c33716f3276756f6977327a6464617461d82a582500017112201cfa2b22cebbe787cacc0e9df32f87"
    "f368e2c10f0b39c5ef7f21f2dbb33d10eb6470726576f66776657273696f6e03";

// The repository of the worked example, made anew.
struct Worked {
  Worked() {
    const Cid record_cid = Cid::of_dag_cbor(record);
    EXPECT_TRUE(tree.put(kPath, record_cid.bytes()));
    root = blessed_cid(tree.root());
    fields = {test::kWorkedDid, kRev, root, std::nullopt};
    block = sign_repo_commit(fields, key);
  }

  Bytes car(bool is_whole) {
    const Cid commit = Cid::of_dag_cbor(block);
    Bytes out;
    CarWriter writer(out, {commit.bytes()});
    writer.write_block(commit, block);
    if (!is_whole) return out;
    const std::vector<std::string_view> keys{kPath};
    const auto visited = tree.visit_proof(keys, [&](const Sha256Digest& digest, ByteView node) {
      writer.write_block(blessed_cid(digest), node);
    });
    EXPECT_TRUE(visited);
    writer.write_block(Cid::of_dag_cbor(record), record);
    return out;
  }

  PrivateKey key = PrivateKey::from_bytes(Curve::k256, hex(kSecret)).value();
  Bytes record = hex(kRecord);
  Mst tree;
  BlessedCid root{};
  RepoCommitFields fields;
  Bytes block;
};

TEST(WorkedExample, EveryBlockIsMadeByteForByte) {
  Worked worked;
  EXPECT_EQ(Cid::of_dag_cbor(worked.record).to_string(),
            "bafyreiekcaxu6yuire76zkxc7iy4gsu4a3whm5verurtz3cgw7gukxen44");
  std::string nodes;
  worked.tree.visit_nodes([&](const Sha256Digest&, ByteView node) { nodes += to_hex(node); });
  EXPECT_EQ(nodes, kNode);
  EXPECT_EQ(cid_to_string(worked.root),
            "bafyreia47ivsftv346d4vtaotxzs7b7tndrmcdylhhc667zb6ln3gpiq5m");
  EXPECT_EQ(to_hex(encode_unsigned_repo_commit(worked.fields)), kUnsigned);
  EXPECT_EQ(worked.block.size(), 188U);
  EXPECT_EQ(Cid::of_dag_cbor(worked.block).to_string(),
            "bafyreid5gj7j524egdcwuh4e7wdzclmzniqt4rq2xnroli7v5edc3octim");
}

void write_header(Bytes& out, std::string_view type) {
  CborWriter writer(out);
  CborMapWriter map(writer, 2);
  map.write_key("t");
  writer.write_text(type);
  map.write_key("op");
  writer.write_integer(1);
}

TEST(WorkedExample, TheCommitFrameIsMadeByteForByte) {
  Worked worked;
  const Cid record_cid = Cid::of_dag_cbor(worked.record);
  const BlessedCid empty_root = blessed_cid(Mst().root());
  Bytes out;
  write_header(out, "#commit");
  CborWriter writer(out);
  {
    CborMapWriter map(writer, 12);
    map.write_key("ops");
    writer.write_array(1);
    {
      CborMapWriter op(writer, 3);
      op.write_key("cid");
      writer.write_link(record_cid.bytes());
      op.write_key("path");
      writer.write_text(kPath);
      op.write_key("action");
      writer.write_text("create");
    }
    map.write_key("rev");
    writer.write_text(kRev);
    map.write_key("seq");
    writer.write_integer(1);
    map.write_key("repo");
    writer.write_text(test::kWorkedDid);
    map.write_key("time");
    writer.write_text(test::kWorkedTime);
    map.write_key("blobs");
    writer.write_array(0);
    map.write_key("since");
    writer.write_null();
    map.write_key("blocks");
    writer.write_bytes(worked.car(true));
    map.write_key("commit");
    writer.write_link(Cid::of_dag_cbor(worked.block).bytes());
    map.write_key("rebase");
    writer.write_boolean(false);
    map.write_key("tooBig");
    writer.write_boolean(false);
    map.write_key("prevData");
    writer.write_link(empty_root);
  }
  EXPECT_EQ(to_hex(out), test::kWorkedCommit);
  EXPECT_EQ(to_hex(sha256(out)),
            "fa83b41d36e29597738d142dcac007bdf6158c815b77441949864342d9e7ee4c");
}

TEST(WorkedExample, TheSyncFrameIsMadeByteForByte) {
  Worked worked;
  Bytes out;
  write_header(out, "#sync");
  CborWriter writer(out);
  {
    CborMapWriter map(writer, 5);
    map.write_key("did");
    writer.write_text(test::kWorkedDid);
    map.write_key("rev");
    writer.write_text(kRev);
    map.write_key("seq");
    writer.write_integer(4);
    map.write_key("time");
    writer.write_text(test::kWorkedTime);
    map.write_key("blocks");
    writer.write_bytes(worked.car(false));
  }
  EXPECT_EQ(to_hex(out), test::kWorkedSync);
}

TEST(RepoCommit, ReadsAndVerifiesWhatItSigns) {
  const Worked worked;
  const RepoCommit commit = parse_repo_commit(worked.block).value();
  EXPECT_EQ(commit.version, 3);
  EXPECT_EQ(commit.did, test::kWorkedDid);
  EXPECT_EQ(commit.rev, kRev);
  EXPECT_TRUE(equal(commit.data, worked.root));
  EXPECT_TRUE(commit.prev.is_present);
  EXPECT_EQ(commit.prev.value.has_value(), false);
  EXPECT_EQ(to_hex(commit.unsigned_digest),
            "34b5cf3ee8eb5859115cf77b43cf2f756b965e26bbd2e188afe9132b1b6866f9");
  EXPECT_EQ(verify_repo_commit(commit, worked.key.public_key()), SignatureCheck::valid);
  const RepoCommit unsigned_commit = parse_repo_commit(hex(kUnsigned)).value();
  EXPECT_EQ(unsigned_commit.unsigned_digest, commit.unsigned_digest);
  EXPECT_EQ(verify_repo_commit(unsigned_commit, worked.key.public_key()),
            SignatureCheck::wrong_length);
}

TEST(RepoCommit, APrevIsALink) {
  const Worked worked;
  RepoCommitFields fields = worked.fields;
  fields.prev = worked.root;
  const Bytes block = sign_repo_commit(fields, worked.key);
  const RepoCommit commit = parse_repo_commit(block).value();
  ASSERT_TRUE(commit.prev.value.has_value());
  EXPECT_TRUE(equal(*commit.prev.value, worked.root));
  EXPECT_EQ(verify_repo_commit(commit, worked.key.public_key()), SignatureCheck::valid);
}

// A commit with a field that this build does not know, signed over it.
TEST(RepoCommit, UnknownFieldsArePartOfWhatIsSigned) {
  const Worked worked;
  const auto block_with = [&](const std::string& value, const Signature* signature) {
    Bytes out;
    CborWriter writer(out);
    CborMapWriter map(writer, signature != nullptr ? 7 : 6);
    map.write_key("did");
    writer.write_text(test::kWorkedDid);
    map.write_key("new");
    writer.write_text(value);
    map.write_key("rev");
    writer.write_text(kRev);
    if (signature != nullptr) {
      map.write_key("sig");
      writer.write_bytes(*signature);
    }
    map.write_key("data");
    writer.write_link(worked.root);
    map.write_key("prev");
    writer.write_null();
    map.write_key("version");
    writer.write_integer(3);
    return out;
  };
  const Signature signature = worked.key.sign(sha256(block_with("field", nullptr)));
  const auto verdict = [&](const std::string& value) {
    const Bytes block = block_with(value, &signature);
    return verify_repo_commit(parse_repo_commit(block).value(), worked.key.public_key());
  };
  EXPECT_EQ(verdict("field"), SignatureCheck::valid);
  EXPECT_EQ(verdict("fields"), SignatureCheck::mismatch);
}

constexpr std::string_view kLink =
    "d82a582500017112201cfa2b22cebbe787cacc0e9df32f87f368e2c10f0b39c5ef7f21f2dbb33d10eb";

std::string read(const std::string& text) {
  const Bytes block = hex(text);
  const auto commit = parse_repo_commit(block);
  return commit ? "ok" : to_string(commit.error());
}

TEST(RepoCommit, Version2MayLackRevAndPrevAndVersion3MayNot) {
  const std::string link(kLink);
  EXPECT_EQ(read("a4 63'did' 61'd' 64'data'" + link + "64'prev' f6 67'version' 02"), "ok");
  EXPECT_EQ(read("a3 63'did' 61'd' 64'data'" + link + "67'version' 02"), "ok");
  EXPECT_EQ(read("a4 63'did' 61'd' 64'data'" + link + "64'prev' f6 67'version' 03"),
            "malformed: commit object: no rev");
  EXPECT_EQ(read("a4 63'did' 61'd' 63'rev' 61'r' 64'data'" + link + "67'version' 03"),
            "malformed: commit object: no prev");
  EXPECT_EQ(read("a3 63'did' 61'd' 64'data'" + link + "67'version' 04"),
            "unsupported: commit object of version 4");
}

TEST(RepoCommit, WhatIsNoCanonicalCommitIsRefused) {
  const std::string link(kLink);
  EXPECT_EQ(read("a2 64'data'" + link + "67'version' 02"), "malformed: commit object: no did");
  EXPECT_EQ(read("a2 63'did' 61'd' 67'version' 02"), "malformed: commit object: no data");
  EXPECT_EQ(read("80"), "malformed: CBOR at byte 0: expected a map");
  EXPECT_EQ(read("a0 00"), "malformed: commit object: trailing bytes");
  EXPECT_EQ(read("a3 64'data'" + link + "63'did' 61'd' 67'version' 02").substr(0, 9), "malformed");
  EXPECT_EQ(read("a3 63'did' 41'd' 64'data'" + link + "67'version' 02").substr(0, 9), "malformed");
  EXPECT_EQ(read("a3 63'did' 61'd' 64'data'" + link + "67'version' 1802").substr(0, 9),
            "malformed");
  EXPECT_EQ(read("").substr(0, 9), "malformed");
  const Worked worked;
  for (std::size_t size = 0; size < worked.block.size(); ++size) {
    EXPECT_FALSE(parse_repo_commit(ByteView(worked.block).first(size))) << size;
  }
}

// jetstream-corpus/car_expected_commit.txt, written by other software.
TEST(RepoCommit, ARealRepositoryHasTheCommitThatOthersRead) {
  STANDPIPE_REQUIRE_SHARED();
  const Bytes car = test::read_file(test::shared_dir() / "data/jetstream-corpus/repo.car");
  CarReader reader = CarReader::open(car).value();
  const CarBlock block = reader.next().value().value();
  ASSERT_TRUE(equal(block.cid, reader.roots().at(0)));
  const RepoCommit commit = parse_repo_commit(block.bytes).value();
  EXPECT_EQ(commit.version, 3);
  EXPECT_EQ(commit.did, "did:plc:53iucmf5ldftgqyf2ac7hmhd");
  EXPECT_EQ(commit.rev, "3migo7fijwi2k");
  EXPECT_EQ(cid_to_string(commit.data),
            "bafyreidigqr65jj2zsmitco3fcuag6pi7std6quxa2bcp2xrpin44ikzsy");
  EXPECT_FALSE(commit.prev.value.has_value());
}

}  // namespace
}  // namespace standpipe
