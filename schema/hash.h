// SHA-256. Everything in atproto that is named by its contents is named by this.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "schema/base/bytes.h"

namespace standpipe {

using Sha256Digest = std::array<std::byte, 32>;

// Of one span, or of several as if they were joined. Any thread.
Sha256Digest sha256(ByteView bytes);
Sha256Digest sha256(std::span<const ByteView> parts);

// Of one short text after another, each of which differs from the one before in a few bytes: half
// the cost of sha256(), for texts that are tried by the thousand. Not thread-safe.
class ShortSha256 {
 public:
  static constexpr std::size_t kBytesMax = 55;  // what fits into one block

  explicit ShortSha256(ByteView text);  // aborts above kBytesMax

  std::span<std::byte> text() { return std::span(block_).first(size_); }  // to be changed in place
  ByteView text() const { return std::span(block_).first(size_); }
  Sha256Digest digest() const;

 private:
  std::array<std::byte, 64> block_{};  // padded. Spec: FIPS 180-4, 5.1.1
  std::size_t size_;
};

// For bytes that come piece by piece. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(ByteView bytes);
  Sha256Digest finish();        // and begin anew
  Sha256Digest so_far() const;  // of what has come until now; more may come

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace standpipe
