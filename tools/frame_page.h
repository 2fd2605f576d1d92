// A page of frames as bytes: what GET /frames of the control socket answers with.
//
// Records, one after the other, integers little-endian:
//   u8 1 · i64 seq · u64 partition · i64 received first · i64 received last · i64 clock ·
//          u32 length · frame
//   u8 2 · i64 after · i64 before · u8 reason       what retention took
//   u8 3 · i64 position · u8 is_last                always last, and only there
#pragma once

#include <string>

#include "schema/base/result.h"
#include "tools/archive_view.h"

namespace standpipe::tools {

void append_page(std::string& out, const FramePage& page);  // without the last record
void finish_page(std::string& out, Seq position, bool is_last);

// Takes the bytes, which the frames then point into. malformed, with the offset, for anything that
// the two above would not have made.
Result<FramePage> parse_page(std::string bytes);

}  // namespace standpipe::tools
