#include "archiver/firehose/tls_client.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/ip/address.hpp>

#include "schema/base/openssl_error.h"

namespace standpipe::firehose {

Result<void> set_up_tls(ssl_ctx_st* context, const std::string& ca_file) {
  SSL_CTX_set_options(context, SSL_OP_ALL | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  if (::SSL_CTX_set_default_verify_paths(context) != 1) {
    return Error{Errc::io, "the system's trusted certificates: " + take_openssl_error()};
  }
  if (!ca_file.empty() && ::SSL_CTX_load_verify_locations(context, ca_file.c_str(), nullptr) != 1) {
    return Error{Errc::io, ca_file + ": " + take_openssl_error()};
  }
  ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  return {};
}

bool set_tls_host(ssl_st* ssl, const std::string& host) {
  X509_VERIFY_PARAM* const param = ::SSL_get0_param(ssl);
  ::X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  boost::system::error_code ec;
  boost::asio::ip::make_address(host, ec);
  if (!ec) return ::X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1;
  const long is_set = ::SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                                 const_cast<char*>(host.c_str()));  // OpenSSL copies it
  return is_set == 1 && ::X509_VERIFY_PARAM_set1_host(param, host.c_str(), host.size()) == 1;
}

}  // namespace standpipe::firehose
