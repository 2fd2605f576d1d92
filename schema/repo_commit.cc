#include "schema/repo_commit.h"

#include <array>
#include <span>
#include <string>

#include "schema/cbor.h"

namespace standpipe {
namespace {

Error commit_error(const std::string& why) { return {Errc::malformed, "commit object: " + why}; }

// Reads field by field, and remembers where "sig" stands.
class CommitReader {
 public:
  explicit CommitReader(ByteView block) : block_(block), reader_(block) {}

  Result<RepoCommit> read() {
    STANDPIPE_TRY(const std::size_t length, check_cbor(block_, {}));
    if (length != block_.size()) return commit_error("trailing bytes");
    STANDPIPE_TRY(pairs_, reader_.read_map());
    first_pair_at_ = reader_.position();
    for (std::uint64_t i = 0; i < pairs_; ++i) {
      const std::size_t at = reader_.position();
      STANDPIPE_TRY(const std::string_view key, reader_.read_text());
      STANDPIPE_CHECK(read_value(key));
      if (key == "sig") {
        sig_begin_ = at;
        sig_end_ = reader_.position();
      }
    }
    STANDPIPE_CHECK(check_fields());
    commit_.unsigned_digest = digest_without_sig();
    return commit_;
  }

 private:
  Result<void> read_value(std::string_view key) {
    if (key == "did") {
      STANDPIPE_TRY(commit_.did, reader_.read_text());
      has_did_ = true;
    } else if (key == "rev") {
      STANDPIPE_TRY(commit_.rev, reader_.read_text());
    } else if (key == "sig") {
      STANDPIPE_TRY(commit_.sig, reader_.read_bytes());
    } else if (key == "data") {
      STANDPIPE_TRY(commit_.data, reader_.read_link());
    } else if (key == "prev") {
      return read_prev();
    } else if (key == "version") {
      STANDPIPE_TRY(commit_.version, reader_.read_integer());
    } else {
      STANDPIPE_CHECK(reader_.skip_item());
    }
    return {};
  }

  Result<void> read_prev() {
    commit_.prev.is_present = true;
    STANDPIPE_TRY(const CborKind kind, reader_.peek_kind());
    if (kind == CborKind::null) return reader_.read_null();
    STANDPIPE_TRY(commit_.prev.value, reader_.read_link());
    return {};
  }

  Result<void> check_fields() const {
    if (commit_.version != 2 && commit_.version != 3) {
      return Error{Errc::unsupported,
                   "commit object of version " + std::to_string(commit_.version)};
    }
    if (!has_did_) return commit_error("no did");
    if (commit_.data.empty()) return commit_error("no data");
    if (commit_.version == 3 && !commit_.rev) return commit_error("no rev");
    if (commit_.version == 3 && !commit_.prev.is_present) return commit_error("no prev");
    return {};
  }

  // Canonical order is kept when a pair is taken out; only the head of the map changes.
  Sha256Digest digest_without_sig() const {
    if (!commit_.sig) return sha256(block_);
    Bytes head;
    CborWriter(head).write_map(static_cast<std::size_t>(pairs_) - 1);
    const std::array<ByteView, 3> parts = {
        ByteView(head), block_.subspan(first_pair_at_, sig_begin_ - first_pair_at_),
        block_.subspan(sig_end_)};
    return sha256(parts);
  }

  ByteView block_;
  CborReader reader_;
  RepoCommit commit_;
  std::uint64_t pairs_ = 0;
  std::size_t first_pair_at_ = 0;
  std::size_t sig_begin_ = 0;
  std::size_t sig_end_ = 0;
  bool has_did_ = false;
};

Bytes encode(const RepoCommitFields& fields, const Signature* signature) {
  Bytes out;
  CborWriter writer(out);
  CborMapWriter map(writer, signature != nullptr ? 6 : 5);
  map.write_key("did");
  writer.write_text(fields.did);
  map.write_key("rev");
  writer.write_text(fields.rev);
  if (signature != nullptr) {
    map.write_key("sig");
    writer.write_bytes(*signature);
  }
  map.write_key("data");
  writer.write_link(fields.data);
  map.write_key("prev");
  if (fields.prev) {
    writer.write_link(*fields.prev);
  } else {
    writer.write_null();
  }
  map.write_key("version");
  writer.write_integer(3);
  return out;
}

}  // namespace

Result<RepoCommit> parse_repo_commit(ByteView block) { return CommitReader(block).read(); }

SignatureCheck verify_repo_commit(const RepoCommit& commit, const PublicKey& key) {
  if (!commit.sig) return SignatureCheck::wrong_length;
  return key.verify(commit.unsigned_digest, *commit.sig);
}

Bytes encode_unsigned_repo_commit(const RepoCommitFields& fields) {
  return encode(fields, nullptr);
}

Bytes encode_repo_commit(const RepoCommitFields& fields, const Signature& signature) {
  return encode(fields, &signature);
}

Bytes sign_repo_commit(const RepoCommitFields& fields, const PrivateKey& key) {
  return encode_repo_commit(fields, key.sign(sha256(encode_unsigned_repo_commit(fields))));
}

}  // namespace standpipe
