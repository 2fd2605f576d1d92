// STANDPIPE_ASSERT: for errors of the programmer, kept in release builds.
// What may happen in a correct program (bad input, a full disk) is a Result, never an assertion.
#pragma once

#include <string_view>

namespace standpipe {

// Prints the place and the reason to stderr and aborts. Any thread.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line,
                                   std::string_view reason);

}  // namespace standpipe

#define STANDPIPE_ASSERT(condition, reason)                                    \
  do {                                                                         \
    if (!(condition)) [[unlikely]] {                                           \
      ::standpipe::assertion_failed(#condition, __FILE__, __LINE__, (reason)); \
    }                                                                          \
  } while (false)
