#include "schema/key_source.h"

#include <algorithm>

namespace standpipe {
namespace {

// False where `key` is none.
bool add_key(std::vector<PublicKey>& keys, const Result<PublicKey>& key) {
  if (!key) return false;
  if (std::find(keys.begin(), keys.end(), *key) == keys.end()) keys.push_back(*key);
  return true;
}

}  // namespace

bool AccountKeys::add(const DidDocument& document) {
  const bool can_sign = add_key(signing, document.signing_key);
  const bool can_label = add_key(label, document.label_key);
  return can_sign || can_label;
}

void DidKeys::add(const DidDocument& document) {
  std::shared_ptr<AccountKeys>& keys = keys_[document.did];
  if (!keys) keys = std::make_shared<AccountKeys>();
  if (!keys->add(document)) ++without_key_;
  ++documents_;
}

KeyAnswer DidKeys::find(std::string_view did) {
  const auto found = keys_.find(did);
  if (found == keys_.end()) return {};
  return {KeyState::known, found->second};
}

}  // namespace standpipe
