#include "schema/base/result.h"

namespace standpipe {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::malformed:
      return "malformed";
    case Errc::unsupported:
      return "unsupported";
    case Errc::not_found:
      return "not found";
    case Errc::corrupt:
      return "corrupt";
    case Errc::io:
      return "i/o error";
    case Errc::limit:
      return "limit reached";
    case Errc::closed:
      return "closed";
    case Errc::busy:
      return "busy";
    case Errc::invalid:
      return "invalid";
  }
  return "unknown";
}

std::string to_string(const Error& error) {
  std::string text(to_string(error.code));
  text += ": ";
  text += error.detail;
  return text;
}

}  // namespace standpipe
