// The state of an archive as one JSON object, and that object as text for people.
// The shape of the object is a promise to scripts: fields are added, never renamed.
#pragma once

#include <string>
#include <string_view>

#include "schema/base/result.h"
#include "storage/archive.h"

namespace standpipe::tools {

// `stream` empty: all of them. Any thread.
Result<std::string> describe_archive(const storage::Archive& archive, std::string_view stream);

// Text of several lines from what describe_archive returned.
Result<std::string> describe_as_text(std::string_view json);

}  // namespace standpipe::tools
