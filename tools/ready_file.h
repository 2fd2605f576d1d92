// Tells whoever started us that we are ready, and where.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.h"

namespace standpipe::tools {

// Writes {"listen": ["127.0.0.1:43121"], "pid": 123} and a newline to `path`: at once and whole, so
// that who waits for the file never reads half of it. A file that is there is replaced.
Result<void> write_ready_file(const std::string& path, const std::vector<std::string>& listen);

// The same for any text.
Result<void> write_whole_file(const std::string& path, std::string_view text);

}  // namespace standpipe::tools
