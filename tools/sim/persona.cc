#include "tools/sim/persona.h"

#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "schema/multibase.h"
#include "tools/sim/random.h"

namespace standpipe::tools::sim {
namespace {

constexpr std::array<std::string_view, 16> kNames = {
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron",
    "iris",  "jade",  "koi",   "lotus", "maple", "nova",  "onyx",  "pine"};

}  // namespace

std::string did_of(std::uint64_t seed, std::uint64_t account) {
  std::array<std::byte, 15> bytes;
  Random(mix(mix(seed, 0x646964), account)).fill(bytes);
  return "did:plc:" + to_base32(bytes);
}

Persona make_persona(std::uint64_t seed, std::uint64_t account, std::uint32_t did_web_per_mille) {
  Random random(mix(mix(seed, 0x706572736f6e61), account));
  Persona persona;
  std::string name(kNames[random.below(kNames.size())]);
  name += kNames[random.below(kNames.size())];
  name += std::to_string(account);
  persona.pds = "https://";
  persona.pds += kNames[random.below(kNames.size())];
  persona.pds += random.below(2) == 0 ? ".us-east.host.example" : ".us-west.host.example";
  const bool is_web = random.below(1000) < did_web_per_mille;
  persona.handle = name + (is_web ? ".web.example" : ".social.example");
  persona.did = is_web ? "did:web:" + persona.handle : did_of(seed, account);
  return persona;
}

PrivateKey make_signing_key(std::uint64_t seed, std::uint64_t account) {
  std::array<std::byte, 32> secret;
  Random random(mix(mix(seed, 0x6b6579), account));
  for (;;) {
    random.fill(secret);
    if (auto key = PrivateKey::from_bytes(Curve::k256, secret)) return std::move(key).value();
  }
}

std::string make_did_document(const Persona& persona, const PublicKey& key) {
  using nlohmann::ordered_json;
  const ordered_json method = {{"id", persona.did + "#atproto"},
                               {"type", "Multikey"},
                               {"controller", persona.did},
                               {"publicKeyMultibase", key.to_multikey()}};
  const ordered_json service = {{"id", "#atproto_pds"},
                                {"type", "AtprotoPersonalDataServer"},
                                {"serviceEndpoint", persona.pds}};
  ordered_json document;
  document["@context"] = {"https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1",
                          "https://w3id.org/security/suites/secp256k1-2019/v1"};
  document["id"] = persona.did;
  document["alsoKnownAs"] = ordered_json::array({"at://" + persona.handle});
  document["verificationMethod"] = ordered_json::array({method});
  document["service"] = ordered_json::array({service});
  return document.dump(2);
}

}  // namespace standpipe::tools::sim
