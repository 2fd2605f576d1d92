// Lets failed tests print the enumerations of schema/frame.h by name.
#pragma once

#include <ostream>

#include "schema/frame.h"

namespace standpipe {

inline void PrintTo(Unarchivable why, std::ostream* out) { *out << to_string(why); }
inline void PrintTo(FrameKind kind, std::ostream* out) { *out << to_string(kind); }

}  // namespace standpipe
