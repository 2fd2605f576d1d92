// Frames out of JSON, for tests that have no captured bytes.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "schema/base/bytes.h"

namespace standpipe::test {

// The canonical frame {"t": type, "op": 1} + `payload`, which is atproto JSON ("$link", "$bytes").
// Ends the process if that has no canonical form.
Bytes frame_from_json(std::string_view type, const nlohmann::json& payload);

}  // namespace standpipe::test
