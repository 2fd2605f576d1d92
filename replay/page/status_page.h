// The text of status.html, as CMake embeds it.
#pragma once

#include <string_view>

namespace standpipe::replay {

extern const std::string_view kStatusPage;

}  // namespace standpipe::replay
