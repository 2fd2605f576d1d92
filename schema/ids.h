// The identifiers of atproto: parsed once, valid ever after.
// Spec: atproto DID, Handle, NSID, Record Key, TID, AT URI. All are ASCII and compared bytewise.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "schema/base/result.h"

namespace standpipe {

// What all identifiers share: the text, its order, its hash. `Derived` has is_valid, which is the
// syntax, and kName, which is for errors.
template <typename Derived>
class Identifier {
 public:
  static Result<Derived> parse(std::string_view text) {
    if (!Derived::is_valid(text)) return syntax_error(text);
    Derived value;
    value.text_ = text;
    return value;
  }

  const std::string& text() const { return text_; }

  friend bool operator==(const Derived& a, const Derived& b) { return a.text_ == b.text_; }
  friend auto operator<=>(const Derived& a, const Derived& b) { return a.text_ <=> b.text_; }

 protected:
  Identifier() = default;

  std::string text_;

 private:
  static Error syntax_error(std::string_view text);
};

// "did:plc:44ybard66vv44zksje25o7dz", up to 2048 bytes. Any method.
class Did final : public Identifier<Did> {
 public:
  static constexpr const char* kName = "DID";
  static bool is_valid(std::string_view text);

  std::string_view method() const;  // "plc"

 private:
  friend class Identifier<Did>;
  Did() = default;
};

// "alice.example.com", up to 253 bytes, as written; handles are the same in any case.
class Handle final : public Identifier<Handle> {
 public:
  static constexpr const char* kName = "handle";
  static bool is_valid(std::string_view text);

  Handle normalized() const;  // in lower case

 private:
  friend class Identifier<Handle>;
  Handle() = default;
};

// "app.bsky.feed.post", up to 317 bytes.
class Nsid final : public Identifier<Nsid> {
 public:
  static constexpr const char* kName = "NSID";
  static bool is_valid(std::string_view text);

  std::string_view name() const;  // the last segment, "post"

 private:
  friend class Identifier<Nsid>;
  Nsid() = default;
};

// "3jzfcijpj2z2a", "self": what names a record in its collection.
class Rkey final : public Identifier<Rkey> {
 public:
  static constexpr const char* kName = "record key";
  static bool is_valid(std::string_view text);

 private:
  friend class Identifier<Rkey>;
  Rkey() = default;
};

// "3jzfcijpj2z2a": microseconds and a clock id in 13 characters that sort as the number does.
class Tid final : public Identifier<Tid> {
 public:
  static constexpr const char* kName = "TID";
  static constexpr std::uint64_t kMicrosMax = (std::uint64_t{1} << 53) - 1;
  static constexpr unsigned kClockIdMax = 1023;
  static bool is_valid(std::string_view text);

  struct Parts {
    std::uint64_t micros = 0;  // since 1970; up to kMicrosMax
    unsigned clock_id = 0;     // up to kClockIdMax
  };
  static Tid from_parts(Parts parts);  // aborts outside of the two ranges
  // The syntax lets through a bit above the 53 of `micros`; it is kept in them, above kMicrosMax.
  Parts parts() const;

 private:
  friend class Identifier<Tid>;
  Tid() = default;
};

// A DID or a handle; what starts with "did:" is never a handle.
class AtIdentifier final : public Identifier<AtIdentifier> {
 public:
  static constexpr const char* kName = "DID or handle";
  static bool is_valid(std::string_view text);

  bool is_did() const { return text_.starts_with("did:"); }

 private:
  friend class Identifier<AtIdentifier>;
  AtIdentifier() = default;
};

// "app.bsky.feed.post/3jzfcijpj2z2a": a record's place in its repository.
class RepoPath final : public Identifier<RepoPath> {
 public:
  static constexpr const char* kName = "repository path";
  static bool is_valid(std::string_view text);

  std::string_view collection() const;
  std::string_view rkey() const;

 private:
  friend class Identifier<RepoPath>;
  RepoPath() = default;
};

// "at://did:plc:.../app.bsky.feed.post/3jzfcijpj2z2a", in the restricted form that records use: no
// query, no fragment, no trailing slash. Up to 8192 bytes.
class AtUri final : public Identifier<AtUri> {
 public:
  static constexpr const char* kName = "AT URI";
  static bool is_valid(std::string_view text);

  std::string_view authority() const;   // a DID or a handle
  std::string_view collection() const;  // empty if there is none
  std::string_view rkey() const;        // empty if there is none

 private:
  friend class Identifier<AtUri>;
  AtUri() = default;
};

// The text, cut to a length that suits a log line, with what is not printable as "?".
std::string quoted_for_error(std::string_view text);

template <typename Derived>
Error Identifier<Derived>::syntax_error(std::string_view text) {
  return {Errc::malformed, "not a " + std::string(Derived::kName) + ": " + quoted_for_error(text)};
}

}  // namespace standpipe

#define STANDPIPE_HASH_OF_IDENTIFIER(Type)                                \
  template <>                                                             \
  struct std::hash<standpipe::Type> {                                     \
    std::size_t operator()(const standpipe::Type& value) const noexcept { \
      return std::hash<std::string_view>{}(value.text());                 \
    }                                                                     \
  }
STANDPIPE_HASH_OF_IDENTIFIER(Did);
STANDPIPE_HASH_OF_IDENTIFIER(Handle);
STANDPIPE_HASH_OF_IDENTIFIER(Nsid);
STANDPIPE_HASH_OF_IDENTIFIER(Rkey);
STANDPIPE_HASH_OF_IDENTIFIER(Tid);
STANDPIPE_HASH_OF_IDENTIFIER(AtIdentifier);
STANDPIPE_HASH_OF_IDENTIFIER(RepoPath);
STANDPIPE_HASH_OF_IDENTIFIER(AtUri);
#undef STANDPIPE_HASH_OF_IDENTIFIER
