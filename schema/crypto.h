// Keys and signatures of atproto: ECDSA over SHA-256 on two curves.
// Spec: atproto cryptography; did:key method; multicodec.
//
// A signature is r then s, 32 bytes each, and s is at most half of the curve's order: of the two
// signatures that are mathematically good for the same message, only one counts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/hash.h"

namespace standpipe {

enum class Curve : std::uint8_t {
  k256,  // secp256k1: what accounts sign with
  p256,  // secp256r1: allowed as well
};

std::string_view to_string(Curve curve);  // "K-256", "P-256"

using Signature = std::array<std::byte, 64>;
using CompressedPoint = std::array<std::byte, 33>;

enum class SignatureCheck : std::uint8_t {
  valid,
  wrong_length,  // not 64 bytes: DER, or cut off
  high_s,        // the other of the two: not allowed
  mismatch,      // not by this key over this message
};

// A public key, parsed: checking a signature costs the curve's arithmetic and nothing else, so keep
// it (per DID). A value; copies share what is inside, which never changes. Any thread.
class PublicKey {
 public:
  // "did:key:zQ3sh..." and "zQ3sh...", the multikey alone, as in DID documents of type Multikey.
  // malformed; unsupported: another kind of key.
  static Result<PublicKey> parse_did_key(std::string_view text);
  static Result<PublicKey> parse_multikey(std::string_view text);

  // A SEC1 point in base 58 with the prefix 'z' and no codec, as older DID documents have it in
  // types EcdsaSecp256k1VerificationKey2019 (k256) and EcdsaSecp256r1VerificationKey2019 (p256).
  static Result<PublicKey> parse_legacy_multibase(Curve curve, std::string_view text);

  // SEC1, compressed (33 bytes) or not (65). malformed where it is no point of the curve.
  static Result<PublicKey> from_point(Curve curve, ByteView point);

  Curve curve() const;
  const CompressedPoint& point() const;
  std::string to_multikey() const;
  std::string to_did_key() const;

  SignatureCheck verify(const Sha256Digest& digest, ByteView signature) const;

  friend bool operator==(const PublicKey& a, const PublicKey& b) {
    return a.curve() == b.curve() && a.point() == b.point();
  }

  struct Parsed;  // of the implementation

 private:
  friend class PrivateKey;
  static Result<PublicKey> of_secret(Curve curve, ByteView secret);  // of 32 bytes
  explicit PublicKey(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}

  std::shared_ptr<const Parsed> parsed_;
};

// A private key, wiped when it goes. For simulated accounts and for tests: standpipe holds no
// other's keys. Any thread.
class PrivateKey {
 public:
  // 32 bytes, big-endian. malformed where they are zero or not below the curve's order.
  static Result<PrivateKey> from_bytes(Curve curve, ByteView bytes);

  PrivateKey(const PrivateKey&) = delete;
  PrivateKey& operator=(const PrivateKey&) = delete;
  PrivateKey(PrivateKey&& other) noexcept;
  PrivateKey& operator=(PrivateKey&& other) noexcept;
  ~PrivateKey();

  const PublicKey& public_key() const { return public_key_; }

  // With low s. On K-256 the same digest always gives the same signature (RFC 6979); on P-256
  // OpenSSL draws a fresh nonce each time.
  Signature sign(const Sha256Digest& digest) const;

 private:
  using Secret = std::array<std::byte, 32>;
  PrivateKey(const Secret& secret, PublicKey public_key)
      : secret_(secret), public_key_(std::move(public_key)) {}

  Secret secret_;
  PublicKey public_key_;
};

}  // namespace standpipe
