// The HTTP/1.1 of tools/play by its names in tests: it is written apart from Beast, which it is
// used to check.
#pragma once

#include "tools/play/http_wire.h"

namespace standpipe::test {

using tools::play::find_header;
using tools::play::has_token;
using tools::play::http_head_end;
using tools::play::HttpHead;
using tools::play::HttpHeaders;
using tools::play::kHttpHeadBytesMax;
using tools::play::parse_http_head;
using tools::play::query_parameter;
using tools::play::status_of;
using tools::play::websocket_accept;

}  // namespace standpipe::test
