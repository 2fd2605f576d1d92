// The names of what schema/frame.h enumerates.
#include <array>

#include "schema/frame.h"

namespace standpipe {

std::string_view to_string(FrameKind kind) {
  switch (kind) {
    case FrameKind::commit:
      return "commit";
    case FrameKind::sync:
      return "sync";
    case FrameKind::identity:
      return "identity";
    case FrameKind::account:
      return "account";
    case FrameKind::info:
      return "info";
    case FrameKind::labels:
      return "labels";
    case FrameKind::handle:
      return "handle";
    case FrameKind::migrate:
      return "migrate";
    case FrameKind::tombstone:
      return "tombstone";
    case FrameKind::error:
      return "error";
    case FrameKind::unknown:
      break;
  }
  return "unknown";
}

FrameKind frame_kind(std::string_view type) {
  if (type == "#commit") return FrameKind::commit;
  if (type == "#sync") return FrameKind::sync;
  if (type == "#identity") return FrameKind::identity;
  if (type == "#account") return FrameKind::account;
  if (type == "#info") return FrameKind::info;
  if (type == "#labels") return FrameKind::labels;
  if (type == "#handle") return FrameKind::handle;
  if (type == "#migrate") return FrameKind::migrate;
  if (type == "#tombstone") return FrameKind::tombstone;
  return FrameKind::unknown;
}

std::string_view to_string(Unarchivable why) {
  constexpr std::array<std::string_view, 21> kNames{
      "archivable",       "empty",          "too_large",    "header_malformed", "header_not_map",
      "op_missing",       "op_unknown",     "type_missing", "payload_missing",  "payload_malformed",
      "payload_not_map",  "trailing_bytes", "seq_missing",  "seq_repeated",     "seq_not_integer",
      "seq_out_of_range", "error_frame",    "info_frame",   "conflict",         "late",
      "text_message",
  };
  const auto index = static_cast<std::size_t>(why);
  return index < kNames.size() ? kNames[index] : "unknown";
}

}  // namespace standpipe
