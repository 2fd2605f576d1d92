// The commit object: the signed statement that a repository's tree is now this one.
// Spec: atproto repository, "Commit Objects".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/cid.h"
#include "schema/crypto.h"
#include "schema/event.h"
#include "schema/hash.h"

namespace standpipe {

// A commit object as its block says. Borrows from the block, which must outlive it.
struct RepoCommit {
  std::int64_t version = 0;             // 3; 2 before August 2023
  std::string_view did;                 // as it stands there
  std::optional<std::string_view> rev;  // always there in version 3
  ByteView data;                        // binary CID of the tree's root
  Nullable<ByteView> prev;              // virtually always null; some of version 2 lack it
  std::optional<ByteView> sig;          // none in what is yet to be signed

  // What the signature is over: the block without the pair "sig", under this digest. Fields that
  // nobody knows are part of it.
  Sha256Digest unsigned_digest{};
};

// Reads a commit block, which must be canonical (hashes depend on it). malformed: not a canonical
// map, or a known field that is missing or of another type; unsupported: neither version 2 nor 3,
// or no version at all.
// Whether `did` and `rev` are good ones and `data` is a node's CID is for others to judge.
Result<RepoCommit> parse_repo_commit(ByteView block);

// wrong_length also where there is no signature at all.
SignatureCheck verify_repo_commit(const RepoCommit& commit, const PublicKey& key);

// What a commit of version 3 is made from.
struct RepoCommitFields {
  std::string_view did;
  std::string_view rev;
  ByteView data;                 // binary CID
  std::optional<ByteView> prev;  // none: null
};

// The five fields that are signed, and the block with the signature among them.
Bytes encode_unsigned_repo_commit(const RepoCommitFields& fields);
Bytes encode_repo_commit(const RepoCommitFields& fields, const Signature& signature);

// Both in one: the block, signed.
Bytes sign_repo_commit(const RepoCommitFields& fields, const PrivateKey& key);

}  // namespace standpipe
