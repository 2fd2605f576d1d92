#include "schema/hash.h"

#include <openssl/evp.h>

#include "schema/base/assert.h"

namespace standpipe {
namespace {

struct MdContextDelete {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using MdContext = std::unique_ptr<EVP_MD_CTX, MdContextDelete>;

// Fetched once and never freed: OpenSSL 3 looks the algorithm up by name on each one-shot call,
// which costs more than the hash of a small block. The libctx outlives all users of it.
const EVP_MD* fetched_sha256() {
  static const EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  STANDPIPE_ASSERT(md != nullptr, "OpenSSL offers no SHA-256");
  return md;
}

MdContext make_context() {
  MdContext context(EVP_MD_CTX_new());
  STANDPIPE_ASSERT(context != nullptr, "out of memory");
  return context;
}

void start(EVP_MD_CTX* context) {
  STANDPIPE_ASSERT(EVP_DigestInit_ex2(context, fetched_sha256(), nullptr) == 1,
                   "OpenSSL refuses to start SHA-256");
}

void feed(EVP_MD_CTX* context, ByteView bytes) {
  STANDPIPE_ASSERT(EVP_DigestUpdate(context, bytes.data(), bytes.size()) == 1,
                   "OpenSSL refuses to go on with SHA-256");
}

Sha256Digest end(EVP_MD_CTX* context) {
  Sha256Digest digest;
  unsigned size = 0;
  const int is_done =
      EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(digest.data()), &size);
  STANDPIPE_ASSERT(is_done == 1 && size == digest.size(), "OpenSSL refuses to end SHA-256");
  return digest;
}

}  // namespace

Sha256Digest sha256(ByteView bytes) { return sha256(std::span(&bytes, 1)); }

Sha256Digest sha256(std::span<const ByteView> parts) {
  // Making a context costs as much as hashing a small block, so each thread keeps one.
  thread_local const MdContext context = make_context();
  start(context.get());
  for (const ByteView part : parts) feed(context.get(), part);
  return end(context.get());
}

struct Sha256::Context {
  MdContext md = make_context();
};

Sha256::Sha256() : context_(std::make_unique<Context>()) { start(context_->md.get()); }
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(ByteView bytes) { feed(context_->md.get(), bytes); }

Sha256Digest Sha256::finish() {
  const Sha256Digest digest = end(context_->md.get());
  start(context_->md.get());
  return digest;
}

}  // namespace standpipe
