// Who a simulated account is. Follows from the seed and the account's number alone.
#pragma once

#include <cstdint>
#include <string>

#include "schema/crypto.h"

namespace standpipe::tools::sim {

// Numbers beyond those of all accounts: the labeler's identity, and the key of its own repository.
inline constexpr std::uint64_t kLabelerAccount = std::uint64_t{1} << 40;
inline constexpr std::uint64_t kLabelerRepoKey = kLabelerAccount + 1;

struct Persona {
  std::string did;
  std::string handle;
  std::string pds;  // "https://..."
};

// "did:plc:" and 24 characters.
std::string did_of(std::uint64_t seed, std::uint64_t account);
// `did_web_per_mille`: of a thousand accounts, so many have a did:web.
Persona make_persona(std::uint64_t seed, std::uint64_t account, std::uint32_t did_web_per_mille);
PrivateKey make_signing_key(std::uint64_t seed, std::uint64_t account);

// JSON, as plc.directory serves it.
std::string make_did_document(const Persona& persona, const PublicKey& key);
// Of the labeler: with the key of its labels beside that of its repository.
std::string make_labeler_document(const std::string& did, const PublicKey& repo_key,
                                  const PublicKey& label_key);

}  // namespace standpipe::tools::sim
