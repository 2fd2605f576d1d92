// Tells whoever started us that we are ready, and where; and files that are read or written whole.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.h"

namespace standpipe::tools {

// Writes {"listen": ["127.0.0.1:43121"], "pid": 123} and a newline to `path`: at once and whole, so
// that who waits for the file never reads half of it. A file that is there is replaced. `admin`:
// the address of the admin listener, told as "admin"; empty: there is none.
Result<void> write_ready_file(const std::string& path, const std::vector<std::string>& listen,
                              const std::string& admin = {});

// The same for any text.
Result<void> write_whole_file(const std::string& path, std::string_view text);

// io: it cannot be read. limit: it holds more than `bytes_max`. `called` is what errors call it;
// empty: its path.
Result<std::string> read_whole_file(const std::string& path, std::size_t bytes_max,
                                    std::string_view called = {});

}  // namespace standpipe::tools
