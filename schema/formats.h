// String formats that records have and that this program only checks. See schema/ids.h for the
// identifiers, schema/datetime.h and schema/cid.h for the others.
// Spec: atproto lexicon, "String Formats".
#pragma once

#include <string_view>

namespace standpipe {

// Any scheme, then ':' and at least one printable ASCII character; up to 8192 bytes.
bool is_uri_syntax(std::string_view text);

// A language tag of BCP 47 (RFC 5646, section 2.2.9: well-formed, no variant and no extension
// twice), whose language is two or three lower-case letters.
bool is_language_syntax(std::string_view text);

}  // namespace standpipe
