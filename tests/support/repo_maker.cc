#include "tests/support/repo_maker.h"

#include <array>
#include <optional>
#include <set>
#include <utility>

#include "schema/base/assert.h"
#include "schema/car.h"
#include "schema/cbor_writer.h"
#include "schema/ids.h"
#include "schema/repo_commit.h"

namespace standpipe::test {
namespace {

constexpr std::string_view kTime = "2026-01-02T03:04:05.678Z";
constexpr std::string_view kTimeOfLegacy = "2024-05-06T07:08:09.123Z";
constexpr std::uint64_t kFirstRevMicros = 1'767'323'045'678'000;

PrivateKey key_of(unsigned number) {
  std::array<std::byte, 32> secret{};
  secret[0] = std::byte{1};
  store_be(secret.data() + 28, number);
  return PrivateKey::from_bytes(Curve::k256, secret).value();
}

Bytes record_of(std::string_view path, std::string_view rev) {
  Bytes out;
  CborWriter writer(out);
  writer.write_map(3);
  writer.write_text("rev");
  writer.write_text(rev);
  writer.write_text("path");
  writer.write_text(path);
  writer.write_text("$type");
  writer.write_text("com.example.record");
  return out;
}

Bytes header(std::string_view type) {
  Bytes out;
  CborWriter writer(out);
  writer.write_map(2);
  writer.write_text("t");
  writer.write_text(type);
  writer.write_text("op");
  writer.write_integer(1);
  return out;
}

}  // namespace

struct RepoMaker::Step {
  struct Op {
    MadeOp op;
    std::optional<Bytes> cid, prev;
  };
  std::vector<Op> ops;
  std::vector<std::pair<Bytes, Bytes>> records;  // CID, block
  std::string since;
  Bytes prev_data;
  std::set<std::string> old_nodes;  // CIDs of the tree before
};

RepoMaker::RepoMaker(unsigned number)
    : RepoMaker(number, "did:plc:" + std::string(23, 'a') + static_cast<char>('a' + number % 26)) {}

RepoMaker::RepoMaker(unsigned number, std::string did)
    : did_(std::move(did)), key_(key_of(number + 1)), document_key_(key_.public_key()) {}

std::string RepoMaker::did_document() const {
  return R"({"id":")" + did_ + R"(","verificationMethod":[{"id":")" + did_ +
         R"(#atproto","type":"Multikey","controller":")" + did_ + R"(","publicKeyMultibase":")" +
         document_key_.to_multikey() + R"("}]})";
}

std::string RepoMaker::next_rev() {
  return Tid::from_parts({kFirstRevMicros + ++revs_ * 1000, 7}).text();
}

RepoMaker::Step RepoMaker::apply(const std::vector<MadeOp>& ops) {
  Step step;
  step.since = rev_;
  step.prev_data = to_bytes(blessed_cid(tree_.root()));
  tree_.visit_nodes(
      [&](const Sha256Digest& digest, ByteView) { step.old_nodes.insert(to_hex(digest)); });
  rev_ = next_rev();
  for (const MadeOp& op : ops) {
    Step::Op made{op, std::nullopt, std::nullopt};
    if (const auto before = records_.find(op.path); before != records_.end()) {
      made.prev = before->second;
    }
    if (op.action == "delete") {
      STANDPIPE_ASSERT(tree_.erase(op.path), "no such record");
      records_.erase(op.path);
    } else {
      Bytes record = record_of(op.path, rev_);
      made.cid = to_bytes(Cid::of_dag_cbor(record).bytes());
      STANDPIPE_ASSERT(tree_.put(op.path, *made.cid), "no such path");
      records_[op.path] = *made.cid;
      step.records.emplace_back(*made.cid, std::move(record));
    }
    step.ops.push_back(std::move(made));
  }
  return step;
}

Bytes RepoMaker::car(const Step& step, Form form) {
  if (form == Form::too_big) return {};
  const Cid commit = Cid::of_dag_cbor(object_);
  Bytes out;
  CarWriter writer(out, {commit.bytes()});
  writer.write_block(commit, object_);
  std::vector<std::string_view> keys;
  for (const Step::Op& op : step.ops) keys.push_back(op.op.path);
  const auto visited = tree_.visit_proof(keys, [&](const Sha256Digest& digest, ByteView node) {
    if (form == Form::legacy && step.old_nodes.contains(to_hex(digest))) return;
    writer.write_block(blessed_cid(digest), node);
  });
  STANDPIPE_ASSERT(visited, "the whole tree is held");
  for (const auto& [cid, record] : step.records) writer.write_block(cid, record);
  return out;
}

Bytes RepoMaker::make(std::int64_t seq, const std::vector<MadeOp>& ops, Form form) {
  const Step step = apply(ops);
  const BlessedCid data = blessed_cid(tree_.root());
  object_ = sign_repo_commit({did_, rev_, data, std::nullopt}, key_);
  const bool is_current = form == Form::current;
  Bytes out = header("#commit");
  CborWriter writer(out);
  writer.write_map(is_current ? 12 : 11);
  writer.write_text("ops");
  writer.write_array(step.ops.size());
  for (const Step::Op& op : step.ops) {
    const bool has_prev = is_current && op.prev;
    writer.write_map(has_prev ? 4 : 3);
    writer.write_text("cid");
    op.cid ? writer.write_link(*op.cid) : writer.write_null();
    writer.write_text("path");
    writer.write_text(op.op.path);
    if (has_prev) {
      writer.write_text("prev");
      writer.write_link(*op.prev);
    }
    writer.write_text("action");
    writer.write_text(op.op.action);
  }
  writer.write_text("rev");
  writer.write_text(rev_);
  writer.write_text("seq");
  writer.write_integer(seq);
  writer.write_text("repo");
  writer.write_text(did_);
  writer.write_text("time");
  writer.write_text(is_current ? kTime : kTimeOfLegacy);
  writer.write_text("blobs");
  writer.write_array(0);
  writer.write_text("since");
  step.since.empty() ? writer.write_null() : writer.write_text(step.since);
  writer.write_text("blocks");
  writer.write_bytes(car(step, form));
  writer.write_text("commit");
  writer.write_link(Cid::of_dag_cbor(object_).bytes());
  writer.write_text("rebase");
  writer.write_boolean(false);
  writer.write_text("tooBig");
  writer.write_boolean(form == Form::too_big);
  if (is_current) {
    writer.write_text("prevData");
    writer.write_link(step.prev_data);
  }
  states_[seq] = {records_, rev_};
  return out;
}

Bytes RepoMaker::commit(std::int64_t seq, const std::vector<MadeOp>& ops) {
  return make(seq, ops, Form::current);
}
Bytes RepoMaker::legacy_commit(std::int64_t seq, const std::vector<MadeOp>& ops) {
  return make(seq, ops, Form::legacy);
}
Bytes RepoMaker::too_big_commit(std::int64_t seq, const std::vector<MadeOp>& ops) {
  return make(seq, ops, Form::too_big);
}

Bytes RepoMaker::sync(std::int64_t seq) {
  const BlessedCid data = blessed_cid(tree_.root());
  object_ = sign_repo_commit({did_, rev_, data, std::nullopt}, key_);
  const Cid commit = Cid::of_dag_cbor(object_);
  Bytes blocks;
  CarWriter(blocks, {commit.bytes()}).write_block(commit, object_);
  Bytes out = header("#sync");
  CborWriter writer(out);
  writer.write_map(5);
  writer.write_text("did");
  writer.write_text(did_);
  writer.write_text("rev");
  writer.write_text(rev_);
  writer.write_text("seq");
  writer.write_integer(seq);
  writer.write_text("time");
  writer.write_text(kTime);
  writer.write_text("blocks");
  writer.write_bytes(blocks);
  return out;
}

Bytes RepoMaker::identity(std::int64_t seq) const {
  Bytes out = header("#identity");
  CborWriter writer(out);
  writer.write_map(3);
  writer.write_text("did");
  writer.write_text(did_);
  writer.write_text("seq");
  writer.write_integer(seq);
  writer.write_text("time");
  writer.write_text(kTime);
  return out;
}

Bytes RepoMaker::account(std::int64_t seq, bool is_active) const {
  Bytes out = header("#account");
  CborWriter writer(out);
  writer.write_map(4);
  writer.write_text("did");
  writer.write_text(did_);
  writer.write_text("seq");
  writer.write_integer(seq);
  writer.write_text("time");
  writer.write_text(kTime);
  writer.write_text("active");
  writer.write_boolean(is_active);
  return out;
}

void RepoMaker::roll_back_to(std::int64_t seq) {
  records_ = states_.at(seq).first;
  rev_ = states_.at(seq).second;
  tree_ = Mst();
  for (const auto& [path, cid] : records_) STANDPIPE_ASSERT(tree_.put(path, cid), "a good path");
  // What it makes now has the revs of what is gone, as the clock of a rolled back PDS may give.
  revs_ = 0;
  for (const auto& [at, state] : states_) revs_ += at <= seq ? 1U : 0U;
}

void RepoMaker::change_key(unsigned number) { key_ = key_of(number + 1); }

}  // namespace standpipe::test
