// Bytes written down in tests.
#pragma once

#include <string>
#include <string_view>

#include "schema/base/bytes.h"

namespace standpipe::test {

// Hex, with spaces and line breaks wherever they help, and ASCII between single quotes:
// hex("a2 61't' 67'#commit' 62'op' 01"). Ends the process if it is anything else.
inline Bytes hex(std::string_view text) {
  std::string packed;
  bool is_quoted = false;
  for (const char c : text) {
    if (c == '\'') {
      is_quoted = !is_quoted;
    } else if (is_quoted) {
      packed += to_hex(as_bytes(std::string_view(&c, 1)));
    } else if (c != ' ' && c != '\n') {
      packed += c;
    }
  }
  STANDPIPE_ASSERT(!is_quoted, "quote that is not closed");
  return parse_hex(packed).value();
}

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Bytes repeat(std::byte byte, std::size_t times) { return Bytes(times, byte); }

}  // namespace standpipe::test
