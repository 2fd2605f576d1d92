// What OpenSSL says of the call of it that failed.
#pragma once

#include <string>

namespace standpipe {

// The first error that this thread has from OpenSSL, as a phrase; none is left behind, or the next
// TLS call of the thread would trip over it.
std::string take_openssl_error();

}  // namespace standpipe
