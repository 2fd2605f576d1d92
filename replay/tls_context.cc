#include "replay/tls_context.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "schema/base/openssl_error.h"

namespace standpipe::replay {
namespace {

// A key that wants a passphrase would make OpenSSL ask the terminal for it.
int no_passphrase(char*, int, int, void*) { return -1; }

int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_bytes,
                    const unsigned char* offered, unsigned offered_bytes, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* found = nullptr;
  const int result = ::SSL_select_next_proto(&found, chosen_bytes, kHttp11, sizeof kHttp11 - 1,
                                             offered, offered_bytes);
  *chosen = found;
  // Who offers something else alone is told what we speak by the first reply.
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

Result<void> check_readable(const char* what, const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr) {
    return Error{Errc::io,
                 fmt::format("cannot read the {} {}: {}", what, path, std::strerror(errno))};
  }
  std::fclose(file);
  return {};
}

Result<TlsContextPtr> make_context(const TlsFiles& files) {
  STANDPIPE_CHECK(check_readable("certificate", files.certificate));
  STANDPIPE_CHECK(check_readable("key", files.key));
  ::ERR_clear_error();
  TlsContextPtr context(::SSL_CTX_new(::TLS_server_method()), ::SSL_CTX_free);
  if (context == nullptr) return Error{Errc::io, "TLS: " + take_openssl_error()};
  SSL_CTX* const tls = context.get();
  SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
  ::SSL_CTX_set_options(tls, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
  // Thousands of connections wait for most of their life: their buffers go meanwhile. And a read
  // returns after each message that is not data, or a peer could keep it busy with such.
  SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_clear_mode(tls, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);  // clients keep their tickets themselves
  ::SSL_CTX_set_default_passwd_cb(tls, no_passphrase);
  ::SSL_CTX_set_alpn_select_cb(tls, choose_protocol, nullptr);
  if (::SSL_CTX_use_certificate_chain_file(tls, files.certificate.c_str()) != 1) {
    return Error{Errc::invalid, fmt::format("{} is no chain of certificates in PEM, ours first: {}",
                                            files.certificate, take_openssl_error())};
  }
  if (::SSL_CTX_use_PrivateKey_file(tls, files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return Error{
        Errc::invalid,
        fmt::format("{} is no key in PEM, without a passphrase, for the certificate {}: {}",
                    files.key, files.certificate, take_openssl_error())};
  }
  return context;
}

}  // namespace

TlsCertificate::Stamp TlsCertificate::stamp_of(const std::string& path) {
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0) return {};
  return {file.st_ino, static_cast<std::uint64_t>(file.st_size), file.st_mtim.tv_sec,
          file.st_mtim.tv_nsec};
}

Result<std::unique_ptr<TlsCertificate>> TlsCertificate::load(TlsFiles files) {
  std::unique_ptr<TlsCertificate> loaded(new TlsCertificate(std::move(files)));
  // Looked at before it is read: what changes meanwhile is read again.
  loaded->tried_ = loaded->stamps();
  STANDPIPE_TRY(loaded->context_, make_context(loaded->files_));
  return loaded;
}

TlsContextPtr TlsCertificate::context() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

Result<bool> TlsCertificate::reload_if_changed() {
  const Stamps found = stamps();
  {
    const std::lock_guard lock(mutex_);
    if (found == tried_) return false;
    tried_ = found;
  }
  STANDPIPE_TRY(TlsContextPtr fresh, make_context(files_));
  const std::lock_guard lock(mutex_);
  context_ = std::move(fresh);
  return true;
}

}  // namespace standpipe::replay
