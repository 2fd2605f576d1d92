#include "tests/support/certificates.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdint>
#include <fstream>

#include "schema/base/assert.h"

namespace standpipe::test {
namespace {

using Key = std::shared_ptr<EVP_PKEY>;
using Certificate = std::shared_ptr<X509>;

Key make_key() {
  Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  STANDPIPE_ASSERT(key != nullptr, "no key");
  return key;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  STANDPIPE_ASSERT(size > 0, "no PEM");
  return {data, static_cast<std::size_t>(size)};
}

std::string pem_of(X509* certificate) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  STANDPIPE_ASSERT(PEM_write_bio_X509(bio.get(), certificate) == 1, "no PEM");
  return text_of(bio.get());
}

std::string pem_of(EVP_PKEY* key) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  STANDPIPE_ASSERT(
      PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
      "no PEM");
  return text_of(bio.get());
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()), X509_EXTENSION_free);
  STANDPIPE_ASSERT(extension != nullptr, "no extension: " + value);
  STANDPIPE_ASSERT(X509_add_ext(certificate, extension.get(), -1) == 1, value);
}

void set_common_name(X509_NAME* name, const std::string& text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  STANDPIPE_ASSERT(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, bytes,
                                              static_cast<int>(text.size()), -1, 0) == 1,
                   text);
}

// A version 3 certificate for `key`, without extensions and signature.
Certificate make_certificate(EVP_PKEY* key, const std::string& name, std::chrono::seconds after,
                             std::chrono::seconds until) {
  Certificate certificate(X509_new(), X509_free);
  STANDPIPE_ASSERT(certificate != nullptr, "no certificate");
  std::uint32_t serial = 0;
  STANDPIPE_ASSERT(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1, name);
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), std::uint64_t{serial} + 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), static_cast<long>(after.count()));
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), static_cast<long>(until.count()));
  set_common_name(X509_get_subject_name(certificate.get()), name);
  STANDPIPE_ASSERT(X509_set_pubkey(certificate.get(), key) == 1, name);
  return certificate;
}

void sign(X509* certificate, EVP_PKEY* key) {
  STANDPIPE_ASSERT(X509_sign(certificate, key, EVP_sha256()) != 0, "no signature");
}

// Another one each time: a stranger of the same name would be told apart by its signature alone.
std::string authority_name() {
  static std::atomic<int> made = 0;
  return "standpipe test authority " + std::to_string(++made);
}

std::string alternative_names(const LeafOptions& options) {
  std::string text;
  for (const std::string& name : options.names) text += (text.empty() ? "DNS:" : ",DNS:") + name;
  for (const std::string& address : options.addresses) {
    text += (text.empty() ? "IP:" : ",IP:") + address;
  }
  return text;
}

// `issuer` may be null: then it signs itself, with `key`, which is its own.
TlsIdentity make_leaf(const LeafOptions& options, X509* issuer, EVP_PKEY* issuer_key) {
  const Key key = make_key();
  const std::string name = options.names.empty() ? "leaf" : options.names.front();
  const Certificate leaf =
      make_certificate(key.get(), name, options.valid_after, options.valid_until);
  X509* const signer = issuer == nullptr ? leaf.get() : issuer;
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(signer));
  add_extension(leaf.get(), signer, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(leaf.get(), signer, NID_ext_key_usage, "serverAuth");
  add_extension(leaf.get(), signer, NID_subject_alt_name, alternative_names(options));
  sign(leaf.get(), issuer == nullptr ? key.get() : issuer_key);
  return {pem_of(leaf.get()), pem_of(key.get())};
}

}  // namespace

CertificateAuthority::CertificateAuthority()
    : key_(make_key()),
      certificate_(make_certificate(key_.get(), authority_name(), -std::chrono::hours(48),
                                    std::chrono::hours(48))) {
  X509_set_issuer_name(certificate_.get(), X509_get_subject_name(certificate_.get()));
  add_extension(certificate_.get(), certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate_.get(), certificate_.get(), NID_key_usage, "critical,keyCertSign");
  add_extension(certificate_.get(), certificate_.get(), NID_subject_key_identifier, "hash");
  sign(certificate_.get(), key_.get());
  certificate_pem_ = pem_of(certificate_.get());
}

void CertificateAuthority::write_certificate(const std::filesystem::path& path) const {
  std::ofstream file(path, std::ios::binary);
  file << certificate_pem_ << std::flush;
  STANDPIPE_ASSERT(file.good(), "cannot write " + path.string());
}

TlsIdentity CertificateAuthority::issue(const LeafOptions& options) const {
  return make_leaf(options, certificate_.get(), key_.get());
}

TlsIdentity CertificateAuthority::expired() const {
  LeafOptions options;
  options.valid_after = -std::chrono::hours(24);
  options.valid_until = -std::chrono::hours(1);
  return issue(options);
}

TlsIdentity CertificateAuthority::wrong_name() const {
  LeafOptions options;
  options.names = {"other.example"};
  options.addresses = {};
  return issue(options);
}

TlsIdentity self_signed_identity() { return make_leaf({}, nullptr, nullptr); }

}  // namespace standpipe::test
