// The keys that signatures are held against, whoever knows them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "schema/crypto.h"
#include "schema/did_document.h"

namespace standpipe {

// What the documents of one DID say. More than one key where they are of different times.
struct AccountKeys {
  std::vector<PublicKey> signing;
  std::vector<PublicKey> label;

  // Returns whether the document has a key of either kind that can be used.
  bool add(const DidDocument& document);
};

enum class KeyState : std::uint8_t {
  known,        // there is a document; it may be without a key that can be used
  no_document,  // of nobody
  no_answer,    // whoever would know could not be asked
};

struct KeyAnswer {
  KeyState state = KeyState::no_document;
  std::shared_ptr<const AccountKeys> keys;  // set if known
};

class KeySource {
 public:
  KeySource() = default;
  KeySource(const KeySource&) = delete;
  KeySource& operator=(const KeySource&) = delete;
  virtual ~KeySource() = default;

  // Any thread. May take as long as it takes to ask somebody.
  virtual KeyAnswer find(std::string_view did) = 0;
  // That find(did) comes soon. Does not wait.
  virtual void expect(std::string_view did) { static_cast<void>(did); }
};

// Documents in memory. Any thread, once all are added.
class DidKeys final : public KeySource {
 public:
  DidKeys() = default;  // of nobody

  void add(const DidDocument& document);
  KeyAnswer find(std::string_view did) override;

  std::size_t documents() const { return documents_; }
  std::size_t without_key() const { return without_key_; }  // that can be used

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };

  std::unordered_map<std::string, std::shared_ptr<AccountKeys>, Hash, std::equal_to<>> keys_;
  std::size_t documents_ = 0;
  std::size_t without_key_ = 0;
};

}  // namespace standpipe
