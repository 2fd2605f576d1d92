#include "tests/support/scale.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace standpipe::test {

std::size_t scaled(std::size_t rounds) {
  const char* const text = std::getenv("STANDPIPE_TEST_SCALE");
  if (text == nullptr || *text == '\0') return rounds;
  char* end = nullptr;
  const double scale = std::strtod(text, &end);
  if (*end != '\0' || !(scale > 0.0 && scale <= 1.0)) {
    std::fprintf(stderr, "STANDPIPE_TEST_SCALE=%s: a number above 0 and up to 1 is wanted\n", text);
    std::abort();
  }
  return std::max<std::size_t>(1, static_cast<std::size_t>(static_cast<double>(rounds) * scale));
}

}  // namespace standpipe::test
