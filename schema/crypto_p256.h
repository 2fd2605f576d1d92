// ECDSA on P-256, by OpenSSL. Internal to schema/crypto.cc.
#pragma once

#include <memory>
#include <optional>

#include "schema/crypto.h"

namespace standpipe {

// A public key in OpenSSL's form. Not changed after it is made: any thread.
class P256PublicKey {
 public:
  // nullptr where `point` (SEC1) is not on the curve.
  static std::unique_ptr<P256PublicKey> from_point(ByteView point);
  ~P256PublicKey();

  CompressedPoint point() const;
  // `signature` has 64 bytes.
  SignatureCheck verify(const Sha256Digest& digest, ByteView signature) const;

 private:
  struct Handle;
  explicit P256PublicKey(std::unique_ptr<Handle> handle);

  std::unique_ptr<Handle> handle_;
};

// The compressed public point of a secret; nullopt where that is not in 1 .. order - 1.
std::optional<CompressedPoint> p256_public_point(ByteView secret);

// With low s.
Signature p256_sign(ByteView secret, const CompressedPoint& point, const Sha256Digest& digest);

}  // namespace standpipe
