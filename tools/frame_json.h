// Frames as people and scripts read them.
#pragma once

#include <string>
#include <vector>

#include "schema/base/bytes.h"
#include "storage/types.h"
#include "tools/archive_view.h"

namespace standpipe::tools {

// "31527015322  2026-07-04T14:38:07.517Z  #commit    did:plc:...  create app.bsky.feed.like/3k..."
// One line without its end, whatever the frame holds.
std::string frame_as_line(const ViewFrame& frame);

// One line without its end: {seq, did, time, bytes}, and beside these what schema/event_json.h says
// of the frame: {op, t, payload}, with the record of each op and without `blocks`.
std::string frame_as_json(const ViewFrame& frame);

struct FrameDetail {
  const Place* place = nullptr;  // not ours
  bool has_hex = false;          // the bytes, too
};
// What `inspect frame` shows: where it is stored, the verdict on storing it, its sizes, its
// envelope, what it says, what is wrong with it (`verdicts`: the findings of judge_frame, of any
// frame), the tree of a commit, and every block of its CAR. Indented JSON, or text around it.
std::string frame_detail_as_json(const ViewFrame& frame, const FrameDetail& detail);
std::string frame_detail_as_text(const ViewFrame& frame, const FrameDetail& detail);

// 16 bytes a line: offset, hex, printable characters.
std::string hex_dump(ByteView bytes);

}  // namespace standpipe::tools
