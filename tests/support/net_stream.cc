#include "tests/support/net_stream.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>
#include <utility>

#include "schema/base/assert.h"

namespace standpipe::test {

int poll_timeout(Deadline deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, INT_MAX));
}

bool wait_for(const NetStream& stream, bool has_output, Deadline deadline) {
  pollfd entry{stream.fd(), stream.events(has_output), 0};
  for (;;) {
    const int ready = ::poll(&entry, 1, poll_timeout(deadline));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

TlsContext make_client_tls(const std::string& trusted_pem) {
  TlsContext context = tools::play::make_tls_context(/*is_server=*/false);
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(trusted_pem.data(), static_cast<int>(trusted_pem.size())), BIO_free);
  const std::shared_ptr<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr),
                                          X509_free);
  STANDPIPE_ASSERT(certificate != nullptr, "not a certificate");
  X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), certificate.get());
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return context;
}

void begin_client_tls(NetStream& stream, const TlsContext& context, const std::string& host) {
  tools::play::TlsSession session(SSL_new(context.get()), SSL_free);
  STANDPIPE_ASSERT(session != nullptr, "no TLS");
  X509_VERIFY_PARAM* const wanted = SSL_get0_param(session.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) != 1) {
    // What SSL_set_tlsext_host_name does, which is a macro with an old cast.
    SSL_ctrl(session.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             const_cast<char*>(host.c_str()));
    STANDPIPE_ASSERT(SSL_set1_host(session.get(), host.c_str()) == 1, host);
  }
  ERR_clear_error();
  SSL_set_connect_state(session.get());
  stream.begin_tls(std::move(session));
}

}  // namespace standpipe::test
