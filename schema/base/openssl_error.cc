#include "schema/base/openssl_error.h"

#include <openssl/err.h>

namespace standpipe {

std::string take_openssl_error() {
  const unsigned long code = ::ERR_get_error();
  const char* const reason = ::ERR_reason_error_string(code);
  ::ERR_clear_error();
  return reason == nullptr ? "OpenSSL says no more" : reason;
}

}  // namespace standpipe
