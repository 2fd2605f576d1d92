#include "schema/hash.h"

// The functions of OpenSSL that take a context on the stack are deprecated for those that fetch,
// allocate and clean one up; those take 140 ns where these take 57 for the 32 bytes of a record's
// key, and a commit asks for fifty such hashes.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <algorithm>
#include <cstdint>

#include "schema/base/assert.h"

namespace standpipe {
namespace {

void start(SHA256_CTX& context) {
  STANDPIPE_ASSERT(SHA256_Init(&context) == 1, "OpenSSL refuses to start SHA-256");
}

void feed(SHA256_CTX& context, ByteView bytes) {
  STANDPIPE_ASSERT(SHA256_Update(&context, bytes.data(), bytes.size()) == 1,
                   "OpenSSL refuses to go on with SHA-256");
}

Sha256Digest end(SHA256_CTX& context) {
  Sha256Digest digest;
  static_assert(sizeof(digest) == SHA256_DIGEST_LENGTH);
  STANDPIPE_ASSERT(SHA256_Final(reinterpret_cast<unsigned char*>(digest.data()), &context) == 1,
                   "OpenSSL refuses to end SHA-256");
  return digest;
}

}  // namespace

// A record's key is of one block; without the buffering of the context it takes two thirds.
Sha256Digest sha256(ByteView bytes) {
  if (bytes.size() <= ShortSha256::kBytesMax) return ShortSha256(bytes).digest();
  return sha256(std::span(&bytes, 1));
}

Sha256Digest sha256(std::span<const ByteView> parts) {
  SHA256_CTX context;
  start(context);
  for (const ByteView part : parts) feed(context, part);
  return end(context);
}

ShortSha256::ShortSha256(ByteView text) : size_(text.size()) {
  STANDPIPE_ASSERT(text.size() <= kBytesMax, "no short text");
  std::copy(text.begin(), text.end(), block_.begin());
  block_[size_] = std::byte{0x80};
  store_be(block_.data() + 56, static_cast<std::uint64_t>(size_ * 8));
}

Sha256Digest ShortSha256::digest() const {
  SHA256_CTX context;
  start(context);
  SHA256_Transform(&context, reinterpret_cast<const unsigned char*>(block_.data()));
  Sha256Digest digest;
  for (std::size_t i = 0; i < 8; ++i) {
    store_be(digest.data() + 4 * i, static_cast<std::uint32_t>(context.h[i]));
  }
  return digest;
}

struct Sha256::Context {
  SHA256_CTX sha;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) { start(context_->sha); }
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(ByteView bytes) { feed(context_->sha, bytes); }

Sha256Digest Sha256::finish() {
  const Sha256Digest digest = end(context_->sha);
  start(context_->sha);
  return digest;
}

Sha256Digest Sha256::so_far() const {
  SHA256_CTX copy = context_->sha;
  return end(copy);
}

}  // namespace standpipe
