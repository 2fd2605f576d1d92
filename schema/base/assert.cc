#include "schema/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace standpipe {

void assertion_failed(const char* expression, const char* file, int line, std::string_view reason) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s (%.*s)\n", file, line, expression,
               static_cast<int>(reason.size()), reason.data());
  std::fflush(stderr);
  std::abort();
}

}  // namespace standpipe
