#include "schema/crypto_p256.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <utility>

#include "schema/base/assert.h"

namespace standpipe {
namespace {

template <auto kFree>
struct Delete {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using KeyHandle = std::unique_ptr<EVP_PKEY, Delete<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Delete<EVP_PKEY_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Delete<BN_clear_free>>;
using Group = std::unique_ptr<EC_GROUP, Delete<EC_GROUP_free>>;
using Point = std::unique_ptr<EC_POINT, Delete<EC_POINT_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Delete<ECDSA_SIG_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Delete<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Delete<OSSL_PARAM_free>>;

// OpenSSL queues the reasons for what it refuses, for each thread; TLS on the same thread would
// take what is left there for its own.
class ErrorsDropped {
 public:
  ErrorsDropped() { ERR_set_mark(); }
  ~ErrorsDropped() { ERR_pop_to_mark(); }
  ErrorsDropped(const ErrorsDropped&) = delete;
  ErrorsDropped& operator=(const ErrorsDropped&) = delete;
};

constexpr const char* kGroupName = "prime256v1";

using Scalar = std::array<std::byte, 32>;  // big-endian

constexpr Scalar scalar(const std::array<std::uint64_t, 4>& words) {
  Scalar bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>((words[i / 8] >> (8 * (7 - i % 8))) & 0xFF);
  }
  return bytes;
}
// SEC 2, 2.4.2: the order of the group, and half of it, rounded down.
constexpr Scalar kOrder =
    scalar({0xFFFFFFFF00000000, 0xFFFFFFFFFFFFFFFF, 0xBCE6FAADA7179E84, 0xF3B9CAC2FC632551});
constexpr Scalar kHalfOrder =
    scalar({0x7FFFFFFF80000000, 0x7FFFFFFFFFFFFFFF, 0xDE737D56D38BCF42, 0x79DCE5617E3192A8});

const unsigned char* unsigned_data(ByteView bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

const EC_GROUP* group() {
  static const Group held(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
  STANDPIPE_ASSERT(held != nullptr, "OpenSSL offers no P-256");
  return held.get();
}

Number to_number(ByteView bytes) {
  Number number(BN_bin2bn(unsigned_data(bytes), static_cast<int>(bytes.size()), nullptr));
  STANDPIPE_ASSERT(number != nullptr, "out of memory");
  return number;
}

// nullptr where OpenSSL refuses it. `secret`: nullptr for a public key alone.
KeyHandle make_key(ByteView point, const BIGNUM* secret) {
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  STANDPIPE_ASSERT(builder != nullptr, "out of memory");
  bool is_built = OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME,
                                                  kGroupName, 0) == 1 &&
                  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY,
                                                   point.data(), point.size()) == 1;
  if (secret != nullptr) {
    is_built = is_built &&
               OSSL_PARAM_BLD_push_BN_pad(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, secret, 32) == 1;
  }
  const Params params(is_built ? OSSL_PARAM_BLD_to_param(builder.get()) : nullptr);
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  STANDPIPE_ASSERT(params != nullptr && context != nullptr, "out of memory");
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key,
                        secret != nullptr ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
                        params.get()) != 1) {
    return nullptr;
  }
  return KeyHandle(key);
}

// s, or order - s where that is smaller.
void lower_s(ByteView s, std::byte* out) {
  if (!std::lexicographical_compare(kHalfOrder.begin(), kHalfOrder.end(), s.begin(), s.end())) {
    std::copy(s.begin(), s.end(), out);
    return;
  }
  const Number lower = to_number(kOrder);
  STANDPIPE_ASSERT(BN_sub(lower.get(), lower.get(), to_number(s).get()) == 1, "out of memory");
  STANDPIPE_ASSERT(BN_bn2binpad(lower.get(), reinterpret_cast<unsigned char*>(out), 32) == 32,
                   "s is not below the order");
}

}  // namespace

struct P256PublicKey::Handle {
  KeyHandle key;
  CompressedPoint point{};
};

P256PublicKey::P256PublicKey(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}
P256PublicKey::~P256PublicKey() = default;

std::unique_ptr<P256PublicKey> P256PublicKey::from_point(ByteView point) {
  const ErrorsDropped errors_dropped;
  const Point parsed(EC_POINT_new(group()));
  STANDPIPE_ASSERT(parsed != nullptr, "out of memory");
  auto handle = std::make_unique<Handle>();
  if (EC_POINT_oct2point(group(), parsed.get(), unsigned_data(point), point.size(), nullptr) != 1 ||
      EC_POINT_point2oct(group(), parsed.get(), POINT_CONVERSION_COMPRESSED,
                         reinterpret_cast<unsigned char*>(handle->point.data()),
                         handle->point.size(), nullptr) != handle->point.size()) {
    return nullptr;
  }
  handle->key = make_key(point, nullptr);
  if (handle->key == nullptr) return nullptr;
  return std::unique_ptr<P256PublicKey>(new P256PublicKey(std::move(handle)));
}

CompressedPoint P256PublicKey::point() const { return handle_->point; }

SignatureCheck P256PublicKey::verify(const Sha256Digest& digest, ByteView signature) const {
  const ByteView s = signature.subspan(32);
  if (std::lexicographical_compare(kHalfOrder.begin(), kHalfOrder.end(), s.begin(), s.end())) {
    return SignatureCheck::high_s;
  }
  const ErrorsDropped errors_dropped;
  const EcdsaSignature parsed(ECDSA_SIG_new());
  STANDPIPE_ASSERT(parsed != nullptr, "out of memory");
  Number r_number = to_number(signature.first(32));
  Number s_number = to_number(s);
  STANDPIPE_ASSERT(ECDSA_SIG_set0(parsed.get(), r_number.release(), s_number.release()) == 1,
                   "OpenSSL takes any two numbers");
  std::array<unsigned char, 80> der{};  // at most 72
  unsigned char* end = der.data();
  const int der_bytes = i2d_ECDSA_SIG(parsed.get(), &end);
  STANDPIPE_ASSERT(der_bytes > 0 && static_cast<std::size_t>(der_bytes) <= der.size(),
                   "DER of a signature has a fixed bound");
  const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, handle_->key.get(), nullptr));
  STANDPIPE_ASSERT(context != nullptr, "out of memory");
  const bool is_valid =
      EVP_PKEY_verify_init(context.get()) == 1 &&
      EVP_PKEY_verify(context.get(), der.data(), static_cast<std::size_t>(der_bytes),
                      unsigned_data(digest), digest.size()) == 1;
  return is_valid ? SignatureCheck::valid : SignatureCheck::mismatch;
}

std::optional<CompressedPoint> p256_public_point(ByteView secret) {
  if (secret.size() != kOrder.size() || equal(secret, Scalar{})) return std::nullopt;
  if (!std::lexicographical_compare(secret.begin(), secret.end(), kOrder.begin(), kOrder.end())) {
    return std::nullopt;
  }
  const Point point(EC_POINT_new(group()));
  const Number number = to_number(secret);
  CompressedPoint compressed;
  const bool is_done =
      point != nullptr &&
      EC_POINT_mul(group(), point.get(), number.get(), nullptr, nullptr, nullptr) == 1 &&
      EC_POINT_point2oct(group(), point.get(), POINT_CONVERSION_COMPRESSED,
                         reinterpret_cast<unsigned char*>(compressed.data()), compressed.size(),
                         nullptr) == compressed.size();
  STANDPIPE_ASSERT(is_done, "OpenSSL refuses to multiply");
  return compressed;
}

Signature p256_sign(ByteView secret, const CompressedPoint& point, const Sha256Digest& digest) {
  const Number number = to_number(secret);
  const KeyHandle key = make_key(point, number.get());
  STANDPIPE_ASSERT(key != nullptr, "OpenSSL refuses a key that it made");
  const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  STANDPIPE_ASSERT(context != nullptr, "out of memory");
  std::array<unsigned char, 80> der{};
  std::size_t der_bytes = der.size();
  STANDPIPE_ASSERT(EVP_PKEY_sign_init(context.get()) == 1 &&
                       EVP_PKEY_sign(context.get(), der.data(), &der_bytes, unsigned_data(digest),
                                     digest.size()) == 1,
                   "OpenSSL refuses to sign");
  const unsigned char* begin = der.data();
  const EcdsaSignature parsed(d2i_ECDSA_SIG(nullptr, &begin, static_cast<long>(der_bytes)));
  STANDPIPE_ASSERT(parsed != nullptr, "OpenSSL does not read what it wrote");
  Signature signature;
  Scalar s;
  STANDPIPE_ASSERT(BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()),
                                reinterpret_cast<unsigned char*>(signature.data()), 32) == 32 &&
                       BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()),
                                    reinterpret_cast<unsigned char*>(s.data()), 32) == 32,
                   "r and s are below the order");
  lower_s(s, signature.data() + 32);
  return signature;
}

}  // namespace standpipe
