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

using nlohmann::ordered_json;

class Document {
 public:
  explicit Document(std::string did) : did_(std::move(did)) {
    json_["@context"] = {"https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1",
                         "https://w3id.org/security/suites/secp256k1-2019/v1"};
    json_["id"] = did_;
  }

  Document& known_as(const std::string& handle) {
    json_["alsoKnownAs"] = ordered_json::array({"at://" + handle});
    return *this;
  }
  Document& with_key(std::string_view name, const PublicKey& key) {
    json_["verificationMethod"].push_back({{"id", did_ + "#" + std::string(name)},
                                           {"type", "Multikey"},
                                           {"controller", did_},
                                           {"publicKeyMultibase", key.to_multikey()}});
    return *this;
  }
  Document& with_service(std::string_view name, std::string_view type, const std::string& url) {
    services_.push_back(
        {{"id", "#" + std::string(name)}, {"type", type}, {"serviceEndpoint", url}});
    return *this;
  }
  std::string text() {
    json_["service"] = services_;
    return json_.dump(2);
  }

 private:
  std::string did_;
  ordered_json json_;
  ordered_json services_ = ordered_json::array();
};

Document document_of(const Persona& persona) {
  Document document(persona.did);
  document.known_as(persona.handle)
      .with_service("atproto_pds", "AtprotoPersonalDataServer", persona.pds);
  return document;
}

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
  return document_of(persona).with_key("atproto", key).text();
}

std::string make_labeler_document(const std::string& did, const PublicKey& repo_key,
                                  const PublicKey& label_key) {
  Document document =
      document_of({did, "moderation.social.example", "https://moderation.us-east.host.example"});
  document.with_key("atproto", repo_key).with_key("atproto_label", label_key);
  return document
      .with_service("atproto_labeler", "AtprotoLabeler", "https://moderation.social.example")
      .text();
}

}  // namespace standpipe::tools::sim
