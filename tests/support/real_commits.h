// The real #commit frames of the shared data, and the keys that signed some of them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/crypto.h"

namespace standpipe::test {

// Of all three captures, in order: 180, all of Sync v1.1. Each is a frame that decodes to a Commit.
std::vector<Bytes> read_real_commits();

// The 148 of jetstream-corpus, whose DID documents are there, too.
std::vector<Bytes> read_signed_commits();

// The #atproto key in each of those DID documents.
std::map<std::string, PublicKey> read_signing_keys();

}  // namespace standpipe::test
