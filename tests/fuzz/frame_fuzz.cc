// No frame breaks the decoder or its JSON, and both agree with the scan.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>

#include "schema/base/assert.h"
#include "schema/event.h"
#include "schema/event_json.h"
#include "schema/frame.h"

namespace {

using standpipe::Event;
using standpipe::FrameKind;

struct SeqOf {
  template <typename T>
  std::optional<standpipe::Seq> operator()(const T& event) const {
    return event.seq;
  }
  std::optional<standpipe::Seq> operator()(const standpipe::ErrorFrame&) const { return {}; }
};

template <typename T>
bool is(const Event& event) {
  return std::holds_alternative<T>(event);
}

bool is_of_kind(const Event& event, FrameKind kind) {
  switch (kind) {
    case FrameKind::commit:
      return is<standpipe::Commit>(event);
    case FrameKind::sync:
      return is<standpipe::Sync>(event);
    case FrameKind::identity:
      return is<standpipe::Identity>(event);
    case FrameKind::account:
      return is<standpipe::Account>(event);
    case FrameKind::info:
      return is<standpipe::Info>(event);
    case FrameKind::labels:
      return is<standpipe::Labels>(event);
    case FrameKind::handle:
      return is<standpipe::HandleChange>(event);
    case FrameKind::migrate:
      return is<standpipe::Migrate>(event);
    case FrameKind::tombstone:
      return is<standpipe::Tombstone>(event);
    case FrameKind::error:
      return is<standpipe::ErrorFrame>(event);
    case FrameKind::unknown:
      return is<standpipe::UnknownMessage>(event);
  }
  return false;
}

void check_event(standpipe::ByteView frame, const standpipe::FrameScan& scan) {
  const bool is_note = scan.why == standpipe::Unarchivable::error_frame ||
                       scan.why == standpipe::Unarchivable::info_frame;
  const auto event = standpipe::decode_event(frame);
  if (!event) {
    STANDPIPE_ASSERT(event.error().code == standpipe::Errc::malformed, event.error().detail);
    return;
  }
  STANDPIPE_ASSERT(scan.why == standpipe::Unarchivable::archivable || is_note,
                   "an unarchivable frame is decoded");
  STANDPIPE_ASSERT(is_of_kind(*event, scan.envelope.kind), "decoded as another kind");
  if (scan.envelope.kind != FrameKind::error) {
    STANDPIPE_ASSERT(std::visit(SeqOf{}, *event) == scan.envelope.seq, "decoded with another seq");
  }
  if (const auto* commit = std::get_if<standpipe::Commit>(&*event)) {
    STANDPIPE_ASSERT(commit->repo == scan.envelope.did, "decoded with another did");
    STANDPIPE_ASSERT(commit->time == scan.envelope.time, "decoded with another time");
    STANDPIPE_ASSERT(commit->ops.size() == scan.envelope.ops_total, "decoded with other ops");
    STANDPIPE_ASSERT(standpipe::equal(commit->blocks, scan.envelope.blocks),
                     "decoded with other blocks");
  }
}

void check_json(standpipe::ByteView frame, const standpipe::FrameScan& scan,
                const standpipe::FrameJsonOptions& options) {
  const nlohmann::json shown = standpipe::frame_to_json(frame, options);
  STANDPIPE_ASSERT(!shown.dump().empty(), "no JSON");  // nor an exception
  const auto payload = shown.find("payload");
  if (payload != shown.end() && payload->is_object() && !shown.contains("payload_error") &&
      scan.why == standpipe::Unarchivable::archivable) {
    STANDPIPE_ASSERT(payload->at("seq") == standpipe::to_int(*scan.envelope.seq),
                     "shown with another seq");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const standpipe::ByteView frame(reinterpret_cast<const std::byte*>(bytes), size);
  const standpipe::FrameScan scan = standpipe::scan_frame(frame);
  check_event(frame, scan);
  check_json(frame, scan, {});
  check_json(frame, scan, {.with_records = true, .with_blocks = false});
  return 0;
}
