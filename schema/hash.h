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
