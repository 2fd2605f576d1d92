// TLS as whoever connects wants it. Free of storage/: part of the client library.
#pragma once

#include <string>

#include "schema/base/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace standpipe::firehose {

// TLS 1.2 and newer, without compression; the peer is verified against what the system trusts and
// `ca_file` (PEM; empty: nothing more). io where the certificates cannot be read.
Result<void> set_up_tls(ssl_ctx_st* context, const std::string& ca_file);

// SNI, and the name or address that the certificate must be for. False where it can be neither.
bool set_tls_host(ssl_st* ssl, const std::string& host);

}  // namespace standpipe::firehose
