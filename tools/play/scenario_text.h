// TOML and JSON, strictly, as one tree: what a scenario is read from.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "schema/base/result.h"

namespace standpipe::tools::play {

// An object. invalid, in one line that begins with `file`, where it is not that language, where a
// key stands twice, or where it nests deeper than any scenario does.
Result<nlohmann::json> json_of_json(std::string_view text, const std::string& file);
Result<nlohmann::json> json_of_toml(std::string_view text, const std::string& file);

}  // namespace standpipe::tools::play
