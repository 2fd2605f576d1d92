// Frames as JSON, for people and for programs that read lines.
//
//   {"op": 1, "t": "#identity", "payload": {"did": "did:plc:...", "seq": 7, "time": "..."}}
//   {"op": -1, "payload": {"error": "FutureCursor", "message": "Cursor in the future."}}
//
// `payload` is the payload as atproto writes it in JSON, with "$link" and "$bytes": whatever is
// there, of types and fields that nobody knows too. Members are sorted, not in the frame's order.
// Spec: atproto data model, "JSON".
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "schema/base/bytes.h"

namespace standpipe {

struct FrameJsonOptions {
  // Adds to each op of a #commit the record that it names, if it is in `blocks`: "record". Where it
  // cannot be shown, "record_error" says why; an op whose record is not there gets neither.
  bool with_records = false;
  // false leaves out `blocks` of a #commit, which is most of its bytes.
  bool with_blocks = true;
};

// Shows every frame somehow, and never fails; dump() of the result does not throw.
//   "header"         the whole header, only if it has more than `op` and `t`
//   "unarchivable"   the name of the reason, for frames that are neither archivable nor a note
//   "payload_error"  the payload has no JSON form (say, an indefinite length); then "payload" is
//                    {"$bytes": ...} of the CBOR
//   "frame"          {"$bytes": ...} of all of it, where it is not two whole items and no more
//   "blocks_error"   with_records: why `blocks` could not be read to its end
// Records beyond kFrameBytesMax in all (one block can be named by many ops) are not shown.
nlohmann::json frame_to_json(ByteView frame, const FrameJsonOptions& options = {});

}  // namespace standpipe
