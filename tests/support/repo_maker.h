// A repository that a test makes commits in: signed, with their proofs, as a PDS sends them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/cid.h"
#include "schema/crypto.h"
#include "schema/mst.h"
#include "schema/mst_node.h"

namespace standpipe::test {

struct MadeOp {
  std::string action;  // "create", "update", "delete"
  std::string path;    // "collection/rkey"
};

// Frames of one account. Its key and its revs follow from `number`, and every commit has another
// rev and other records. Sync v1.1, unless told otherwise.
class RepoMaker {
 public:
  explicit RepoMaker(unsigned number);
  RepoMaker(unsigned number, std::string did);

  const std::string& did() const { return did_; }
  std::string did_document() const;  // JSON

  Bytes commit(std::int64_t seq, const std::vector<MadeOp>& ops);
  // As before 2025: without prevData, without `prev` of operations, without nodes but new ones.
  Bytes legacy_commit(std::int64_t seq, const std::vector<MadeOp>& ops);
  // Of 2023: so large that it came without blocks.
  Bytes too_big_commit(std::int64_t seq, const std::vector<MadeOp>& ops);
  Bytes sync(std::int64_t seq);  // the state after the newest commit
  Bytes identity(std::int64_t seq) const;
  Bytes account(std::int64_t seq, bool is_active) const;

  // The state as it was, to go on from there: what a PDS does that was restored from a backup.
  void roll_back_to(std::int64_t seq);
  // From here on it signs with another key.
  void change_key(unsigned number);

 private:
  enum class Form : std::uint8_t { current, legacy, too_big };
  struct Step;
  Bytes make(std::int64_t seq, const std::vector<MadeOp>& ops, Form form);
  Step apply(const std::vector<MadeOp>& ops);
  Bytes car(const Step& step, Form form);
  std::string next_rev();

  std::string did_;
  PrivateKey key_;
  PublicKey document_key_;
  std::map<std::string, Bytes> records_;  // path to binary CID
  Mst tree_;
  Bytes object_;  // the newest commit object
  std::string rev_;
  std::uint64_t revs_ = 0;
  std::map<std::int64_t, std::pair<std::map<std::string, Bytes>, std::string>> states_;  // by seq
};

}  // namespace standpipe::test
