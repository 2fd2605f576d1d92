#include "tests/support/real_commits.h"

#include <nlohmann/json.hpp>
#include <variant>

#include "schema/event.h"
#include "tests/support/shared_data.h"

namespace standpipe::test {
namespace {

void append_commits(const char* directory, std::vector<Bytes>& commits) {
  for (Bytes& frame : read_frame_corpus(shared_dir() / "data" / directory / "frames.bin.zst")) {
    const Event event = decode_event(frame).value();
    if (std::holds_alternative<Commit>(event)) commits.push_back(std::move(frame));
  }
}

}  // namespace

std::vector<Bytes> read_signed_commits() {
  std::vector<Bytes> commits;
  append_commits("jetstream-corpus", commits);
  return commits;
}

std::vector<Bytes> read_real_commits() {
  std::vector<Bytes> commits = read_signed_commits();
  append_commits("horizon-firehose", commits);
  append_commits("proto-rune", commits);
  return commits;
}

std::map<std::string, PublicKey> read_signing_keys() {
  const auto documents = nlohmann::json::parse(
      read_text_file(shared_dir() / "data/jetstream-corpus/did_docs.json.zst"));
  std::map<std::string, PublicKey> keys;
  for (const auto& [did, document] : documents.items()) {
    for (const auto& method : document.at("verificationMethod")) {
      if (!method.at("id").get<std::string>().ends_with("#atproto")) continue;
      const auto text = method.at("publicKeyMultibase").get<std::string>();
      keys.emplace(did, PublicKey::parse_multikey(text).value());
    }
  }
  return keys;
}

}  // namespace standpipe::test
