#include "schema/crypto.h"

#include <openssl/crypto.h>
#include <secp256k1.h>

#include <algorithm>
#include <span>
#include <utility>

#include "schema/base/assert.h"
#include "schema/crypto_p256.h"
#include "schema/ids.h"
#include "schema/multibase.h"

namespace standpipe {
namespace {

constexpr std::string_view kDidKeyPrefix = "did:key:";
constexpr std::size_t kMultikeyBytesMax = 64;  // as text; those of 33 bytes have 49

// Multicodec varints in front of the compressed point.
using Codec = std::array<std::byte, 2>;
constexpr Codec kK256Codec = {std::byte{0xE7}, std::byte{0x01}};
constexpr Codec kP256Codec = {std::byte{0x80}, std::byte{0x24}};

const Codec& codec_of(Curve curve) { return curve == Curve::k256 ? kK256Codec : kP256Codec; }

const unsigned char* unsigned_data(ByteView bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* writable_data(std::span<std::byte> bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

// Its making tests the library on this processor. Never changed after that: any thread.
const secp256k1_context* k256_context() {
  struct Destroy {
    void operator()(secp256k1_context* context) const { secp256k1_context_destroy(context); }
  };
  static const std::unique_ptr<secp256k1_context, Destroy> context(
      secp256k1_context_create(SECP256K1_CONTEXT_NONE));
  STANDPIPE_ASSERT(context != nullptr, "out of memory");
  return context.get();
}

CompressedPoint serialize(const secp256k1_pubkey& key) {
  CompressedPoint point;
  std::size_t size = point.size();
  secp256k1_ec_pubkey_serialize(k256_context(), writable_data(std::span(point)), &size, &key,
                                SECP256K1_EC_COMPRESSED);
  return point;
}

SignatureCheck verify_k256(const secp256k1_pubkey& key, const Sha256Digest& digest,
                           ByteView signature) {
  secp256k1_ecdsa_signature parsed;
  // r or s not below the order: no signature of anything.
  if (secp256k1_ecdsa_signature_parse_compact(k256_context(), &parsed, unsigned_data(signature)) !=
      1) {
    return SignatureCheck::mismatch;
  }
  if (secp256k1_ecdsa_signature_normalize(k256_context(), nullptr, &parsed) == 1) {
    return SignatureCheck::high_s;
  }
  return secp256k1_ecdsa_verify(k256_context(), &parsed, unsigned_data(digest), &key) == 1
             ? SignatureCheck::valid
             : SignatureCheck::mismatch;
}

Error key_error(std::string_view what, std::string_view text) {
  return {Errc::malformed, "not " + std::string(what) + ": " + quoted_for_error(text)};
}

}  // namespace

std::string_view to_string(Curve curve) { return curve == Curve::k256 ? "K-256" : "P-256"; }

struct PublicKey::Parsed {
  Curve curve = Curve::k256;
  CompressedPoint point{};
  secp256k1_pubkey k256{};
  std::unique_ptr<P256PublicKey> p256;  // null on K-256
};

Result<PublicKey> PublicKey::from_point(Curve curve, ByteView point) {
  const bool is_compressed =
      point.size() == 33 && (point[0] == std::byte{2} || point[0] == std::byte{3});
  const bool is_uncompressed = point.size() == 65 && point[0] == std::byte{4};
  if (!is_compressed && !is_uncompressed) {
    return Error{Errc::malformed, "not a SEC1 point of 33 or 65 bytes"};
  }
  auto parsed = std::make_shared<Parsed>();
  parsed->curve = curve;
  bool is_on_curve = false;
  if (curve == Curve::k256) {
    is_on_curve = secp256k1_ec_pubkey_parse(k256_context(), &parsed->k256, unsigned_data(point),
                                            point.size()) == 1;
    if (is_on_curve) parsed->point = serialize(parsed->k256);
  } else {
    parsed->p256 = P256PublicKey::from_point(point);
    is_on_curve = parsed->p256 != nullptr;
    if (is_on_curve) parsed->point = parsed->p256->point();
  }
  if (!is_on_curve) {
    return Error{Errc::malformed, "not a point of " + std::string(to_string(curve))};
  }
  return PublicKey(std::move(parsed));
}

Result<PublicKey> PublicKey::parse_multikey(std::string_view text) {
  if (text.size() > kMultikeyBytesMax || !text.starts_with('z')) {
    return key_error("a multikey", text);
  }
  const auto decoded = parse_base58(text.substr(1));
  if (!decoded || decoded->size() < kK256Codec.size()) return key_error("a multikey", text);
  const ByteView codec = ByteView(*decoded).first(kK256Codec.size());
  const ByteView point = ByteView(*decoded).subspan(kK256Codec.size());
  for (const Curve curve : {Curve::k256, Curve::p256}) {
    if (!equal(codec, codec_of(curve))) continue;
    if (point.size() != sizeof(CompressedPoint)) return key_error("a multikey", text);
    return from_point(curve, point);
  }
  return Error{Errc::unsupported,
               "key that is neither of K-256 nor P-256: " + quoted_for_error(text)};
}

Result<PublicKey> PublicKey::parse_did_key(std::string_view text) {
  if (!text.starts_with(kDidKeyPrefix)) return key_error("a did:key", text);
  return parse_multikey(text.substr(kDidKeyPrefix.size()));
}

Result<PublicKey> PublicKey::parse_legacy_multibase(Curve curve, std::string_view text) {
  if (text.size() > 2 * kMultikeyBytesMax || !text.starts_with('z')) {
    return key_error("a key in base 58", text);
  }
  STANDPIPE_TRY(const Bytes point, parse_base58(text.substr(1)));
  return from_point(curve, point);
}

Curve PublicKey::curve() const { return parsed_->curve; }
const CompressedPoint& PublicKey::point() const { return parsed_->point; }

std::string PublicKey::to_multikey() const {
  const Codec& codec = codec_of(curve());
  Bytes bytes(codec.begin(), codec.end());
  bytes.insert(bytes.end(), point().begin(), point().end());
  return "z" + to_base58(bytes);
}

std::string PublicKey::to_did_key() const { return std::string(kDidKeyPrefix) + to_multikey(); }

SignatureCheck PublicKey::verify(const Sha256Digest& digest, ByteView signature) const {
  if (signature.size() != sizeof(Signature)) return SignatureCheck::wrong_length;
  return curve() == Curve::k256 ? verify_k256(parsed_->k256, digest, signature)
                                : parsed_->p256->verify(digest, signature);
}

Result<PublicKey> PublicKey::of_secret(Curve curve, ByteView secret) {
  const Error error{Errc::malformed, "not a private key of " + std::string(to_string(curve))};
  if (curve == Curve::p256) {
    const auto point = p256_public_point(secret);
    if (!point) return error;
    return from_point(curve, *point);
  }
  auto parsed = std::make_shared<Parsed>();
  if (secp256k1_ec_pubkey_create(k256_context(), &parsed->k256, unsigned_data(secret)) != 1) {
    return error;
  }
  parsed->point = serialize(parsed->k256);
  return PublicKey(std::move(parsed));
}

Result<PrivateKey> PrivateKey::from_bytes(Curve curve, ByteView bytes) {
  Secret secret;
  if (bytes.size() != secret.size()) {
    return Error{Errc::malformed, "not a private key of " + std::string(to_string(curve))};
  }
  std::copy(bytes.begin(), bytes.end(), secret.begin());
  STANDPIPE_TRY(PublicKey public_key, PublicKey::of_secret(curve, secret));
  PrivateKey key(secret, std::move(public_key));
  OPENSSL_cleanse(secret.data(), secret.size());
  return key;
}

PrivateKey::PrivateKey(PrivateKey&& other) noexcept
    : secret_(other.secret_), public_key_(other.public_key_) {
  OPENSSL_cleanse(other.secret_.data(), other.secret_.size());
}

PrivateKey& PrivateKey::operator=(PrivateKey&& other) noexcept {
  if (this == &other) return *this;
  secret_ = other.secret_;
  public_key_ = other.public_key_;
  OPENSSL_cleanse(other.secret_.data(), other.secret_.size());
  return *this;
}

PrivateKey::~PrivateKey() { OPENSSL_cleanse(secret_.data(), secret_.size()); }

Signature PrivateKey::sign(const Sha256Digest& digest) const {
  if (public_key_.curve() == Curve::p256) return p256_sign(secret_, public_key_.point(), digest);
  secp256k1_ecdsa_signature signature;
  // The default nonce is RFC 6979's, and the library's signatures have low s.
  STANDPIPE_ASSERT(secp256k1_ecdsa_sign(k256_context(), &signature, unsigned_data(digest),
                                        unsigned_data(secret_), nullptr, nullptr) == 1,
                   "a valid key signs anything");
  Signature compact;
  secp256k1_ecdsa_signature_serialize_compact(k256_context(), writable_data(std::span(compact)),
                                              &signature);
  return compact;
}

}  // namespace standpipe
